"""What docs/alarms.md tells the receivers of webhooks is true."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from alarms.deliveries.schedule import GIVE_UP_AFTER, LONGEST_PAUSE
from alarms.deliveries.signing import secret_of, sign
from config.env import REPOSITORY
from tests.support.alarms import make_alarm, transit

PAGE = (REPOSITORY / "docs" / "alarms.md").read_text()


@pytest.mark.django_db
def test_the_ten_lines_verify_what_is_sent_and_nothing_else() -> None:
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    read: dict = {}
    exec(program, read)
    verify, secret, body, now = read["verify"], secret_of("orchard"), b'{"current": "alarm"}', datetime.now(UTC)
    headers = sign(uuid4(), body, secret=secret, now=now)
    assert verify(secret, headers, body)
    assert not verify(secret, headers, body + b" ")
    assert not verify(secret_of("meadow"), headers, body)
    assert not verify(secret, sign(uuid4(), body, secret=secret, now=now - timedelta(minutes=6)), body)


@pytest.mark.django_db
def test_the_body_has_the_keys_that_are_shown() -> None:
    shown = json.loads(re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)[0])
    (delivery,) = transit(make_alarm("https://a.example/"))
    assert list(json.loads(delivery.body)) == list(shown)


def test_the_schedule_is_the_one_that_is_told() -> None:
    assert "every 4 h" in PAGE and timedelta(hours=4) == LONGEST_PAUSE
    assert "30 hours after" in PAGE and timedelta(hours=30) == GIVE_UP_AFTER
