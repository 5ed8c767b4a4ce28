"""Pages of docs/ whose examples are run: their commands, and what stands below them."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from django.test import Client

from tests.metering.api.conftest import Caller

__all__ = ["Example", "Reader", "check_page", "examples"]

SERVER = "http://127.0.0.1:8777"
# What is another one every time.
CHANGING = (
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "ID"),
    (re.compile(r"marker=[\w-]+"), "marker=M"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}"), "TIME"),
    (re.compile(r"http://testserver"), SERVER),
    (re.compile(r"(whsec|whpk)_[\w+/=]+"), r"\1_KEY"),
)


class Example(NamedTuple):
    """A command of the page, and what stands below it."""

    command: str
    shown: str


def examples(text: str) -> Iterator[Example]:
    for block in re.findall(r"^```console\n(.*?)^```", text, re.M | re.S):
        for example in re.split(r"^\$ ", block, flags=re.M)[1:]:
            lines = example.splitlines()
            # A command ends where its quotes are closed.
            end = next(number for number in range(1, len(lines) + 1) if is_whole("\n".join(lines[:number])))
            yield Example("\n".join(lines[:end]), "\n".join(lines[end:]).strip())


def is_whole(command: str) -> bool:
    try:
        return bool(shlex.split(command))
    except ValueError:
        return False


class Reader:
    """Runs commands as a reader of the page does."""

    def __init__(self) -> None:
        operator = Caller("operator", operator=True)
        self.known = {"API": "", "TOKEN": Caller("alice", "p1").token, "OPERATOR": operator.token}
        self.paths: set[str] = set()

    def run(self, command: str) -> tuple[str, Any]:
        """What a command prints above its body (with -i), and the body as JSON."""
        # Quotes are a shell's: in single ones nothing is filled in.
        filled = re.sub(r"\$([A-Z]+)(?=[^']*(?:'[^']*'[^']*)*$)", lambda name: self.known[name[1]], command)
        program, *words = shlex.split(filled)
        assert program == "curl"
        headers, body, method, with_headers, url = {}, None, None, False, ""
        while words:
            word = words.pop(0)
            if word == "-H":
                name, _, value = words.pop(0).partition(": ")
                headers[name] = value
            elif word in ("-d", "-X"):
                body, method = (words.pop(0), method) if word == "-d" else (body, words.pop(0))
            elif word == "-i":
                with_headers = True
            else:
                url = word
        media_type = headers.pop("Content-Type", "application/x-www-form-urlencoded")
        answer = Client(headers=headers).generic(
            method or ("POST" if body else "GET"), url, body or "", content_type=media_type if body else ""
        )
        self.paths.add(url.partition("?")[0])
        read = answer.json() if answer.content else None
        entry = read[0] if isinstance(read, list) and read else read
        if isinstance(entry, dict):
            self.known["SAMPLE"] = str(entry.get("id", entry.get("message_id", "")))
            self.known["ID"] = str(entry.get("id", self.known.get("ID", "")))
            self.known["ALARM"] = entry.get("alarm_id", self.known.get("ALARM", ""))
        shown = [f"HTTP/1.1 {answer.status_code} {answer.reason_phrase}"] + [f"{k}: {v}" for k, v in answer.items()]
        return "\n".join(shown) if with_headers else "", read


def steady(value: Any) -> Any:
    """The same, without what is another one every time."""
    if isinstance(value, dict):
        return {name: "TIME" if name == "recorded_at" and entry else steady(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [steady(entry) for entry in value]
    if isinstance(value, str):
        for pattern, word in CHANGING:
            value = pattern.sub(word, value)
    return value


def check_page(page: Path, reader: Reader) -> int:
    """Run every example of the page, in their order, and compare its answer; returns how many there are."""
    count = 0
    for example in examples(page.read_text()):
        head, body = reader.run(example.command)
        shown_head, _, shown_body = example.shown.partition("\n\n") if head else ("", "", example.shown)
        # Of the headers the page shows those that it speaks of.
        assert set(map(steady, shown_head.splitlines())) <= set(map(steady, head.splitlines())), example.command
        assert steady(json.loads(shown_body) if shown_body else None) == steady(body), example.command
        count += 1
    return count
