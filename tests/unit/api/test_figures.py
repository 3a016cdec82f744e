"""/metrics: what Prometheus reads, who may, and that it costs the same whatever there is."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import DjangoAssertNumQueries

from dashboard.accounts.models import Grant, User
from dashboard.api import figures
from dashboard.inventory import bus, metrics
from dashboard.inventory.models import Guest, Host, Pool
from dashboard.jobs.models import Job
from tests.lab.redis import RedisServer
from tests.unit.api.conftest import Script, client_of

Values = dict[tuple[str, frozenset[tuple[str, str]]], float]


def read(client: Client, query: str = "") -> Values:
    answer = client.get(f"/metrics{query}")
    assert answer.status_code == 200, answer.content
    assert answer["Content-Type"].startswith("text/plain")
    families = text_string_to_metric_families(answer.content.decode())
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families for sample in family.samples
    }  # fmt: skip


def value(values: Values, name: str, **labels: str) -> float:
    return values[name, frozenset(labels.items())]


@pytest.fixture
def redis(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.flushall()


def sample(cpu: float, used: int | None = 512) -> list[Any]:
    return [1, cpu, used, 1024, 10, 20, 30, 40]


def fill(host: Host, number: int) -> list[Guest]:
    return Guest.objects.bulk_create(
        Guest(host=host, uuid=uuid.uuid4(), name=f"{host.name}{n}", state="running", vcpus=2) for n in range(number)
    )


def test_only_who_may_read_the_figures_gets_them(redis: None, viewer: User, administrator: User) -> None:
    assert Client(HTTP_HOST="127.0.0.1").get("/metrics").status_code == 401
    assert client_of(viewer).get("/metrics").status_code == 403
    assert client_of(administrator).get("/metrics").status_code == 200
    assert Script(administrator).get("/metrics").status_code == 200
    assert Script(administrator, role="viewer").get("/metrics").status_code == 403


def test_hosts_guests_pools_and_jobs_are_told_by_name(redis: None, administrator: User, host: Host) -> None:
    one, two = fill(host, 2)
    Guest.objects.create(host=host, uuid=uuid.uuid4(), name='od"d\\\n', state="shutoff")
    down = Host.objects.create(name="dark", transport="test", status="down")
    fill(down, 1)
    Pool.objects.create(
        host=host, uuid=(pool := uuid.uuid4()), name="default", state="running", capacity=7, allocation=3
    )
    Job.objects.create(operation="guest.start", state="queued", queue="actions")
    Job.objects.create(operation="guest.start", state="failed")
    metrics.record(host.pk, 1, {str(one.uuid): sample(0.5), str(two.uuid): sample(0.25, None)}, [], tell=False)
    bus.client().set(bus.HEARTBEAT, "1000")
    values = read(Script(administrator))
    assert value(values, "kvmweb_host_up", host="alpha") == 1
    assert value(values, "kvmweb_host_up", host="dark") == 0
    assert value(values, "kvmweb_host_status", host="dark", status="down") == 1
    assert value(values, "kvmweb_guests", host="alpha", state="running") == 2
    assert value(values, "kvmweb_guests", host="alpha", state="shutoff") == 1
    assert value(values, "kvmweb_guests", host="dark", state="unknown") == 1
    here = {"host": "alpha", "guest": "alpha0", "uuid": str(one.uuid)}
    assert value(values, "kvmweb_guest_cpu_ratio", **here) == 0.5
    assert value(values, "kvmweb_guest_memory_used_bytes", **here) == 512 * 1024
    assert value(values, "kvmweb_guest_network_sent_bytes_per_second", **here) == 40
    assert (
        "kvmweb_guest_memory_used_bytes",
        frozenset({**here, "guest": "alpha1", "uuid": str(two.uuid)}.items()),
    ) not in values
    assert value(values, "kvmweb_host_guests_cpus_used", host="alpha") == 1.5
    assert value(values, "kvmweb_host_guests_disk_read_bytes_per_second", host="alpha") == 20
    assert value(values, "kvmweb_pool_allocation_bytes", host="alpha", pool="default", uuid=str(pool)) == 3
    assert value(values, "kvmweb_jobs_active", operation="guest.start", state="queued") == 1
    assert value(values, "kvmweb_jobs_last_hour", operation="guest.start", state="failed") == 1
    assert value(values, "kvmweb_jobs_queued", queue="actions") == 1
    assert value(values, "kvmweb_queue_length", queue="actions") == 0
    assert value(values, "kvmweb_monitor_heartbeat_age_seconds") > 1000
    assert value(values, "kvmweb_redis_up") == 1
    assert value(values, "kvmweb_consoles") == 0
    assert value(values, "kvmweb_live_pages") == 0
    assert value(values, "process_resident_memory_bytes") > 0


def test_who_may_on_one_host_is_told_of_that_host_only(redis: None, host: Host) -> None:
    fill(Host.objects.create(name="beta", transport="test", status="live"), 1)
    person = User.objects.create_user("nora")
    Grant.objects.create(user=person, role="administrator", place="host", key=str(host.pk))
    values = read(client_of(person))
    assert {dict(labels).get("host", "alpha") for _name, labels in values} == {"alpha"}
    assert not [name for name, _labels in values if name.startswith(("process_", "kvmweb_jobs", "kvmweb_queue"))]
    assert read(client_of(person), "?host=beta").keys() == {("kvmweb_guests_left_out", frozenset())}


def test_series_are_bounded_and_the_rest_is_asked_for_host_by_host(
    redis: None, administrator: User, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "MOST_GUESTS", 3)
    other = Host.objects.create(name="beta", transport="test", status="live")
    for place in (host, other):
        metrics.record(place.pk, 1, {str(one.uuid): sample(1) for one in fill(place, 3)}, [], tell=False)
    whole = read(client_of(administrator))
    assert len([name for name, _labels in whole if name == "kvmweb_guest_cpu_ratio"]) == 3
    assert value(whole, "kvmweb_guests_left_out") == 3
    assert value(whole, "kvmweb_host_guests_cpus_used", host="beta") == 6, "sums leave nobody out"
    part = read(client_of(administrator), "?host=beta")
    assert len([name for name, _labels in part if name == "kvmweb_guest_cpu_ratio"]) == 3
    assert value(part, "kvmweb_guests_left_out") == 0


def test_it_costs_as_many_queries_for_many_as_for_few(
    redis: None, administrator: User, host: Host, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    script = Script(administrator)
    fill(host, 1)
    script.get("/metrics")
    with django_assert_max_num_queries(20) as few:
        script.get("/metrics")
    for number in range(20):
        fill(Host.objects.create(name=f"h{number}", transport="test", status="live"), 50)
    with django_assert_max_num_queries(len(few)):
        script.get("/metrics")


def test_without_redis_what_the_database_knows_is_told(administrator: User, host: Host, monkeypatch: Any) -> None:
    def away() -> Any:
        raise bus.BusError

    monkeypatch.setattr(bus, "client", away)
    values = read(client_of(administrator))
    assert value(values, "kvmweb_redis_up") == 0
    assert value(values, "kvmweb_host_up", host="alpha") == 1
