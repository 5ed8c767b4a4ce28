"""The OpenAPI document says what the API does: every route, every argument, every answer, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import jsonschema
import pytest
import schemathesis
import yaml
from django.core.management import call_command
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.test import Client
from hypothesis import HealthCheck, Phase
from hypothesis import settings as bounds

from config.wsgi import application
from metering.api.schema import build_document
from tests.support.events import store_event
from tests.support.routes import api_patterns
from tests.support.samples import make_sample, store_samples

from .conftest import Caller

DOCUMENT = build_document("http://localhost")
METHODS = ("get", "post", "put", "patch", "delete")


def described() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Path, method and description of every operation of the document."""
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def in_url(operation: dict[str, Any]) -> set[str]:
    return {parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] == "query"}


EVERY_ARGUMENT = sorted(set().union(*(in_url(operation) for _, _, operation in described())) | {"foo", "q.foo", "q"})


def fill(path: str) -> str:
    """A path with something in the place of its parts."""
    return path.replace("{", "").replace("}", "")


def plain(schema: Any) -> Any:
    """OpenAPI's dialect as JSON Schema: what may be null says so by its type."""
    if isinstance(schema, list):
        return [plain(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    turned = {name: plain(value) for name, value in schema.items() if name != "nullable"}
    return {"anyOf": [turned, {"type": "null"}]} if schema.get("nullable") else turned


def check(value: Any, schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator({**plain(schema), "components": plain(DOCUMENT["components"])}).validate(value)


def test_the_document_is_valid_and_made_without_a_warning(tmp_path):
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yaml"))


def test_every_view_of_the_api_is_described_with_its_methods():
    views = {pattern.callback.cls for pattern in api_patterns()}
    assert len(views) >= 10
    for view in views:
        assert (
            set(view.operations) == {method.upper() for method in METHODS if hasattr(view, method)}
            or view.schema is None
        )
    in_document = {operation["operationId"] for _, _, operation in described()}
    assert in_document == {
        f"{view.__name__}_{method.lower()}" for view in views if view.schema is not None for method in view.operations
    }


@pytest.mark.parametrize(("path", "method"), [(path, method) for path, method, _ in described()])
def test_the_arguments_that_are_accepted_are_those_that_are_described(operator, path, method):
    documented = in_url(DOCUMENT["paths"][path][method])
    for name in EVERY_ARGUMENT:
        answer = operator.client.generic(method.upper(), f"{fill(path)}?{quote(name)}=1")
        # The value itself may be refused, and is then told.
        is_unknown = f'Unknown argument: "{name}"'.encode() in answer.content.replace(b'\\"', b'"')
        assert is_unknown == (name not in documented), (name, answer.content)


def test_every_example_is_of_its_schema():
    count = 0
    for path, method, operation in described():
        bodies = [operation["requestBody"]["content"]] if "requestBody" in operation else []
        contents = [*bodies, *(answer.get("content", {}) for answer in operation["responses"].values())]
        for content in contents:
            for media in content.values():
                assert media.get("examples") or path == "/v2/meters/{meter}", (path, method)
                for example in media.get("examples", {}).values():
                    check(example["value"], media["schema"])
                    count += 1
        for parameter in operation.get("parameters", ()):
            for example in parameter.get("examples", {}).values():
                schema = parameter["schema"]
                check(example["value"], schema["items"] if schema.get("type") == "array" else schema)
    assert count > 50


def test_every_operation_says_how_to_be_let_in_and_what_can_go_wrong():
    for path, _, operation in described():
        assert operation["summary"]
        assert operation["description"]
        assert {"400", "406"} <= set(operation["responses"])
        if path.startswith("/v2/"):
            assert {"401", "403", "429", "503"} <= set(operation["responses"])
            assert {name for scheme in operation["security"] for name in scheme} == {
                "X-Auth-Token", "Authorization", "session"
            }  # fmt: skip
        else:
            assert operation.get("security", [{}]) == [{}]
    assert set(DOCUMENT["components"]["securitySchemes"]) == {"X-Auth-Token", "Authorization", "session"}


@pytest.mark.parametrize(
    ("query", "accept", "media_type"),
    [
        ("", "*/*", "application/json"),
        ("", "application/vnd.oai.openapi+json", "application/vnd.oai.openapi+json"),
        ("", "application/yaml", "application/yaml; charset=utf-8"),
        ("?format=yaml", "*/*", "application/yaml; charset=utf-8"),
        ("?format=json", "text/html", "application/json"),
    ],
)
@pytest.mark.parametrize("path", ["/schema/", "/schema"])
def test_the_document_comes_as_json_and_as_yaml_without_a_store(path, query, accept, media_type):
    answer = Client(headers={"Accept": accept}).get(path + query)
    assert (answer.status_code, answer["Content-Type"]) == (200, media_type)
    read = yaml.safe_load if "yaml" in media_type else json.loads
    document = read(answer.content)
    assert document["paths"] == DOCUMENT["paths"]
    assert document["servers"] == [{"url": "http://testserver"}]
    assert Client().get("/schema/?format=xml").status_code == 400


def test_a_browser_is_led_to_a_page_of_local_files(db):
    browser = Client(headers={"Accept": "text/html,*/*;q=0.8"})
    answer = browser.get("/schema/", follow=True)
    assert answer.request["PATH_INFO"] == "/schema/ui/"
    page = answer.content.decode()
    assert "http" not in page.replace("https://", "http://").split("<main>")[1]
    for name in ("swagger-ui-dist/swagger-ui-bundle.js", "swagger-ui-dist/swagger-ui.css"):
        assert browser.get(f"/static/drf_spectacular_sidecar/{name}").status_code == 200
    assert browser.get("/static/metering/schema.js").status_code == 200


schema = schemathesis.openapi.from_dict(DOCUMENT)
schema.app = application


@pytest.fixture
def one_connection(db) -> Iterator[None]:
    """Requests leave the connection open, and with it the test's transaction; Django's own test client does the same."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def cloud(one_connection, settings) -> Caller:
    """Something to be found, and an operator to find it, who may ask as often as it takes."""
    settings.CELOMETER_API_REQUESTS_PER_MINUTE = settings.CELOMETER_API_FAILURES_PER_MINUTE = 1_000_000
    store_samples(
        [
            make_sample(volume="12.5", metadata={"flavor": {"name": "small", "disk": 5}}),
            make_sample(meter="memory", unit="MB", volume=512, project=None, user=None),
        ]
    )
    store_event(id="event-1", type="compute.instance.create.end", memory_mb=512, at="2016-01-05T10:00:00")
    return Caller("operator", operator=True)


@schema.parametrize()
@bounds(
    max_examples=40,
    derandomize=True,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_whatever_the_schema_allows_is_answered_as_it_says(case, cloud):
    # Which arguments may stand together is told in words: a schema cannot say it.
    case.call_and_validate(
        headers={"X-Auth-Token": cloud.token}, excluded_checks=[schemathesis.checks.positive_data_acceptance]
    )
