"""Two who decide by counting the same rows at the same moment: the second sees what the first has done."""

from __future__ import annotations

import threading
import time

import pytest
from django.db import connection, transaction

from dashboard.accounts import people, turns
from dashboard.accounts.models import User
from dashboard.accounts.permissions import ADMINISTRATOR, VIEWER

pytestmark = pytest.mark.usefixtures("own_database")


def test_two_administrators_who_demote_each_other_at_once_leave_one() -> None:
    anna, ben = (User.objects.create_user(name, role=ADMINISTRATOR) for name in ("anna", "ben"))
    refused: list[str] = []

    def demote_anna() -> None:
        try:
            people.change_person(actor=ben, person=anna, role=VIEWER, is_active=True)
        except people.LastAdministrator:
            refused.append("ben")
        finally:
            connection.close()

    thread = threading.Thread(target=demote_anna)
    with transaction.atomic():
        people.change_person(actor=anna, person=ben, role=VIEWER, is_active=True)
        thread.start()
        time.sleep(0.5)  # the other is at it, and this is not committed yet
    thread.join(30)
    assert (people.administrators(), refused) == (1, ["ben"])


def test_a_turn_lasts_until_its_transaction_ends() -> None:
    order: list[str] = []
    taken = threading.Event()

    def second() -> None:
        taken.wait(10)
        with transaction.atomic():
            turns.take("anything")
            order.append("second")
        connection.close()

    thread = threading.Thread(target=second)
    thread.start()
    with transaction.atomic():
        turns.take("anything")
        taken.set()
        time.sleep(0.5)
        order.append("first")
    thread.join(30)
    assert order == ["first", "second"]


def test_a_turn_without_a_transaction_is_a_mistake_that_shows() -> None:
    with pytest.raises(RuntimeError, match="transaction"):
        turns.take("anything")
