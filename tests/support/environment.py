"""A pytest plugin, loaded before Django's settings are: a home of its own and real servers for this test run.

Servers that the environment names are used as they are; without any, PostgreSQL and the broker of the wheels are started.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

from tests.support.servers import ensure_servers

os.environ["CELOMETER_SETTINGS"] = "server"
if "CELOMETER_TESTS_HOME" not in os.environ:
    os.environ["CELOMETER_TESTS_HOME"] = tempfile.mkdtemp(prefix="celometer-home-")
    atexit.register(shutil.rmtree, os.environ["CELOMETER_TESTS_HOME"], ignore_errors=True)
os.environ["CELOMETER_HOME"] = os.environ["CELOMETER_TESTS_HOME"]
if "CELOMETER_DATABASE_URL" not in os.environ:
    os.environ["CELOMETER_DATABASE_URL"] = ensure_servers().database_url
if "CELOMETER_BROKER_URL" not in os.environ:
    os.environ["CELOMETER_BROKER_URL"] = ensure_servers().broker_url
