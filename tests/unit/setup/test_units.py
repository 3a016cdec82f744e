"""Which services get a network."""

from __future__ import annotations

import pytest

from deploy import units


@pytest.mark.parametrize(
    ("url", "network"),
    [
        ("", "yes"),
        ("postgresql://kvmweb@/kvmweb?host=/run/postgresql", "yes"),
        ("postgresql://kvmweb@/kvmweb", "yes"),
        ("postgresql://kvmweb:secret@db.example.org/kvmweb?sslmode=verify-full", "no"),
        ("postgresql://kvmweb@/kvmweb?host=db.example.org", "no"),
        ("postgresql://kvmweb@127.0.0.1:5433/kvmweb", "no"),
    ],
)
def test_pages_have_a_network_only_where_the_database_is_reached_by_it(
    url: str, network: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KVMWEB_DATABASE_URL", url)
    assert units.values()["DATABASE_PRIVATE_NETWORK"] == network
    assert ("AF_INET" in units.values()["DATABASE_FAMILIES"]) is (network == "no")
