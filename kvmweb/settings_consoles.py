"""Settings of the two console processes: the rooms whose tables they read, without pages, jobs and their libraries.

Each costs 8 MiB less for it, for as long as the machine runs.
"""

from __future__ import annotations

from kvmweb.settings import *  # noqa: F403
from kvmweb.settings import DATABASES

# The gateway forks a process for each screen: what a pool holds may not be shared with it.
DATABASES["default"].get("OPTIONS", {}).pop("pool", None)

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "dashboard.accounts",
    "dashboard.inventory",
    "dashboard.consoles",
]
