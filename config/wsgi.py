"""The API's entry point for a WSGI server: ``gunicorn config.wsgi``."""

from __future__ import annotations

from django.core.wsgi import get_wsgi_application

from config import env

env.select_settings()
application = get_wsgi_application()
