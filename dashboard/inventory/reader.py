"""One host's picture: reads it from libvirt, whole or one object, writes what differs and publishes what changed."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from django.utils import timezone

from dashboard.inventory import metrics, publish, side, store
from dashboard.inventory.database import persist
from dashboard.inventory.models import Guest, Host, Network, Pool
from dashboard.inventory.store import Seen, Values
from dashboard.virt import guests, networks, nodes
from dashboard.virt.connection import Connection
from dashboard.virt.errors import VirtError
from dashboard.virt.facts import GuestState

log = logging.getLogger(__name__)

T = TypeVar("T")


class Reader:
    """Used by one thread. `live` is set once the first full comparison stands in the database."""

    def __init__(self, host: Host, connection: Connection, stopped: Callable[[], bool]) -> None:
        self.host = host
        self.live = False
        self.states: dict[str, GuestState] = {}
        """Every guest's state as last read."""
        self.calling_since: float | None = None
        """When the libvirt call that runs now was begun; read by the watchdog."""
        self._connection = connection
        self._stopped = stopped

    # -- everything

    def compare(self) -> None:
        """Make guests and networks those of the host; tell what changed, or, the first time, that all of it is live."""
        news = self._compare_host()
        with self._calling() as conn:
            told = guests.read_guests(conn)
        with self._calling() as conn:
            nets = networks.read_networks(conn)
        difference = self._persist(lambda: store.compare_guests(self.host, told))
        net_difference = self._persist(lambda: store.compare_networks(self.host, nets))
        self.states = {facts.uuid: facts.state for facts in told}
        if difference.gone:
            metrics.forget(self.host.pk, difference.gone)
        generation = self.host.generation + 1
        self._persist(lambda: store.touch(self.host, generation=generation, last_seen=timezone.now()))
        if not self.live:
            return
        news += [store.guest_message(self.host, guest) for guest in difference.changed]
        news += [store.network_message(self.host, network) for network in net_difference.changed]
        news += [store.gone_message("guest", self.host, uuid) for uuid in difference.gone]
        news += [store.gone_message("network", self.host, uuid) for uuid in net_difference.gone]
        publish.publish_many(news)

    def go_live(self) -> None:
        """Say that what the database holds of this host is true now, object by object."""
        now = timezone.now()
        self._persist(lambda: store.set_status(self.host, Host.Status.LIVE, connected_at=now, last_seen=now))
        self.live = True
        publish.publish_many(whole_host(self.host))

    def touch(self) -> None:
        """Note that the host still answers."""
        self._persist(lambda: store.touch(self.host, last_seen=timezone.now()))

    def reload(self) -> None:
        """Take over what people changed on the host's own row."""
        self._persist(lambda: self.host.refresh_from_db())
        publish.publish(store.host_message(self.host))

    def _compare_host(self) -> list[Values]:
        try:
            with self._calling() as conn:
                facts = nodes.read_host(conn)
        except VirtError as error:
            if error.code in ("unreachable", "timeout"):
                raise
            log.warning("Host %s does not say what it is: %s", self.host, error)
            return []
        return [store.host_message(self.host)] if self._persist(lambda: store.put_host(self.host, facts)) else []

    # -- one object

    def guest(self, uuid: str, seen: Seen) -> None:
        """Read one guest, write and tell what changed."""
        try:
            with self._calling() as conn:
                facts = guests.read_guest(conn, uuid)
        except VirtError as error:
            if error.code != "not_found":
                raise
            self._gone("guest", uuid, store.remove_guest)
            self.states.pop(uuid, None)
            metrics.forget(self.host.pk, [uuid])
            return
        guest = self._persist(lambda: store.put_guest(self.host, facts, seen))
        self.states[uuid] = facts.state
        if guest is not None:
            self._tell([store.guest_message(self.host, guest)])

    def network(self, uuid: str) -> None:
        """Read one network, write and tell what changed."""
        try:
            with self._calling() as conn:
                facts = networks.read_network(conn, uuid)
        except VirtError as error:
            if error.code != "not_found":
                raise
            self._gone("network", uuid, store.remove_network)
            return
        network = self._persist(lambda: store.put_network(self.host, facts))
        if network is not None:
            self._tell([store.network_message(self.host, network)])

    # -- what slow readings found

    def pools(self, found: side.PoolsRead) -> None:
        """Write and tell what a reading of pools found."""
        news: list[Values] = []
        if found.all:
            difference, volumes = self._persist(lambda: store.compare_pools(self.host, found.pools))
            news += [store.pool_message(self.host, pool) for pool in difference.changed]
            news += [store.volume_message(self.host, uuid) for uuid in volumes]
            news += [store.gone_message("pool", self.host, uuid) for uuid in difference.gone]
        else:
            for facts in found.pools:
                pool, changed = self._persist(lambda facts=facts: store.put_pool(self.host, facts))  # type: ignore[misc]
                news += [store.pool_message(self.host, pool)] if pool is not None else []
                news += [store.volume_message(self.host, facts.uuid)] if changed else []
        self._tell(news)
        for uuid in found.gone:
            self._gone("pool", uuid, store.remove_pool)

    def addresses(self, found: side.AddressesRead) -> None:
        """Write and tell guests' addresses."""
        changed = self._persist(lambda: store.put_addresses(self.host, found.addresses))
        self._tell([store.guest_message(self.host, guest) for guest in changed])

    # -- helpers

    def _gone(self, kind: str, uuid: str, remove: Callable[[Host, str], bool]) -> None:
        if self._persist(lambda: remove(self.host, uuid)):
            self._tell([store.gone_message(kind, self.host, uuid)])

    def _tell(self, news: list[Values]) -> None:
        """Publish; before the host is live nothing is told, since all of it is told then."""
        if self.live:
            publish.publish_many(news)

    @contextlib.contextmanager
    def _calling(self) -> Iterator[Any]:
        """Around every libvirt call: notes since when, and gives libvirt's connection."""
        self.calling_since = time.monotonic()
        try:
            yield self._connection.conn
        finally:
            self.calling_since = None

    def _persist(self, work: Callable[[], T]) -> T:
        return persist(work, self._stopped)


def whole_host(host: Host) -> list[Values]:
    """Messages that tell a host and all that it has anew, as when it comes or goes; "look again" if that is a lot."""
    news = [store.host_message(host)]
    rows = Guest.objects.filter(host=host).defer("xml", "description")[: publish.FLOOD + 1]
    news += [store.guest_message(host, guest) for guest in rows]
    news += [store.pool_message(host, pool) for pool in Pool.objects.filter(host=host)]
    return news + [store.network_message(host, network) for network in Network.objects.filter(host=host)]
