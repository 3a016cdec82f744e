"""The step-by-step check of a host, against real hosts: what each step finds, and what it says to do."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from dashboard.accounts.models import User
from dashboard.hosts import enrol
from dashboard.inventory.models import Host
from dashboard.jobs.models import Job
from dashboard.jobs.runner import run
from dashboard.jobs.service import submit
from tests.lab.hosts import LabHost
from tests.lab.redis import RedisServer

pytestmark = [pytest.mark.django_db(transaction=True)]


@pytest.fixture
def anna(redis_server: RedisServer) -> User:
    return User.objects.create_user("anna", role="administrator")


def ssh_host(anna: User, lab_host: LabHost, **changes: Any) -> Host:
    data = {
        "name": "alpha",
        "transport": "ssh",
        "address": lab_host.address,
        "user": "root",
        "private_key": lab_host.ssh_key.read_text(),
    }
    return enrol.add_host(actor=anna, data=data | changes)


def checked(anna: User, host: Host) -> tuple[Job, dict[str, Any]]:
    job = submit(user=anna, operation="host.check", target=host, params={})
    run(job.pk, threading.Event())
    job.refresh_from_db()
    return job, {row["name"]: row for row in job.result.get("checks", [])}


def test_a_new_ssh_host_first_asks_to_approve_its_key(anna: User, lab_host: LabHost) -> None:
    job, checks = checked(anna, ssh_host(anna, lab_host))
    assert job.state == "failed"
    assert job.error_code == "host_key"
    assert checks["port"]["state"] == "ok"
    assert checks["host_key"]["state"] == "ask"
    assert "sign_in" not in checks
    assert all(key["fingerprint"].startswith("SHA256:") for key in job.result["host_keys"])


def test_with_the_approved_key_every_step_is_shown(anna: User, lab_host: LabHost) -> None:
    host = ssh_host(anna, lab_host)
    job, _ = checked(anna, host)
    enrol.approve_host_keys(actor=anna, host=host, lines=[key["line"] for key in job.result["host_keys"]])
    job, checks = checked(anna, host)
    assert job.state == "succeeded", (job.error, job.error_detail)
    assert {name: row["state"] for name, row in checks.items() if name not in ("kvm", "pool")} == {
        "resolve": "ok",
        "port": "ok",
        "host_key": "ok",
        "sign_in": "ok",
        "version": "ok",
        "write": "ok",
        "network": "ok",
    }
    assert "libvirt" in checks["version"]["text"]


def test_another_host_key_than_the_approved_one_is_never_taken(anna: User, lab_host: LabHost) -> None:
    host = ssh_host(anna, lab_host)
    other = enrol.new_private_key()
    host.host_keys = f"{lab_host.address} {enrol.public_key(ssh_host(anna, lab_host, name='beta', private_key=other)).rsplit(' ', 1)[0]}\n"
    host.save()
    job, checks = checked(anna, host)
    assert job.error_code == "host_key"
    assert checks["host_key"]["state"] == "ask"


def test_a_key_that_is_not_known_on_the_host_comes_with_the_command_that_adds_it(anna: User, lab_host: LabHost) -> None:
    host = ssh_host(anna, lab_host, private_key=enrol.new_private_key())
    job, _ = checked(anna, host)
    enrol.approve_host_keys(actor=anna, host=host, lines=[key["line"] for key in job.result["host_keys"]])
    job, checks = checked(anna, host)
    assert job.state == "failed"
    assert checks["sign_in"]["state"] == "fail"
    assert enrol.public_key(host) in checks["sign_in"]["commands"][0][1]


def test_a_closed_port_says_how_it_is_opened(anna: User, lab_host: LabHost) -> None:
    job, checks = checked(anna, ssh_host(anna, lab_host, port=2222))
    assert job.state == "failed"
    assert checks["port"]["state"] == "fail"
    assert any("systemctl" in lines for _, lines in checks["port"]["commands"])


def test_a_name_that_does_not_resolve_is_told_first(anna: User, lab_host: LabHost) -> None:
    job, checks = checked(anna, ssh_host(anna, lab_host, address="no-such-host.invalid"))
    assert job.state == "failed"
    assert list(checks) == ["resolve"]


def test_no_secret_reaches_a_job_its_log_or_its_result(anna: User, lab_host: LabHost) -> None:
    job, _ = checked(anna, ssh_host(anna, lab_host))
    everything = str(job.__dict__) + str(list(job.lines.values()))
    assert "PRIVATE KEY" not in everything
