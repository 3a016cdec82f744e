"""The view on a guest's XML: typed, edited in place, and careful with everything that it does not know."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from dashboard.virt.errors import VirtError
from dashboard.virt.guests import facts_of, short_machine
from dashboard.virt.xml.domain import KVMWEB, Domain, fill, ours
from dashboard.virt.xml.parse import parse, to_text

UNKNOWN = """<qemu:commandline xmlns:qemu="http://libvirt.org/schemas/domain/qemu/1.0">
    <qemu:arg value="-foo &amp; &quot;bar&quot;"/>
  </qemu:commandline>"""
FOREIGN = '<app:note xmlns:app="urn:app"><guest><tag>theirs</tag></guest><![CDATA[<kept>]]></app:note>'
XML = f"""<domain type="kvm" id="3">
  <name>db1</name>
  <uuid>4c414200-1111-4000-8001-000000000001</uuid>
  <!-- written by hand -->
  <title>Data base</title>
  <metadata>
    {FOREIGN}
    <kvmweb:guest xmlns:kvmweb="{KVMWEB}">
      <kvmweb:tag>web</kvmweb:tag>
      <kvmweb:tag>db</kvmweb:tag>
      <kvmweb:job>17</kvmweb:job>
      <kvmweb:later>kept</kvmweb:later>
    </kvmweb:guest>
  </metadata>
  <memory unit="GiB">2</memory>
  <currentMemory unit="KiB">1048576</currentMemory>
  <vcpu placement="static" current="2">4</vcpu>
  <os>
    <type arch="x86_64" machine="pc-q35-7.2">hvm</type>
    <loader readonly="yes" type="pflash">/usr/share/OVMF/OVMF_CODE_4M.fd</loader>
    <nvram>/var/lib/libvirt/qemu/nvram/db1_VARS.fd</nvram>
  </os>
  <cpu mode="custom" match="exact"><model fallback="forbid">Skylake-Server</model></cpu>
  <future attribute="a"><deep>x</deep></future>
  <devices>
    <disk type="file" device="disk">
      <driver name="qemu" type="qcow2" unknown="kept"/>
      <source file="/images/db1.qcow2"/>
      <target dev="vda" bus="virtio"/>
      <boot order="2"/>
    </disk>
    <disk type="volume" device="disk">
      <driver name="qemu" type="raw"/><source pool="default" volume="data"/><target dev="vdb" bus="virtio"/><shareable/>
    </disk>
    <disk type="network" device="disk">
      <source protocol="rbd" name="pool/img"/><target dev="vdc" bus="virtio"/>
    </disk>
    <disk type="file" device="cdrom"><target dev="sda" bus="sata"/><readonly/></disk>
    <interface type="network">
      <mac address="52:54:00:00:00:01"/><source network="default" bridge="virbr0"/><target dev="vnet3"/>
      <model type="virtio"/><boot order="1"/>
    </interface>
    <interface type="direct"><mac address="52:54:00:00:00:02"/><source dev="eth2" mode="bridge"/></interface>
    <serial type="pty"><target port="0"/></serial>
    <console type="pty"><target type="serial" port="0"/></console>
    <console type="pty"><target type="virtio" port="1"/></console>
    <channel type="unix"><target type="virtio" name="org.qemu.guest_agent.0" state="connected"/></channel>
    <graphics type="vnc" port="5901" autoport="yes" listen="127.0.0.1"><listen type="address" address="127.0.0.1"/></graphics>
    <graphics type="spice"><listen type="socket" socket="/run/spice.sock"/></graphics>
    <video><model type="virtio"/></video>
  </devices>
  {UNKNOWN}
</domain>"""


@pytest.fixture
def view() -> Domain:
    return Domain.parse(XML)


def test_facts_are_read_as_the_contract_says(view: Domain) -> None:
    facts = facts_of(view)
    assert facts["disks"][0] == {
        "target": "vda", "bus": "virtio", "device": "disk", "source": "/images/db1.qcow2", "format": "qcow2",
        "readonly": False, "shared": False, "kind": "file",
    }  # fmt: skip
    assert [(disk["source"], disk["kind"], disk["shared"]) for disk in facts["disks"][1:]] == [
        ("default/data", "volume", True), ("rbd:pool/img", "network", False), ("", "file", False),
    ]  # fmt: skip
    assert facts["disks"][3]["readonly"]
    assert facts["nics"] == [
        {"mac": "52:54:00:00:00:01", "kind": "network", "source": "default", "model": "virtio", "target": "vnet3"},
        {"mac": "52:54:00:00:00:02", "kind": "direct", "source": "eth2", "model": "", "target": ""},
    ]
    assert facts["graphics"] == [
        {"kind": "vnc", "listen": "127.0.0.1", "port": 5901, "socket": ""},
        {"kind": "spice", "listen": "", "port": -1, "socket": "/run/spice.sock"},
    ]
    assert facts["serials"] == [{"target": "serial0", "kind": "pty"}, {"target": "console1", "kind": "pty"}]
    assert (facts["agent"], facts["agent_connected"], facts["video"]) == (True, True, "virtio")
    assert (facts["machine"], facts["machine_full"], facts["arch"]) == ("q35", "pc-q35-7.2", "x86_64")
    assert (facts["firmware"], facts["cpu"], facts["boot"]) == ("efi", "Skylake-Server", ["network", "hd"])


def test_sizes_are_read_in_their_own_units(view: Domain) -> None:
    assert (view.memory_kib, view.current_memory_kib) == (2 * 1024 * 1024, 1048576)
    view.memory_kib = 4096
    assert '<memory unit="KiB">4096</memory>' in view.to_text()


def test_tags_and_job_are_ours_alone(view: Domain) -> None:
    assert (view.tags, view.job) == (("web", "db"), "17")
    assert ours(None, "tag") == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", "other"), ("title", "A <b> & 'c'"), ("title", ""), ("description", "new\nlines"), ("memory_kib", 4096),
        ("vcpus", 8), ("vcpus_current", None), ("machine", "pc"), ("cpu_mode", "host-model"), ("loader", ""), ("kernel", "/k"),
        ("boot", ["cdrom", "hd"]), ("tb_cache_mib", 32), ("on_crash", "preserve"), ("video", "vga"), ("cpu_model", ""),
    ],
)  # fmt: skip
def test_an_edit_changes_its_own_place_and_nothing_else(view: Domain, name: str, value: Any) -> None:
    before = {path: text for path, text in _pieces(view).items() if path not in _touched(name)}
    setattr(view, name, value)
    again = Domain.parse(view.to_text())
    assert getattr(again, name) == (value if value is not None else 0)
    after = _pieces(again)
    assert {path: text for path, text in after.items() if path in before} == before
    assert UNKNOWN in view.to_text()
    assert FOREIGN in view.to_text()
    assert "<!-- written by hand -->" in view.to_text()


def test_an_edit_undone_gives_the_same_bytes(view: Domain) -> None:
    original = view.to_text()
    assert original == XML
    for name, value in (("title", "x"), ("vcpus", 3), ("machine", "pc"), ("emulator", "/bin/qemu")):
        old = getattr(view, name)
        setattr(view, name, value)
        assert view.to_text() != original
        setattr(view, name, old)
        assert view.to_text() == original


def test_a_disk_is_edited_in_place(view: Domain) -> None:
    disk = view.disks[0]
    disk.bus, disk.readonly, disk.boot_order = "sata", True, None
    text = view.to_text()
    assert '<driver name="qemu" type="qcow2" unknown="kept"/>' in text
    assert '<target dev="vda" bus="sata"/>' in text
    assert "order" not in to_text(disk.element)
    disk.readonly = False
    assert not view.disks[0].readonly


def test_new_tags_leave_the_job_and_unknown_notes(view: Domain) -> None:
    view.set_metadata(tags=["new"])
    again = Domain.parse(view.to_text())
    assert (again.tags, again.job) == (("new",), "17")
    assert "<kvmweb:later>kept</kvmweb:later>" in view.to_text()
    assert FOREIGN in view.to_text()
    view.set_metadata(tags=[], job="")
    assert (view.tags, view.job) == ((), "")


def test_metadata_can_be_added_where_there_is_none() -> None:
    view = Domain.parse("<domain><name>a</name></domain>")
    view.set_metadata(tags=["a"], job="5")
    again = Domain.parse(view.to_text())
    assert (again.tags, again.job) == (("a",), "5")
    assert f'<kvmweb:guest xmlns:kvmweb="{KVMWEB}">' in view.to_text()


def test_libvirts_way_of_handing_metadata_out_is_understood() -> None:
    bare = parse("<guest><tag>a</tag><job>7</job></guest>")
    assert (ours(bare, "tag"), ours(bare, "job")) == (("a",), ("7",))
    fill(bare, tags=["b"])
    assert to_text(bare) == "<guest><job>7</job><tag>b</tag></guest>"


def test_another_document_is_no_guest() -> None:
    with pytest.raises(VirtError, match="not <domain>"):
        Domain.parse("<network/>")


def test_nonsense_in_numbers_reads_as_nothing() -> None:
    view = Domain.parse("<domain><vcpu>many</vcpu><memory unit='??'>x</memory></domain>")
    assert (view.vcpus, view.memory_kib, view.current_memory_kib) == (0, 0, 0)


@pytest.mark.parametrize(
    ("os", "firmware"),
    [
        ("<os/>", "bios"),
        ("<os firmware='efi'/>", "efi"),
        ("<os><loader type='pflash'/></os>", "efi"),
        ("<os><loader type='rom'/></os>", "bios"),
        ("<os firmware='efi'><firmware><feature name='secure-boot' enabled='no'/></firmware></os>", "efi"),
        ("<os><loader type='pflash' secure='yes'/></os>", "efi-secure"),
        ("<os firmware='efi'><firmware><feature name='secure-boot' enabled='yes'/></firmware></os>", "efi-secure"),
    ],
)
def test_firmware_is_told_apart(os: str, firmware: str) -> None:
    assert Domain.parse(f"<domain>{os}</domain>").firmware == firmware


@pytest.mark.parametrize(
    ("machine", "short"),
    [
        ("pc-q35-7.2", "q35"),
        ("pc-i440fx-7.2", "pc"),
        ("q35", "q35"),
        ("virt-8.0", "virt"),
        ("microvm", "microvm"),
        ("", ""),
    ],
)
def test_a_machine_has_a_short_name(machine: str, short: str) -> None:
    assert short_machine(machine) == short


words = st.text(st.characters(categories=["L", "P", "S", "N"]), max_size=20)
names = st.from_regex("x[a-z]{1,6}", fullmatch=True)
unknowns = st.tuples(names, st.dictionaries(names, words, max_size=2), words, st.lists(names, max_size=2))


@given(unknown=st.lists(unknowns, max_size=4), title=words, vcpus=st.integers(1, 512))
def test_any_unknown_element_survives_any_edit_byte_for_byte(unknown: list[Any], title: str, vcpus: int) -> None:
    root = parse("<domain><name>a</name><title>b</title><devices><disk type='file'/></devices></domain>")
    kept = []
    for number, (name, attributes, text, children) in enumerate(unknown):
        element = etree.SubElement(root if number % 2 else root.find("devices/disk"), name, None, None, **attributes)
        element.text = text or None
        for child in children:
            etree.SubElement(element, child)
        kept.append(to_text(element))
    view = Domain.parse(to_text(root))
    view.title, view.vcpus, view.disks[0].format = title, vcpus, "qcow2"
    view.set_metadata(tags=["a"])
    text = view.to_text()
    assert [piece for piece in kept if piece not in text] == []
    assert (Domain.parse(text).title, Domain.parse(text).vcpus) == (title, vcpus)


def _pieces(view: Domain) -> dict[str, str]:
    """Each element's own text and attributes, by its path."""
    tree = view.element.getroottree()
    return {
        tree.getpath(element): f"{element.tag}{dict(element.attrib)}{(element.text or '').strip()}"
        for element in view.element.iter(etree.Element)
    }


def _touched(name: str) -> set[str]:
    """Paths that an edit may change or take away."""
    own = {
        "name": ["name"], "title": ["title"], "description": ["description"], "memory_kib": ["memory"], "vcpus": ["vcpu"],
        "vcpus_current": ["vcpu"], "machine": ["os/type"], "cpu_mode": ["cpu"], "cpu_model": ["cpu/model"], "loader": ["os/loader"],
        "boot": ["devices/disk[1]/boot", "devices/interface[1]/boot"], "video": ["devices/video/model"],
    }.get(name, [])  # fmt: skip
    return {f"/domain/{path}" for path in own}
