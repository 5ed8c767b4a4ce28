"""The server side: store, collector, housekeeping, API, admin."""

from __future__ import annotations

from datetime import date, timedelta

from config import env
from config.databases import parse_database_url
from config.secrets import read_or_create
from metering.messages import PrivateKey

from .base import *

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.staticfiles",
    "axes",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "rest_framework",
    "metering",
    "agents",
    "alarms",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
APPEND_SLASH = False
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "metering.api.site.describe_site",
            ]
        },
    }
]
STATIC_URL = "/static/"
# Static files are served from the packages themselves: nothing to collect, nothing to forget.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False

ALLOWED_HOSTS = env.text("CELOMETER_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]").split(",")
USE_X_FORWARDED_HOST = True
# What agents and collectors share; the server's own tasks may lie on another.
CELOMETER_BROKER_URL = env.broker_url()
SECRET_KEY = read_or_create(CELOMETER_HOME / "run" / "secret.key")
# The API signs what is posted to it, like every other agent what it measures.
CELOMETER_API_KEY_PEM = read_or_create(CELOMETER_HOME / "api" / "key.pem", lambda: PrivateKey.generate().pem())
# Webhooks are signed with this one of the deployment, and with a secret of each project.
CELOMETER_WEBHOOK_KEY_PEM = read_or_create(
    CELOMETER_HOME / "alarms" / "webhook.pem", lambda: PrivateKey.generate().pem()
)

# Without a store nothing is asked instead of it: the socket directory named here is empty.
_NO_STORE = f"postgresql:///celometer?host={CELOMETER_HOME / 'run' / 'no-store'}"
DATABASES = {"default": parse_database_url(env.database_url() or _NO_STORE)}

# A sample may lie this far ahead of the server's clock, and not before the floor date.
CELOMETER_FUTURE_BOUND = env.seconds("CELOMETER_FUTURE_BOUND_SECONDS", timedelta(hours=1), most=timedelta(days=3650))
CELOMETER_FLOOR_DATE = env.day("CELOMETER_FLOOR_DATE", date(2010, 1, 1), earliest=date(1970, 1, 1))
# An agent's clock may run ahead by this much.
CELOMETER_CLOCK_SKEW = timedelta(minutes=5)

# One batch may hold samples of this many weeks (each may need a partition of its own).
CELOMETER_MAX_BATCH_WEEKS = env.integer("CELOMETER_MAX_BATCH_WEEKS", 60)

FORMAT_MODULE_PATH = "config.formats"

REST_FRAMEWORK = {
    "EXCEPTION_HANDLER": "metering.api.errors.handle_exception",
    "DEFAULT_SCHEMA_CLASS": "metering.api.schema.DeclaredSchema",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Celometer",
    "VERSION": "2",
    "DESCRIPTION": (
        "Who used what, how much, when. Version 2 of OpenStack Telemetry's API, and more functions on the same paths. Send a token in "
        "`X-Auth-Token` or `Authorization`; `X-Project-Id` narrows a request to one of the caller's projects. Numbers are exact decimals."
    ),
    "PREPROCESSING_HOOKS": ["metering.api.schema.name_paths"],
    "POSTPROCESSING_HOOKS": ["metering.api.schema.add_components", "alarms.api.answers.add_components"],
    "SORT_OPERATION_PARAMETERS": False,
    "TAGS": [
        {"name": "meters", "description": "What is measured: meters, their samples and statistics; posting samples"},
        {"name": "resources", "description": "What it is measured of"},
        {"name": "samples", "description": "Single measurements"},
        {"name": "events", "description": "What happened"},
        {"name": "event_types", "description": "Which events and traits there are; for operators"},
        {"name": "alarms", "description": "What somebody wants to be told about: definitions, states, history"},
        {"name": "quotas", "description": "How many alarms a project may have"},
        {"name": "query", "description": "Samples, alarms and their history by a filter with and, or, not"},
        {"name": "capabilities", "description": "What this server can do"},
        {"name": "server", "description": "Which versions there are"},
    ],
}
# What is told at /v2/capabilities, by each part of the server of itself.
CELOMETER_CAPABILITIES = ("metering.api.v2.capabilities.describe", "alarms.api.capabilities.describe")
LOGIN_URL = "/login/"
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
# Passwords are not to be guessed: so many failures of one user from one address, and this user waits there. Not of a user alone:
# then anybody could keep an operator out.
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_FAILURE_LIMIT = env.integer("CELOMETER_LOGIN_FAILURES", 5)
AXES_COOLOFF_TIME = timedelta(minutes=env.integer("CELOMETER_LOGIN_WAIT_MINUTES", 10) or 0)
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_LOCKOUT_CALLABLE = "metering.login.answer_locked_out"
AXES_CLIENT_IP_CALLABLE = "metering.api.throttling.address_of"
# Who logged in stands in the log and on the user's page; attempts are lifted by manage.py axes_reset_username.
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False
# A proxy in front says so when its client came by TLS; links in answers then do, too.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
# What one request may cost. Error texts state these bounds.
CELOMETER_API_DEFAULT_LIMIT = 100
CELOMETER_API_MAX_LIMIT = env.integer("CELOMETER_API_MAX_LIMIT", 10_000)
CELOMETER_API_MAX_EVENT_BYTES = 64 * 1024 * 1024
CELOMETER_API_MAX_ARGUMENTS = 200
CELOMETER_API_MAX_CONDITIONS = 50
CELOMETER_API_MAX_FILTER_CHARACTERS = 65_536
CELOMETER_API_MAX_FILTER_DEPTH = 16
CELOMETER_API_MAX_LIST_VALUES = 500
CELOMETER_API_MAX_PATTERN_CHARACTERS = 200
CELOMETER_API_MAX_POSTED_SAMPLES = 10_000
# How many alarms one project and one user may have, -1 for any number; a project's own quota stands in front of the first.
CELOMETER_ALARMS_PER_PROJECT = env.integer("CELOMETER_ALARMS_PER_PROJECT", -1, minimum=-1)
CELOMETER_ALARMS_PER_USER = env.integer("CELOMETER_ALARMS_PER_USER", -1, minimum=-1)
# How many URLs an alarm may tell of one state; 0 for any number.
CELOMETER_ALARM_MAX_ACTIONS = env.integer("CELOMETER_ALARM_MAX_ACTIONS", 100, minimum=0)
CELOMETER_ALARM_MAX_LIMIT = 1_000
# How often one token (or one person's session) may ask, over all processes of the API; and how often tokens may be refused that
# come from one address.
CELOMETER_API_REQUESTS_PER_MINUTE = env.integer("CELOMETER_API_REQUESTS_PER_MINUTE", 6_000)
CELOMETER_API_FAILURES_PER_MINUTE = env.integer("CELOMETER_API_FAILURES_PER_MINUTE", 60)
# Proxies in front of the API: each adds to X-Forwarded-For where its client came from.
CELOMETER_PROXIES = env.integer("CELOMETER_PROXIES", 0, minimum=0)
CELOMETER_STATISTICS_MAX_ROWS = 20_000
CELOMETER_QUERY_TIMEOUT_SECONDS = env.integer("CELOMETER_QUERY_TIMEOUT_SECONDS", 20)
# Alarms are evaluated so often, on the grid of the interval's multiples. They look at samples up to so long ago: nodes measure on the same
# grid, and at its points a poll is in the store in parts. Ten seconds are several times what the way of a batch takes.
CELOMETER_EVALUATION_INTERVAL = env.integer("CELOMETER_EVALUATION_INTERVAL", 60, minimum=1)
CELOMETER_ALARM_LAG = env.seconds("CELOMETER_ALARM_LAG_SECONDS", timedelta(seconds=10), most=timedelta(days=1))
DATA_UPLOAD_MAX_MEMORY_SIZE = 8 * 1024 * 1024
# A store that cannot be reached is told to the caller, not waited for.
# A server that vanished without a word is given up after half a minute; without this the kernel waits for a quarter of an hour.
for _option, _value in {"connect_timeout": "5", "tcp_user_timeout": "30000", "keepalives_idle": "30"}.items():
    DATABASES["default"]["OPTIONS"].setdefault(_option, _value)
