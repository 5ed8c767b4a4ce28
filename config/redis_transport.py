"""kombu's Redis transport, made to lose nothing and to survive what anybody with a login may push onto a queue.

kombu takes an item off its list and only then writes down that it is unacknowledged: a worker that dies in between (or is dead already,
while the broker still holds its connection) takes the message with it. Here one script does both, so an item is always either on its
list or among the unacknowledged, byte for byte as it was pushed.

kombu also trusts a list's items to be its own JSON: a foreign one kills the consumer, and one with a stolen delivery tag takes another
message's place. Here every item is checked; what is no message becomes one that carries the raw bytes under its own content type, so
that the worker can keep it; and each gets a delivery tag of ours.
"""

from __future__ import annotations

import base64
import json
from time import monotonic, time
from typing import Any
from uuid import uuid4

from kombu.transport import TRANSPORT_ALIASES, redis, virtual

__all__ = ["FOREIGN_CONTENT_TYPE", "Channel", "QoS", "Transport", "install", "message_from_item"]

FOREIGN_CONTENT_TYPE = "application/x-celometer-foreign"

# The first queue that has an item gives it; an entry among the unacknowledged is the queue's name, a line's end, the item.
_TAKE = """
for number = 3, #KEYS do
  local item = redis.call('RPOP', KEYS[number])
  if item then
    redis.call('HSET', KEYS[1], ARGV[1], KEYS[number] .. '\\n' .. item)
    redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
    return {KEYS[number], item}
  end
end
return false
"""
_GIVE_BACK = """
local entry = redis.call('HGET', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
local line_end = entry and string.find(entry, '\\n', 1, true)
if line_end then
  redis.call(ARGV[2], string.sub(entry, 1, line_end - 1), string.sub(entry, line_end + 1))
end
"""
_FORGET = """
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
"""
# The oldest come last and so are taken first.
_GIVE_BACK_EXPIRED = """
local tags = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[1], 'LIMIT', 0, 100)
for number = #tags, 1, -1 do
  local entry = redis.call('HGET', KEYS[1], tags[number])
  redis.call('HDEL', KEYS[1], tags[number])
  redis.call('ZREM', KEYS[2], tags[number])
  local line_end = entry and string.find(entry, '\\n', 1, true)
  if line_end then
    redis.call('RPUSH', string.sub(entry, 1, line_end - 1), string.sub(entry, line_end + 1))
  end
end
return #tags
"""


def install() -> None:
    """Use this transport for redis:// and rediss:// URLs."""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"


def message_from_item(item: bytes, *, queue: str, tag: str) -> dict[str, Any]:
    """A list item as kombu's message; foreign bytes are wrapped. Never raises."""
    payload = _kombu_message(item)
    if payload is None:
        payload = {
            "body": base64.b64encode(item).decode(),
            "content-type": FOREIGN_CONTENT_TYPE,
            "content-encoding": "binary",
            "headers": {},
            "properties": {"body_encoding": "base64"},
        }
    payload["properties"] |= {
        "delivery_tag": tag,
        "delivery_info": {"exchange": "", "routing_key": queue},
        "priority": 0,
    }
    return payload


def _kombu_message(item: bytes) -> dict[str, Any] | None:
    """The item if it has the form in which kombu writes messages, else None."""
    try:
        # Plain JSON: kombu's own reader would also make objects of whatever type the sender names.
        payload = json.loads(item)
        headers, properties, body = payload["headers"], payload["properties"], payload["body"]
        if not isinstance(headers, dict) or not isinstance(properties, dict) or not isinstance(body, str):
            return None
        # kombu would unpack a compressed body at once, however large it gets.
        if headers.get("compression") or properties.get("body_encoding") != "base64":
            return None
        if not isinstance(payload.get("content-type"), str):
            return None
        base64.b64decode(body, validate=True)
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return payload


class QoS(redis.QoS):
    """The unacknowledged messages: written by the script that takes a message, given back by scripts, too."""

    def append(self, message: Any, delivery_tag: str) -> None:
        virtual.QoS.append(self, message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        # One script: kombu's transaction of the same two commands takes twice as long to answer.
        with self.channel.conn_or_acquire() as client:
            client.eval(_FORGET, 2, self.unacked_key, self.unacked_index_key, delivery_tag)
        virtual.QoS.ack(self, delivery_tag)

    def restore_visible(self, start: int = 0, num: int | None = None, interval: int = 1) -> None:
        expired_at = time() - self.visibility_timeout
        with self.channel.conn_or_acquire() as client:
            while client.eval(_GIVE_BACK_EXPIRED, 2, self.unacked_key, self.unacked_index_key, expired_at) == 100:
                pass

    def restore_by_tag(self, tag: str, client: Any = None, leftmost: bool = False) -> None:
        side = "LPUSH" if leftmost else "RPUSH"
        with self.channel.conn_or_acquire(client) as client:
            client.eval(_GIVE_BACK, 2, self.unacked_key, self.unacked_index_key, tag, side)


class Channel(redis.Channel):
    """Takes items by script and reads them without trusting them.

    A script cannot wait. So when there was nothing to take, the channel waits with BLMOVE from the list's end to the same end, which
    changes nothing and returns as soon as there is an item; then it asks again.
    """

    QoS = QoS
    # Not kombu's names: its entries have another form.
    unacked_key = "celometer.unacked"
    unacked_index_key = "celometer.unacked_index"

    def __init__(self, *args: Any, **options: Any) -> None:
        self._take_tag: str | None = None
        self._found_nothing = False
        super().__init__(*args, **options)

    def _brpop_start(self, timeout: float | None = None) -> None:
        queues = self._queue_cycle.consume(len(self.active_queues))
        if not queues:
            return
        connection = self._in_poll = self.client.connection
        self._brpop_sent_at = monotonic()
        if self._found_nothing:
            self._take_tag = None
            wait_seconds = (timeout or self.brpop_timeout) / len(queues)
            connection.send_command("BLMOVE", queues[0], queues[0], "RIGHT", "RIGHT", wait_seconds)
            self._queue_cycle.rotate(queues[0])
        else:
            self._take_tag = str(uuid4())
            # A sender's priority chooses one of several lists; all are looked at, by priority.
            lists = [self._q_for_pri(queue, priority) for priority in self.priority_steps for queue in queues]
            keys = [self.unacked_key, self.unacked_index_key, *lists]
            connection.send_command("EVAL", _TAKE, len(keys), *keys, self._take_tag, time())

    def _brpop_read(self, **options: Any) -> bool:
        try:
            try:
                reply = self.client.parse_response(self.client.connection, "EVAL", **options)
            except self.connection_errors:
                self.client.connection.disconnect()
                raise
            tag = self._take_tag
            self._found_nothing = tag is not None and not reply
            if tag is None or not reply:
                raise redis.Empty
            queue, item = reply[0].decode().split(self.sep)[0], reply[1]
            self._queue_cycle.rotate(queue)
            self.connection._deliver(message_from_item(item, queue=queue, tag=tag), queue)
            return True
        finally:
            self._in_poll = None
            self._flush_brpop_reauth()

    def _receive_one(self, client: Any) -> bool | None:
        """One reply of the publish/subscribe connection: ticks, which are checked like items."""
        try:
            reply = client.parse_response()
        except self.connection_errors:
            self._in_listen = None
            raise
        if not isinstance(reply, list | tuple):
            return None
        published = self._handle_message(client, reply)
        if not published["type"].endswith(b"message") or not published["data"]:
            return None
        exchange = published["channel"].decode().partition(".")[2].partition("/")[0]
        queue = self._fanout_to_queue.get(exchange)
        if queue is None:
            return None
        self.connection._deliver(message_from_item(published["data"], queue=queue, tag=str(uuid4())), queue)
        return True

    def _restore(self, message: Any, leftmost: bool = False) -> None:
        self.qos.restore_by_tag(message.delivery_tag, leftmost=leftmost)


class Transport(redis.Transport):
    Channel = Channel
