"""What sign-in counts and remembers for a while, as a Django cache in the database: no Redis, and nothing is unpickled."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.db import IntegrityError, transaction
from django.utils import timezone

SECONDS_BETWEEN_SWEEPS = 600
FOR_EVER = timedelta(days=3650)


class Counts(BaseCache):
    """Holds JSON values. Sign-in needs the database anyway; what throttles it must not need more, nor fail open."""

    _swept = 0.0

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)

    def add(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Write unless there is a value; of two who come at once one is told True."""
        name, table = self._name(key, version), self._table
        self._sweep()
        table.filter(key=name, expires_at__lte=timezone.now()).delete()
        try:
            with transaction.atomic():
                table.create(key=name, value=value, expires_at=self._end(timeout))
        except IntegrityError:
            return False
        return True

    def get(self, key: str, default: Any = None, version: int | None = None) -> Any:
        """The value, or `default`."""
        found = self._table.filter(key=self._name(key, version), expires_at__gt=timezone.now())
        values = list(found.values_list("value", flat=True))
        return values[0] if values else default

    def set(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        """Write."""
        self._sweep()
        fresh = {"value": value, "expires_at": self._end(timeout)}
        self._table.update_or_create(key=self._name(key, version), defaults=fresh)

    def touch(self, key: str, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Keep a value for longer."""
        known = self._table.filter(key=self._name(key, version), expires_at__gt=timezone.now())
        return bool(known.update(expires_at=self._end(timeout)))

    def delete(self, key: str, version: int | None = None) -> bool:
        """Forget a value."""
        return bool(self._table.filter(key=self._name(key, version)).delete()[0])

    def clear(self) -> None:
        """Forget everything."""
        self._table.all().delete()

    @property
    def _table(self) -> Any:
        from dashboard.accounts.models import Counted

        return Counted.objects

    def _name(self, key: str, version: int | None) -> str:
        return str(self.make_and_validate_key(key, version=version))

    def _end(self, timeout: Any) -> datetime:
        seconds = self.default_timeout if timeout is DEFAULT_TIMEOUT else timeout
        return timezone.now() + (FOR_EVER if seconds is None else timedelta(seconds=seconds))

    def _sweep(self) -> None:
        now = time.monotonic()
        if now - Counts._swept > SECONDS_BETWEEN_SWEEPS:
            Counts._swept = now
            self._table.filter(expires_at__lte=timezone.now()).delete()
