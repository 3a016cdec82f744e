"""URI-1: no input, however odd, makes a libvirt URI that says anything but the fields it was made of."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dashboard.virt.uri import QUERY_KEYS, HostSpec, build_uri, valid_address, valid_path, valid_port, valid_user

TRICKY = st.text(alphabet=st.sampled_from("ab1.-_:/@?&#%[]= \\\n\t;$'\"|`~+,é\x00"), max_size=40)
ANY = st.one_of(st.text(max_size=300), TRICKY)
HOSTILE = [
    "h?command=/tmp/x", "h/system?netcat=x#", "a@b", "u:p@h", "-oProxyCommand=x", "a;b", "a b", "a\nb", "h%00", "h:22", "a..b", ".a",
    "a.", "-a", "a-", "[::1", "::1]", "[a]", "fe80::1%eth0", "1.2.3", "1.2.3.4.5", "256.1.1.1", "0x7f000001", "bücher.example", "a/b",
    "h&socket=/x", "a" * 64, "h#x", "", "١.example", "ａ",
]  # fmt: skip


def check_round_trip(spec: HostSpec, uri: str) -> None:
    """What `urlsplit` reads out of the URI is what went in, and nothing else."""
    parts = urlsplit(uri)
    query = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    assert {key for key, _ in query} <= QUERY_KEYS
    assert len({key for key, _ in query}) == len(query)
    assert parts.fragment == ""
    assert uri.isascii()
    if spec.transport == "test":
        assert (parts.scheme, parts.netloc, query) == ("test", "", [])
        return
    assert parts.path == "/system"
    if spec.transport == "local":
        assert parts.netloc == ""
        assert query == ([("socket", spec.socket)] if spec.socket else [])
        return
    assert parts.scheme == {"tls": "qemu+tls", "tcp": "qemu+tcp"}[spec.transport]
    assert parts.hostname == valid_address(spec.address)
    assert parts.port == spec.port
    assert parts.username is None
    assert parts.password is None


@given(
    st.builds(
        HostSpec,
        key=ANY,
        transport=st.sampled_from(["local", "ssh", "tls", "tcp", "test"]),
        address=st.one_of(ANY, st.sampled_from(["host.example", "10.0.0.1", "::1", "[2001:db8::1]", "", *HOSTILE])),
        port=st.one_of(st.none(), st.integers(-5, 70000)),
        user=st.one_of(ANY, st.sampled_from(["root", "_a", "Root"])),
        socket=st.one_of(st.just(""), ANY, ANY.map(lambda text: "/" + text)),
        key_file=st.one_of(st.just(""), ANY.map(lambda text: "/" + text)),
        known_hosts=st.one_of(st.just("/k"), ANY.map(lambda text: "/" + text)),
        password=ANY,
        pki_dir=st.one_of(st.just("/p"), ANY.map(lambda text: "/" + text)),
    )
)
@example(HostSpec("k", "ssh", "h?command=/tmp/x", user="root", key_file="/k", known_hosts="/n"))
@example(HostSpec("k", "ssh", "h", user="root", key_file="/k&command=/tmp/x", known_hosts="/n?a#b"))
@example(HostSpec("k", "local", socket="/run/a&netcat=b c%41"))
@example(HostSpec("k", "tls", "[::1]", port=16514, pki_dir="/p q"))
def test_a_uri_says_the_fields_it_was_made_of_or_is_not_made(spec: HostSpec) -> None:
    try:
        uri = build_uri(spec)
    except ValueError:
        return
    check_round_trip(spec, uri)


@pytest.mark.parametrize("address", HOSTILE)
def test_a_hostile_address_is_refused_with_a_sentence(address: str) -> None:
    with pytest.raises(ValueError, match=r"\.\Z|\)\.\Z"):
        valid_address(address)


@pytest.mark.parametrize(
    ("address", "normal"),
    [
        ("Host.Example", "host.example"), ("h1", "h1"), ("10.0.0.1", "10.0.0.1"), ("[::1]", "::1"), ("2001:DB8::0:1", "2001:db8::1"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"), ("3com.example", "3com.example"), ("::ffff:10.0.0.1", "::ffff:10.0.0.1"),
    ],
)  # fmt: skip
def test_a_good_address_comes_back_in_its_normal_form(address: str, normal: str) -> None:
    assert valid_address(valid_address(address)) == valid_address(normal)


@pytest.mark.parametrize("user", ["", "Root", "-a", "a b", "a\n", "a@b", "a:b", "é", "a" * 33, "1a", "a%40"])
def test_a_hostile_user_is_refused(user: str) -> None:
    with pytest.raises(ValueError, match="user name"):
        valid_user(user)


def test_ports_and_paths_are_checked() -> None:
    assert valid_port(22) == 22
    for port in (0, 65536, -1, True):
        with pytest.raises(ValueError, match="port"):
            valid_port(port)
    assert valid_path("/run/libvirt/libvirt-sock") == "/run/libvirt/libvirt-sock"
    for path in ("", "a", "//x", "/a/../b", "/a\n", "/a\x00"):
        with pytest.raises(ValueError, match="path"):
            valid_path(path)


def test_a_host_without_certificates_is_refused() -> None:
    with pytest.raises(ValueError, match="missing"):
        build_uri(HostSpec("k", "tls", "h"))


def test_an_ssh_host_has_no_uri_of_its_own() -> None:
    with pytest.raises(ValueError, match="socket of this machine"):
        build_uri(HostSpec("k", "ssh", "h", user="root", key_file="/k", known_hosts="/n"))


def test_a_password_is_not_in_the_repr() -> None:
    assert "s3cret-pass" not in repr(HostSpec("k", "ssh", "h", user="root", known_hosts="/k", password="s3cret-pass"))
