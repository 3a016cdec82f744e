"""Clocks that are wrong are told of on every page, and nothing is taken for dead or alive by them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils.html import strip_tags

from dashboard.consoles import tickets
from dashboard.consoles.refusals import Refused
from dashboard.inventory import bus, clocks
from dashboard.inventory.models import Host
from tests.integration.inventory.mirror import Mirror
from tests.lab.clock import WrongClock

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def plain_static(settings: Any) -> None:
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}


def banner(mirror: Mirror, role: str = "administrator") -> str:
    """What a page says about clocks."""
    client = Client()
    client.force_login(mirror.person(f"reader{time.monotonic_ns()}", role))
    html = client.get("/").content.decode()
    start = html.find('id="clock-banner"')
    return "" if start < 0 else strip_tags(html[start - 5 : html.find("</div>", start)])


def test_a_monitor_whose_clock_is_an_hour_behind_lives_and_is_named(mirror: Mirror) -> None:
    mirror.web()
    mirror.monitor(**WrongClock(mirror.folder, -3600).env)
    page = mirror.open()
    mirror.until(lambda: clocks.skewed(), 15, "somebody has noticed")
    assert "monitor" in banner(mirror)
    # Measured on a busy machine, an hour may lack some seconds.
    assert re.search(r" is (1 h 0 min|59 min 5\d s) behind", banner(mirror))
    time.sleep(4)
    assert not [one for one in page.said if one.get("monitor") is False], "it lives all the same"


def test_clocks_that_agree_are_not_spoken_of(mirror: Mirror) -> None:
    mirror.monitor()
    mirror.until(lambda: bus.client().hlen(clocks.KEY) >= 2, 15, "monitor and database were compared")
    told = {name: json.loads(text)[0] for name, text in bus.client().hgetall(clocks.KEY).items()}
    assert all(abs(seconds) < 2 for seconds in told.values()), told
    assert banner(mirror) == ""


def test_a_host_whose_file_was_made_in_the_future_has_a_wrong_clock(mirror: Mirror) -> None:
    host = Host.objects.create(name="ahead", transport="test")
    began = time.time()
    clocks.note_host(host, began + 400, began)
    assert [(skew.name, round(skew.seconds), skew.host) for skew in clocks.skewed()] == [("ahead", 400, True)]
    assert "ahead is 6 min" in banner(mirror)
    clocks.note_host(host, time.time(), began)
    assert clocks.skewed() == []
    clocks.note_host(host, began - 100, began)
    assert round(clocks.skewed()[0].seconds) == -100
    assert "behind" in banner(mirror)


ISSUE = """
from dashboard.consoles.tickets import Ticket, digest, issue
print(issue(Ticket(1, digest("k" * 32), 1, "u", "vnc", "guest.console", False)))
"""


@pytest.mark.parametrize("seconds", [3600, -3600])
def test_a_ticket_from_a_web_process_whose_clock_is_wrong_opens_its_console_and_ends_in_time(
    mirror: Mirror, tmp_path: Path, seconds: int
) -> None:
    wrong = WrongClock(tmp_path, seconds).env
    argv = [sys.executable, "manage.py", "shell", "-v", "0", "-c", ISSUE]
    first, second = (
        subprocess.run(
            argv, cwd=ROOT, env=os.environ | wrong, check=True, capture_output=True, text=True
        ).stdout.strip()
        for _ in range(2)
    )
    assert tickets.redeem(first, session_key="k" * 32, kind="vnc").uuid == "u"
    key = f"kvmweb:ticket:{tickets.digest(second)}"
    assert 0 < bus.client().ttl(key) <= tickets.SECONDS, "by the clock of Redis alone"
    bus.client().pexpire(key, 1)
    time.sleep(0.05)
    with pytest.raises(Refused):
        tickets.redeem(second, session_key="k" * 32, kind="vnc")
