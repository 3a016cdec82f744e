"""The parser lets in what libvirt writes, and nothing else (XML-2)."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from dashboard.virt.errors import VirtError
from dashboard.virt.xml.parse import MAX_BYTES, MAX_DEPTH, XmlRefused, parse, to_text

BOMB = (
    '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY a{n} "{f"&a{n - 1 or str()};" * 10}">' for n in range(1, 10))
    + "]><domain>&a9;</domain>"
)
HOSTILE = {
    "a file as entity": '<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><domain><name>&x;</name></domain>',
    "a web page as entity": '<!DOCTYPE d [<!ENTITY x SYSTEM "http://127.0.0.1:1/x">]><domain><name>&x;</name></domain>',
    "a parameter entity": '<!DOCTYPE d [<!ENTITY % x SYSTEM "file:///etc/passwd"> %x;]><domain/>',
    "an external DTD": '<!DOCTYPE domain SYSTEM "file:///etc/passwd"><domain/>',
    "a harmless DOCTYPE": "<!DOCTYPE domain><domain/>",
    "a billion laughs": BOMB,
    "an unknown entity": "<domain>&x;</domain>",
    "10 MB": "<domain>" + "x" * 10_000_000 + "</domain>",
    "a byte over 1 MiB": "<domain>" + "x" * (MAX_BYTES - 16) + "</domain>",
    "10,000 levels": "<a>" * 10_000 + "</a>" * 10_000,
    "65 levels": "<a>" * (MAX_DEPTH + 1) + "</a>" * (MAX_DEPTH + 1),
    "nothing": "",
    "half a document": "<domain><name>",
    "two roots": "<domain/><domain/>",
    "a control character": "<domain>\x00</domain>",
    "half a surrogate pair": "<domain>\ud800</domain>",
    "no XML": "name: guest",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_xml_is_refused_at_once(text: str) -> None:
    begun = time.perf_counter()
    with pytest.raises(XmlRefused) as refused:
        parse(text)
    assert time.perf_counter() - begun < 0.1
    assert refused.value.code == "invalid"
    assert isinstance(refused.value, VirtError)


def test_another_encoding_is_not_believed() -> None:
    hidden = '<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><domain>&x;</domain>'
    for encoding in ("utf-16", "utf-16-le", "utf-7", "utf-32"):
        with pytest.raises(XmlRefused):
            parse(hidden.encode(encoding))
        with pytest.raises(XmlRefused):
            parse(f'<?xml version="1.0" encoding="{encoding}"?>'.encode() + hidden.encode(encoding))


def test_no_file_is_read_whatever_the_document_says(tmp_path: Path) -> None:
    secret = tmp_path / "secret.xml"
    secret.write_text("<a>marker</a>")
    text = f'<domain xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="{secret.as_uri()}"/></domain>'
    assert "marker" not in to_text(parse(text))


def test_64_levels_and_one_mebibyte_pass() -> None:
    parse("<a>" * MAX_DEPTH + "</a>" * MAX_DEPTH)
    parse("<domain>" + "x" * (MAX_BYTES - 17) + "</domain>")


def test_comments_cdata_and_instructions_stay_what_they_are() -> None:
    text = "<domain><!-- kept --><?tool kept?><a:b xmlns:a='urn:a'><![CDATA[1 < 2]]></a:b></domain>".replace("'", '"')
    assert to_text(parse(text)) == text
