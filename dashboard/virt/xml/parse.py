"""The one door through which XML enters, and the way it leaves: hardened, element by element, nothing lost."""

from __future__ import annotations

from lxml import etree

from dashboard.virt.errors import VirtError

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 64

_DEEP = etree.XPath("boolean(/" + "/".join(["*"] * (MAX_DEPTH + 1)) + ")")
_DOCTYPE = b"<!DOCTYPE"


class XmlRefused(VirtError, ValueError):
    """XML that is not read: not well-formed, too big, too deep, or with a DOCTYPE. `detail` is a plain sentence."""

    def __init__(self, sentence: str) -> None:
        super().__init__("invalid", sentence)


def parse(text: str | bytes) -> etree._Element:
    """The root element of a document of at most 1 MiB and 64 levels. Raises XmlRefused.

    A DOCTYPE is refused before libxml2 sees it (no entity, no external subset can exist then), also inside a comment:
    libvirt never writes one. An encoding named in the XML declaration is not believed; the text is UTF-8.
    """
    if isinstance(text, str):
        try:
            data = text.encode()
        except UnicodeEncodeError as error:
            raise XmlRefused("The XML holds characters that do not exist.") from error
    else:
        data = text
    if len(data) > MAX_BYTES:
        raise XmlRefused("The XML is larger than 1 MiB.")
    if _DOCTYPE in data:
        raise XmlRefused("The XML has a DOCTYPE; libvirt's never has one.")
    try:
        root = etree.fromstring(data, _parser())
    except etree.XMLSyntaxError as error:
        raise XmlRefused(f"The XML is not well-formed: {error.msg}") from error
    if root.getroottree().docinfo.internalDTD is not None:  # whatever spelling the search above did not know
        raise XmlRefused("The XML has a DOCTYPE; libvirt's never has one.")
    if _DEEP(root):
        raise XmlRefused("The XML is nested more than 64 levels deep.")
    return root


def to_text(element: etree._Element) -> str:
    """The element as text, without XML declaration and without what follows it."""
    return etree.tostring(element, encoding="unicode", with_tail=False)


def _parser() -> etree.XMLParser:
    """A new parser each time: lxml's share state between threads. CDATA and comments stay what they are."""
    return etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        huge_tree=False,
        recover=False,
        strip_cdata=False,
        remove_comments=False,
        remove_pis=False,
    )
