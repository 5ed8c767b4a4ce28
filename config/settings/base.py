"""What both sides share: time in UTC, logging, the broker's name."""

from __future__ import annotations

from config import env

DEBUG = False
USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = False
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"

CELOMETER_HOME = env.home()
CELOMETER_NODE = env.node()
CELOMETER_CONFIG_DIR = env.text("CELOMETER_CONFIG_DIR")
CELOMETER_DEFAULTS_DIR = env.REPOSITORY / "config" / "defaults"
CELOMETER_POLL_INTERVAL = env.integer("CELOMETER_POLL_INTERVAL", None)

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.text("CELOMETER_LOG_LEVEL", "INFO")},
    "loggers": {
        # A line for every task and every request says nothing that the store does not.
        "celery.app.trace": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
        "django.server": {"level": "WARNING"},
    },
}
