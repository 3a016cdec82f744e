"""How many consoles one person may open, also all at once; and how long the gateway listens to who says nothing (CON-8)."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from dashboard.consoles.refusals import Refused
from dashboard.consoles.seats import Seat
from tests.integration.consoles.conftest import House
from tests.lab.hosts import wait_for

UUID = "00000000-0000-4000-8000-0000000000{:02d}"


def taken(seat: Seat) -> bool:
    try:
        seat.take()
    except Refused:
        return False
    return True


@pytest.mark.usefixtures("redis_client")
def test_fifty_consoles_opened_at_once_by_one_person_are_sixteen_and_others_are_not_disturbed() -> None:
    seats = [Seat(user=1, host=1, uuid=UUID.format(number)) for number in range(50)]
    with ThreadPoolExecutor(50) as many:
        opened = sum(many.map(taken, seats))
    assert 0 < opened <= 16
    assert taken(Seat(user=2, host=1, uuid=UUID.format(1))), "somebody else"


@pytest.mark.usefixtures("redis_client")
def test_one_after_the_other_sixteen_open_and_one_that_ends_makes_room() -> None:
    seats = [Seat(user=3, host=1, uuid=UUID.format(number)) for number in range(17)]
    assert [taken(seat) for seat in seats] == [True] * 16 + [False]
    seats[0].leave()
    assert taken(seats[16])


def test_who_connects_and_says_nothing_is_cut_off_after_ten_seconds(gateway: House) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.settimeout(20)
        silent.connect(str(gateway.run / "console.sock"))
        silent.sendall(b"GET /console/vnc HTTP/1.1\r\nHost: ")
        began = time.monotonic()
        assert silent.recv(1024) == b""
        assert 8 < time.monotonic() - began < 14
    wait_for(lambda: not gateway.children("console"), seconds=5, saying="its process is gone")
