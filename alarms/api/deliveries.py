"""``/v2/alarms/ID/deliveries``: what an alarm told, or tried to tell, and how each attempt went; also when the alarm is gone."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from alarms.deliveries import send_again
from alarms.models import Alarm, Delivery, DeliveryState
from metering.api.operations import Parameter
from metering.api.paths import name_in_path
from metering.api.views import ApiView
from metering.models import TokenScope

from . import contract
from .alarms import ALARM_ID
from .errors import AlarmNotFound, DeliveryNotFailed, DeliveryNotFound
from .lists import ListView, find_marked
from .scoping import check_may_change, find_alarm, read_id, visible_alarms, visible_changes, visible_deliveries
from .shapes import delivery_shape

__all__ = ["AlarmDeliveries", "SendDelivery"]

_CAN_BE_SENT = (DeliveryState.FAILED, DeliveryState.SILENCED)


class AlarmDeliveries(ListView):
    title = "An alarm's deliveries"
    summary = "Every message to a URL of the alarm, the newest first, with all attempts at it. Those that failed can be sent again."
    operations = {"GET": contract.LIST_DELIVERIES}
    path_parameters = (ALARM_ID,)
    examples = (("All alarms", "/v2/alarms"),)

    def get(self, request: Request, alarm_id: str) -> Response:
        limit = self.check_list_limit(self.arguments.integer("limit", 0))
        marker = self.arguments.text("marker", None)
        name = name_in_path(alarm_id)
        id = read_id(name)
        if id is None:
            raise AlarmNotFound(name)
        of_alarm = visible_deliveries(self.scope).filter(alarm_id=id)
        # An alarm's are numbered in the order in which they were made.
        rows = of_alarm if marker is None else of_alarm.filter(number__lt=find_marked(marker, of_alarm).number)
        found = list(rows.order_by("-number").defer("body").prefetch_related("attempts")[: limit + 1])
        if not (found or marker):
            # Nothing was told yet, or there is nothing to tell of.
            known = visible_alarms(self.scope).filter(id=id).exists()
            if not (known or visible_changes(self.scope).filter(alarm_id=id).exists()):
                raise AlarmNotFound(name)
        shown = found[:limit]
        headers = {"Link": self.next_link(str(shown[-1].id))} if len(found) > limit else {}
        return Response([delivery_shape(delivery) for delivery in shown], headers=headers)


class SendDelivery(ApiView):
    title = "Sending a delivery again"
    summary = (
        "POST alone: a message that failed, or was silenced, is sent once more under its old id. An action that was disabled for "
        "answering 410 is enabled by it."
    )
    operations = {"POST": contract.SEND_DELIVERY}
    path_parameters = (ALARM_ID, Parameter("delivery_id", "The delivery's id.", {"type": "string", "format": "uuid"}))
    writing_scope = TokenScope.ALARMS
    examples = (("All alarms", "/v2/alarms"),)

    def post(self, request: Request, alarm_id: str, delivery_id: str) -> Response:
        assert self.caller is not None
        with transaction.atomic():
            alarm = find_alarm(name_in_path(alarm_id), visible_alarms(self.scope))
            check_may_change(self.caller, alarm.project_id)
            delivery = _lock(name_in_path(delivery_id), alarm)
            if delivery.state not in _CAN_BE_SENT:
                raise DeliveryNotFailed(str(delivery.id), delivery.state)
            send_again(delivery.id, timezone.now())
        delivery.refresh_from_db()
        return Response(delivery_shape(delivery), status=202)


def _lock(name: str, alarm: Alarm) -> Delivery:
    """The alarm's delivery, which nobody else changes until the transaction ends. Raises DeliveryNotFound.

    One that was made before the alarm was given to its project is another's.
    """
    id = read_id(name)
    rows = Delivery.objects.select_for_update().filter(alarm_id=alarm.id, project_id=alarm.project_id, id=id)
    delivery = rows.first() if id else None
    if delivery is None:
        raise DeliveryNotFound(name)
    return delivery
