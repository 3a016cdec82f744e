"""The view-only filter: whatever the pieces, looking passes and acting does not."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.consoles.rfb import ProtocolViolation, ViewOnlyFilter

HELLO = b"RFB 003.008\n" + b"\x01" + b"\x00"
HELLO_PASSED = b"RFB 003.008\n" + b"\x01" + b"\x01"

looking = st.one_of(
    st.binary(min_size=19, max_size=19).map(lambda body: b"\x00" + body),
    st.binary(min_size=9, max_size=9).map(lambda body: b"\x03" + body),
    st.binary(min_size=9, max_size=9).map(lambda body: b"\x96" + body),
    st.binary(max_size=64).map(lambda body: b"\xf8" + bytes(7) + bytes([len(body)]) + body),
)
acting = st.one_of(
    st.binary(min_size=7, max_size=7).map(lambda body: b"\x04" + body),
    st.binary(min_size=5, max_size=5).map(lambda body: b"\x05" + body),
    st.binary(min_size=3, max_size=3).map(lambda body: b"\xfa" + body),
    st.binary(max_size=300).map(lambda text: b"\x06" + bytes(3) + struct.pack(">i", len(text)) + text),
    st.binary(max_size=300).map(lambda text: b"\x06" + bytes(3) + struct.pack(">i", -len(text)) + text),
    st.binary(min_size=10, max_size=10).map(lambda body: b"\xff\x00" + body),
    st.just(b"\xff\x01\x00\x00"),
    st.binary(min_size=6, max_size=6).map(lambda body: b"\xff\x01\x00\x02" + body),
    st.integers(0, 5).flatmap(
        lambda screens: st.binary(min_size=16 * screens, max_size=16 * screens).map(
            lambda body: b"\xfb" + bytes(5) + bytes([screens]) + b"\x00" + body
        )
    ),
)


def in_pieces(stream: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(stream) + 1) for cut in cuts})
    return [stream[start:end] for start, end in zip([0, *places], [*places, len(stream)], strict=True)]


@given(
    messages=st.lists(st.one_of(looking.map(lambda m: (True, m)), acting.map(lambda m: (False, m)))),
    cuts=st.lists(st.integers(0, 5000)),
)
def test_only_what_looks_passes_however_the_stream_is_cut(messages: list[tuple[bool, bytes]], cuts: list[int]) -> None:
    stream = HELLO + b"".join(message for _, message in messages)
    watcher = ViewOnlyFilter()
    passed = b"".join(watcher.feed(piece) for piece in in_pieces(stream, cuts))
    assert passed == HELLO_PASSED + b"".join(message for looks, message in messages if looks)


@given(encodings=st.lists(st.integers(-(2**31), 2**31 - 1) | st.sampled_from([0, 7, 16, -309, -316, -305, -259, -258])))
def test_encodings_that_switch_on_acting_messages_are_taken_out(encodings: list[int]) -> None:
    watcher = ViewOnlyFilter()
    watcher.feed(HELLO)
    passed = watcher.feed(struct.pack(f">BxH{len(encodings)}i", 2, len(encodings), *encodings))
    kept = struct.unpack(f">BxH{(len(passed) - 4) // 4}i", passed)[2:]
    assert kept == tuple(encoding for encoding in encodings if encoding in set(kept))
    assert not {-309, -316, -305, -259, -314, -1063131698} & set(kept)
    assert {0, 7, 16} & set(encodings) <= set(kept)


def test_a_watcher_never_throws_others_out() -> None:
    assert ViewOnlyFilter().feed(b"RFB 003.008\n\x01\x00").endswith(b"\x01\x01")


def test_the_answer_to_a_password_challenge_passes() -> None:
    answer = bytes(range(16))
    assert ViewOnlyFilter().feed(b"RFB 003.007\n\x02" + answer + b"\x01") == b"RFB 003.007\n\x02" + answer + b"\x01"


@pytest.mark.parametrize(
    "stream",
    [
        b"RFB 003.003\n",
        b"GET / HTTP/1.1",
        b"RFB 003.008\n\x10",
        HELLO + b"\x01",
        HELLO + b"\xfd\x01",
        HELLO + b"\xff\x07",
    ],
)
def test_what_the_filter_does_not_know_ends_the_console(stream: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        ViewOnlyFilter().feed(stream)


def test_a_huge_clipboard_is_skipped_without_being_kept() -> None:
    watcher = ViewOnlyFilter()
    watcher.feed(HELLO + b"\x06\x00\x00\x00" + struct.pack(">i", 50_000_000))
    for _ in range(50):
        assert watcher.feed(bytes(1_000_000)) == b""
        assert len(watcher._buffer) == 0
    assert watcher.feed(b"\x03" + bytes(9)) == b"\x03" + bytes(9)
