from __future__ import annotations

import socket
from ipaddress import ip_network

import pytest

from tests.agents.pipeline.publishers.web_server import WebServer


@pytest.fixture
def local_allowed(settings):
    """This machine stands for the public internet."""
    settings.CELOMETER_WEBHOOK_ALLOW = [ip_network("127.0.0.0/8"), ip_network("::1/128")]


@pytest.fixture
def nothing_allowed(settings, local_allowed):
    settings.CELOMETER_WEBHOOK_ALLOW = []


@pytest.fixture
def serve():
    """Start web servers that are closed after the test."""
    servers = []

    def start(*answers, **options):
        servers.append(WebServer(*answers, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def names(monkeypatch):
    """The far network's names: ``names["hook.example"] = [["8.8.8.8"], ["127.0.0.1"]]``: an answer for each question, the last for ever."""
    answers: dict[str, list[list[str]]] = {}
    asked: list[str] = []
    real = socket.getaddrinfo

    def getaddrinfo(host, port, *arguments, **options):
        if host not in answers:
            return real(host, port, *arguments, **options)
        asked.append(host)
        turn = answers[host].pop(0) if len(answers[host]) > 1 else answers[host][0]
        return [
            (socket.AF_INET6 if ":" in text else socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, port))
            for text in turn
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    answers_with_log = Names(answers)
    answers_with_log.asked = asked
    return answers_with_log


class Names(dict):
    """Shares its entries with the resolver."""

    asked: list[str]

    def __init__(self, shared):
        super().__init__()
        self._shared = shared

    def __setitem__(self, name, answers):
        self._shared[name] = answers
        super().__setitem__(name, answers)
