"""The API's entry point for a WSGI server: ``gunicorn config.wsgi``."""

from __future__ import annotations

from django.core.wsgi import get_wsgi_application

# Importing the app chooses the settings, and makes it the one that tasks are sent by.
from .celery import app as celery_app

__all__ = ["application", "celery_app"]

application = get_wsgi_application()
