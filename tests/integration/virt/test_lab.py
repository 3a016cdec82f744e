"""The lab itself: what other tests stand on."""

from __future__ import annotations

import os

import redis
from django.conf import settings

from dashboard.virt.pool import borrow
from tests.lab.guests import LabGuest
from tests.lab.hosts import LabHost


def test_settings_point_at_private_places_only() -> None:
    assert str(settings.STATE_DIR).startswith("/tmp/kvmweb-test-")
    assert os.environ["KVMWEB_REDIS_URL"] == settings.REDIS_URL


def test_a_lab_host_is_not_this_machine(lab_host: LabHost) -> None:
    with borrow(lab_host.spec("local")) as conn:
        assert conn.getHostname() == "h1.lab"


def test_redis_is_private_and_empty(redis_client: redis.Redis) -> None:
    assert redis_client.dbsize() == 0


def test_the_tiny_guest_gets_an_address(tiny_guest: LabGuest) -> None:
    assert "192.168.122." in tiny_guest.wait_for_line(r"TINY dhcp \S+ \S+", seconds=60)
