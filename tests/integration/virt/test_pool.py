"""Lending connections: each to one at a time, dead ones replaced, other hosts left alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import libvirt
import pytest

from dashboard.virt import pool as pools
from dashboard.virt.errors import VirtError
from dashboard.virt.pool import CONNECTIONS_PER_HOST, HostPool
from tests.lab.hosts import LabHost, wait_for


@pytest.fixture
def pool() -> Iterator[HostPool]:
    pool = HostPool()
    yield pool
    pool.close()


def test_a_connection_is_lent_again(lab_host: LabHost, pool: HostPool) -> None:
    with pool.borrow(lab_host.spec()) as first:
        pass
    with pool.borrow(lab_host.spec()) as second:
        assert second is first


def test_no_connection_is_lent_to_two_at_once(lab_host: LabHost, pool: HostPool) -> None:
    places = CONNECTIONS_PER_HOST
    lent: list[int] = []
    hold, lock = threading.Event(), threading.Lock()

    def work() -> None:
        with pool.borrow(lab_host.spec()) as conn:
            with lock:
                lent.append(id(conn))
            hold.wait(20)

    threads = [threading.Thread(target=work) for _ in range(places)]
    for thread in threads:
        thread.start()
    wait_for(lambda: len(lent) == places, seconds=10, saying="everybody has a connection")
    assert len(set(lent)) == places
    with pytest.raises(VirtError) as raised, pool.borrow(lab_host.spec(), wait=0.2):
        pass
    assert raised.value.code == "busy"
    hold.set()
    for thread in threads:
        thread.join()


def test_a_connection_that_died_is_replaced(lab_host: LabHost, pool: HostPool) -> None:
    with pool.borrow(lab_host.spec()) as first:
        pass
    try:
        lab_host.kill_libvirtd()
        wait_for(lambda: not first.isAlive(), seconds=2)
    finally:
        lab_host.start_libvirtd()
    with pool.borrow(lab_host.spec()) as second:
        assert second is not first
        assert second.getHostname() == "h1.lab"


def test_a_libvirtd_that_hangs_does_not_keep_its_borrower(
    lab_host: LabHost, pool: HostPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "SUSPICIOUS_SECONDS", 3.0)
    impatient = HostPool()
    try:
        with pytest.raises(VirtError) as raised, impatient.borrow(lab_host.spec()) as conn:
            lab_host.kill_libvirtd("STOP")
            conn.listAllDomains()
        assert raised.value.code == "unreachable"
    finally:
        lab_host.kill_libvirtd("CONT")
        impatient.close()


def test_libvirts_errors_come_out_translated(lab_host: LabHost, pool: HostPool) -> None:
    with pytest.raises(VirtError) as raised, pool.borrow(lab_host.spec()) as conn:
        conn.lookupByName("nobody")
    assert raised.value.code == "not_found"


def test_changed_credentials_are_used_at_once(lab_host: LabHost, pool: HostPool) -> None:
    with pool.borrow(lab_host.spec("tcp")) as first:
        pass
    with pytest.raises(VirtError) as raised, pool.borrow(replace(lab_host.spec("tcp"), password="wrong")):
        pass
    assert raised.value.code == "auth"
    with pool.borrow(lab_host.spec("tcp")) as second:
        assert second is not first


def test_a_forgotten_host_is_disconnected_even_from_those_who_use_it_last(lab_host: LabHost, pool: HostPool) -> None:
    spec = lab_host.spec("tcp")
    with pool.borrow(spec) as conn:
        pool.forget(spec.key)
        assert conn.getHostname() == "h1.lab"
    with pytest.raises(libvirt.libvirtError):
        conn.getHostname()


def test_only_the_hosts_that_are_still_wanted_stay_connected(lab_host: LabHost, pool: HostPool) -> None:
    kept, removed = lab_host.spec(key="kept"), lab_host.spec(key="removed")
    with pool.borrow(kept) as first, pool.borrow(removed) as second:
        pass
    pool.keep_only({"kept"})
    assert first.isAlive()
    with pytest.raises(libvirt.libvirtError):
        second.getVersion()
    with pool.borrow(kept) as again:
        assert again is first


def test_many_who_want_an_absent_host_all_hear_so(lab_host: LabHost, pool: HostPool) -> None:
    spec = lab_host.spec("tcp", port=1)
    heard: list[str] = []

    def work() -> None:
        try:
            with pool.borrow(spec):
                pass
        except VirtError as error:
            heard.append(error.code)

    threads = [threading.Thread(target=work) for _ in range(8)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert heard == ["unreachable"] * 8
    assert time.monotonic() - started < 5


def test_the_module_has_one_pool_per_process(lab_host: LabHost) -> None:
    spec = lab_host.spec(key="module")
    with pools.borrow(spec) as conn:
        assert pools.pool().pid
        assert conn.isAlive()
    pools.pool().forget("module")
