"""A node that measures. There is no database here: a query raises."""

from __future__ import annotations

from config import env

from .base import *

INSTALLED_APPS = ["agents"]
DATABASES = {"default": {"ENGINE": "django.db.backends.dummy"}}
# Django wants one; nothing on this side signs with it.
SECRET_KEY = "agents sign with their Ed25519 key"

CELOMETER_LIBVIRT_URI = env.text("CELOMETER_LIBVIRT_URI")
CELOMETER_AGENT_KEY = env.text("CELOMETER_AGENT_KEY", str(CELOMETER_HOME / "agent" / "key.pem"))
CELOMETER_TRUSTED_KEYS = env.text("CELOMETER_TRUSTED_KEYS", str(CELOMETER_HOME / "agent" / "trusted"))
CELOMETER_NOTIFICATION_URLS = env.text("CELOMETER_NOTIFICATION_URLS")
# Where the transform role keeps the state of transformers; "" where there is none.
CELOMETER_STATE_URL = env.state_url()
CELOMETER_LABELS = {
    name: value
    for name, value in (("region", env.text("CELOMETER_REGION")), ("zone", env.text("CELOMETER_ZONE")))
    if value
}
# Networks that webhooks may reach although they are not public; the relay that mails go through, and in whose name.
CELOMETER_WEBHOOK_ALLOW = env.networks("CELOMETER_WEBHOOK_ALLOW")
CELOMETER_SMTP_URL = env.smtp_url("CELOMETER_SMTP_URL")
CELOMETER_MAIL_FROM = env.text("CELOMETER_MAIL_FROM", f"celometer@{env.node()}")
# The outbox keeps sent batches this long, and stops polling rather than grow past this size.
CELOMETER_OUTBOX_KEEP_SECONDS = 24 * 3600
CELOMETER_OUTBOX_MAX_BYTES = (env.integer("CELOMETER_OUTBOX_MAX_MEGABYTES", 2048) or 0) * 1024 * 1024
