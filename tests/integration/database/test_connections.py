"""A handful of connections is enough for many hosts: none is held while somebody waits for something else."""

from __future__ import annotations

import socket
import time

import psycopg
import pytest

from dashboard.inventory import credentials
from dashboard.inventory.models import Host
from dashboard.jobs.lease import LEASE
from tests.integration.inventory.mirror import Mirror
from tests.integration.jobs.conftest import Plant
from tests.lab.database import Database
from tests.lab.hosts import LabHost

FEW, MANY = 3, 12


def test_hosts_that_hang_keep_no_connection_from_those_that_answer(
    mirror: Mirror, its_database: Database, lab_host: LabHost
) -> None:
    with socket.socket() as silent:  # takes connections and says nothing
        silent.bind(("127.0.0.1", 0))
        silent.listen(100)
        for number in range(MANY):
            host = Host(name=f"a{number}", transport="tcp", address="127.0.0.1", port=silent.getsockname()[1], user="x")
            credentials.store_secrets(host, password="secret")
            host.save()
        mirror.monitor(KVMWEB_DATABASE_CONNECTIONS=str(FEW))
        mirror.live(mirror.add(lab_host), 15)
        with psycopg.connect(its_database.url) as connection:
            found = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = %s",
                [f"kvmweb {mirror.processes['monitor'].pid}"],
            ).fetchone()
        assert found is not None
        assert 1 <= found[0] <= FEW


def test_jobs_that_wait_for_their_hosts_keep_no_connection_from_the_leases(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KVMWEB_DATABASE_CONNECTIONS", str(FEW))
    plant.worker()
    hold = plant.trap("hold-before-two")
    jobs = [plant.submit(tail=f"t{number}") for number in range(8)]
    plant.until(lambda: plant.calls().count("make one") == len(jobs), 20, "all are in the middle of a step")
    time.sleep(LEASE + 4)
    hold.unlink()
    for job in jobs:
        ended = plant.ended(job, 20)
        assert (ended.state, ended.attempt) == ("succeeded", 1)
