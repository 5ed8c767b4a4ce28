"""Posting samples: all or nothing, exact, in the poster's own projects."""

from __future__ import annotations

from uuid import UUID

import pytest
from django.utils import timezone

from metering.collector import posting
from metering.messages import sample_id
from metering.models import Batch, ParkedBatch, Sample

from .conftest import Caller, fault, posted

PATH = "/v2/meters/cpu_util"


def test_a_posted_sample_is_there_when_the_answer_comes(member):
    answer = member.post(f"{PATH}?direct=True", [posted(resource_metadata={"size": 5, "up": True, "nest.name": "x"})])
    assert answer.status_code == 201
    (echo,) = answer.json()
    assert echo["source"] == "p1:openstack"
    assert (echo["project_id"], echo["user_id"]) == ("p1", "member")
    assert echo["resource_metadata"] == {"size": 5, "up": True, "nest.name": "x"}
    assert "recorded_at" not in echo
    assert answer["Location"] == f"http://testserver/v2/samples/{echo['message_id']}"
    row = member.rows(f"/v2/samples/{echo['message_id']}")
    assert row["volume"] == 12.5
    assert row["metadata"] == {"size": "5", "up": "True", "nest.name": "x"}
    assert member.rows("/v2/samples?q.field=metadata.size&q.value=5&q.type=integer") == [row]


def test_the_answer_names_the_batch_and_positions_and_the_ledger_the_poster(member):
    answer = member.post(PATH, [posted(resource_id="r1"), posted(resource_id="r2")])
    batch_id = UUID(answer["X-Celometer-Batch"])
    assert answer["X-Celometer-Position"] == "0-1"
    assert "Location" not in answer
    assert [entry["message_id"] for entry in answer.json()] == [
        str(sample_id(batch_id, 0)),
        str(sample_id(batch_id, 1)),
    ]
    batch = Batch.objects.get(pk=batch_id)
    assert b'"poster":"member"' in bytes(batch.header)


@pytest.mark.parametrize(
    ("sent", "printed"),
    [("1", b"1.0"), ('"12.50"', b"12.5"), ("true", b"1.0"), ("9007199254740993", b"9007199254740993.0"),
     ("0.1000000000000000055511151231257827", b"0.1000000000000000055511151231257827"), ("-1e3", b"-1000.0")],
)  # fmt: skip
def test_volumes_keep_every_digit(member, sent, printed):
    body = (
        b'[{"counter_name":"cpu_util","counter_type":"gauge","counter_unit":"","counter_volume":%s,"resource_id":"r"}]'
    )
    answer = member.post(PATH, body % sent.encode())
    assert answer.status_code == 201, answer.content
    assert b'"counter_volume":' + printed + b"," in answer.content
    assert b'"counter_volume":' + printed + b"," in member.get(PATH).content


@pytest.mark.parametrize(
    ("sent", "shown", "stored"),
    [
        ("2016-01-05T23:23:20+02:00", "2016-01-05T23:23:20+02:00", "2016-01-05T21:23:20"),
        ("2016-01-05T10:00:00Z", "2016-01-05T10:00:00+00:00", "2016-01-05T10:00:00"),
        ("2016-01-05 10:00:00", "2016-01-05T10:00:00", "2016-01-05T10:00:00"),
        ("Jan 5 2016", "2016-01-05T00:00:00", "2016-01-05T00:00:00"),
    ],
)
def test_times_are_echoed_as_sent_and_stored_in_utc(member, sent, shown, stored):
    answer = member.post(PATH, [posted(timestamp=sent)])
    assert answer.json()[0]["timestamp"] == shown
    assert member.rows(PATH)[0]["timestamp"] == stored


def test_samples_without_a_time_share_the_moment_of_the_request(member):
    before = timezone.now()
    answer = member.post(PATH, [posted(resource_id="a"), posted(resource_id="b", timestamp=None)])
    times = {entry["timestamp"] for entry in answer.json()}
    assert len(times) == 1
    assert str(before.replace(tzinfo=None).isoformat())[:16] <= times.pop()


def test_one_bad_sample_stores_none(member):
    answer = member.post(PATH, [posted(), posted(), posted(counter_type="elevation")])
    assert answer.status_code == 400
    assert not Sample.objects.exists()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"counter_name": "cars"}, "Invalid input for field/attribute counter_name. Value: 'cars'. should be cpu_util"),
        (
            {"counter_name": None},
            "Invalid input for field/attribute counter_name. Value: 'None'. Mandatory field missing.",
        ),
        (
            {"counter_type": "elevation"},
            "Invalid input for field/attribute counter_type. Value: 'elevation'. The counter type must be: gauge, delta, cumulative",
        ),
        ({"counter_type": ["gauge"]}, "Invalid input for field/attribute counter_type."),
        (
            {"counter_unit": None},
            "Invalid input for field/attribute counter_unit. Value: 'None'. Mandatory field missing.",
        ),
        ({"counter_unit": "x" * 256}, "Invalid input for field/attribute counter_unit."),
        ({"counter_volume": None}, "Invalid input for field/attribute counter_volume."),
        ({"counter_volume": "NaN"}, "Invalid input for field/attribute samples."),
        ({"counter_volume": "-Infinity"}, "Invalid input for field/attribute samples."),
        ({"counter_volume": "twelve"}, "Invalid input for field/attribute samples."),
        ({"counter_volume": "1e400"}, "Invalid input for field/attribute samples."),
        ({"counter_volume": []}, "Invalid input for field/attribute samples."),
        (
            {"resource_id": None},
            "Invalid input for field/attribute resource_id. Value: 'None'. Mandatory field missing.",
        ),
        ({"resource_id": 5}, "Invalid input for field/attribute resource_id. Value: '5'. Wrong type."),
        ({"resource_id": ""}, "Invalid input for field/attribute resource_id. Value: ''."),
        ({"resource_id": "a\0b"}, "Invalid input for field/attribute resource_id."),
        ({"resource_id": "x" * 256}, "Invalid input for field/attribute resource_id."),
        ({"user_id": 5}, "Invalid input for field/attribute user_id."),
        ({"source": "x" * 300}, "Invalid input for field/attribute source."),
        ({"timestamp": "2013-01-bad 23:23:20"}, "Invalid input for field/attribute samples."),
        ({"timestamp": 123}, "Invalid input for field/attribute samples."),
        ({"timestamp": ""}, "Invalid input for field/attribute samples."),
        ({"timestamp": "1999-01-01"}, "Invalid input for field/attribute samples."),
        ({"timestamp": "2999-01-01"}, "Invalid input for field/attribute samples."),
        ({"timestamp": "0001-01-01T00:00:00+05:00"}, "Invalid input for field/attribute samples."),
        ({"resource_metadata": "a string"}, "Invalid input for field/attribute samples."),
        ({"resource_metadata": {"a": "\0"}}, "Invalid input for field/attribute resource_metadata."),
        ({"resource_metadata": {"\0": "a"}}, "Invalid input for field/attribute resource_metadata."),
        (
            {"message_id": "x"},
            "Invalid input for field/attribute message_id. Value: 'x'. The message_id must not be set",
        ),
        ({"foo": 1}, "Unknown attribute for argument samples: foo"),
        (
            {"project_id": "p2"},
            "Invalid input for field/attribute project_id. Value: 'p2'. can not post samples to other projects",
        ),
    ],
)
def test_bad_samples_are_refused_in_the_words_that_old_programs_know(member, change, text):
    answer = member.post(PATH, [posted(**change)])
    assert answer.status_code == 400, answer.content
    assert fault(answer).startswith(text)
    assert not Batch.objects.exists()


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("", "Samples should be included in request body"),
        ("[]", "Samples should be included in request body"),
        ("null", "Samples should be included in request body"),
        ("{}", "Invalid input for field/attribute samples. Value: 'dict'. Value not a valid list"),
        ("[1]", "Invalid input for field/attribute samples. Value: '1'."),
        ("[null]", "Invalid input for field/attribute samples."),
        ("[[]]", "Invalid input for field/attribute samples."),
        ("{", "Request is not in valid JSON format"),
        ("[NaN]", "Request is not in valid JSON format"),
        ('[{"a": 1, "a": 2}]', "Request is not in valid JSON format"),
        ("[" * 100_000, "Request is not in valid JSON format"),
        ("9" * 5000, "Request is not in valid JSON format"),
        (b"\xff\xfe", "Request is not in valid JSON format"),
        ('[{"counter_name": "\\ud800"}]', "Invalid input for field/attribute"),
        ('[{"\\ud800": 1}]', "Unknown attribute for argument samples"),
    ],
)
def test_bodies_that_are_no_list_of_samples_are_refused(member, body, text):
    answer = member.post(PATH, body)
    assert answer.status_code == 400
    assert fault(answer).startswith(text)


def test_deep_and_huge_metadata_is_refused(member):
    deep = '{"a":' * 50 + "1" + "}" * 50
    for metadata in (deep, '{"a": 1e999}', '{"a": %s}' % ("9" * 400), '{"a": ["\\ud800"]}'):
        body = (
            '[{"counter_name":"cpu_util","counter_type":"gauge","counter_unit":"","counter_volume":1,"resource_id":"r",'
            f'"resource_metadata":{metadata}}}]'
        )
        answer = member.post(PATH, body)
        assert answer.status_code == 400, metadata
    assert member.post(PATH, [posted(resource_metadata=None)]).status_code == 201


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "multipart/form-data; boundary=x", ""])
def test_other_types_of_body_are_refused(member, content_type):
    answer = member.client.generic("POST", PATH, b"hello", content_type=content_type)
    assert answer.status_code == 415
    assert fault(answer).startswith("Unknown mimetype: ")


def test_json_sent_as_a_form_is_an_unknown_argument(member):
    answer = member.client.generic(
        "POST", PATH, b'[{"counter_name": 1}]', content_type="application/x-www-form-urlencoded"
    )
    assert answer.status_code == 400
    assert fault(answer).startswith('Unknown argument: "[{')
    assert "send it with Content-Type: application/json" in fault(answer)


def test_large_bodies_and_many_samples_are_refused(member, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10_000
    assert member.post(PATH, "[" + " " * 20_000 + "]").status_code == 413
    settings.CELOMETER_API_MAX_POSTED_SAMPLES = 2
    assert "3 samples" in fault(member.post(PATH, [posted()] * 3))


def test_operators_post_for_any_project_and_for_none(operator):
    answer = operator.post(PATH, [posted(project_id="p7", user_id="u7"), posted(resource_id="host")])
    assert answer.status_code == 201
    assert [(entry["project_id"], entry["source"]) for entry in answer.json()] == [
        ("p7", "p7:openstack"),
        (None, "None:openstack"),
    ]


def test_who_has_several_projects_names_one(db):
    both = Caller("both", "p1", "p2")
    answer = both.post(PATH, [posted()])
    assert answer.status_code == 400
    assert "X-Project-Id" in fault(answer)
    assert both.post(PATH, [posted()], headers={"X-Project-Id": "p2"}).json()[0]["project_id"] == "p2"
    assert both.post(PATH, [posted(project_id="p1")]).json()[0]["project_id"] == "p1"


def test_samples_of_a_time_without_a_partition_are_kept_and_said_to_wait(member, monkeypatch):
    # Nobody makes the partition in this test: do not wait for it.
    monkeypatch.setattr(posting, "_PARKED_WAIT_SECONDS", 0)
    answer = member.post(PATH, [posted(timestamp="2011-03-04T05:06:07")])
    assert answer.status_code == 202
    assert ParkedBatch.objects.get().pk == UUID(answer["X-Celometer-Batch"])
    assert member.rows(PATH) == []


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("direct=1&direct=2", "Invalid input for field/attribute direct."),
        ("limit=1", 'Unknown argument: "limit"'),
        ("q.field=user&q.value=u", 'Unknown argument: "q.field"'),
        ("foo=1", 'Unknown argument: "foo"'),
    ],
)
def test_a_post_takes_direct_alone(member, query, text):
    answer = member.post(f"{PATH}?{query}", [posted()])
    assert answer.status_code == 400
    assert fault(answer).startswith(text)
    assert not Sample.objects.exists()


@pytest.mark.parametrize("direct", ["True", "1", "false", "maybe", ""])
def test_samples_are_stored_before_the_answer_directly_or_not(member, direct):
    assert member.post(f"{PATH}?direct={direct}", [posted()]).status_code == 201
    assert len(member.rows(PATH)) == 1
