"""What a new guest may be: each field's checks, the warnings, and what is offered."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from dashboard.accounts.models import Grant, Role, User
from dashboard.guests.choices import choices_of
from dashboard.guests.operations.wish import Findings, examine, known_format
from dashboard.inventory.models import Host, Network, Pool, Volume
from dashboard.jobs.models import Job
from dashboard.jobs.operation import OPERATIONS
from tests.unit.guests.conftest import make_guest, make_host, make_person, make_volume

pytestmark = pytest.mark.django_db


@pytest.fixture
def wish(host: Host, pool: Pool, network: Network) -> dict[str, Any]:
    """One that has nothing wrong."""
    make_volume(pool, "debian.iso", format="iso")
    return {
        "name": "web1", "source": "iso", "source_pool": "default", "source_volume": "debian.iso", "vcpus": 2,
        "memory_mib": 2048, "disk_gib": 20, "disk_pool": "default", "network": "default",
    }  # fmt: skip


def examined(host: Host, values: dict[str, Any]) -> Findings:
    """What an operator without quotas is told."""
    return examine(host, values, User.objects.first() or make_person("operator"))


def errors(host: Host, wish: dict[str, Any], **changes: Any) -> dict[str, list[str]]:
    return examined(host, wish | changes).errors


def test_a_good_wish_has_neither_errors_nor_warnings(host: Host, wish: dict[str, Any]) -> None:
    found = examined(host, wish)
    assert (found.errors, found.warnings) == ({}, {})


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"), ({"name": "-x"}, "name"), ({"name": "a b"}, "name"), ({"name": "ends."}, "name"),
        ({"title": "a\nb"}, "title"), ({"source": "cloud"}, "source"), ({"source_volume": ""}, "source_volume"),
        ({"source_volume": "gone.iso"}, "source_volume"), ({"source_pool": "gone"}, "source_volume"),
        ({"vcpus": 0}, "vcpus"), ({"vcpus": 256}, "vcpus"), ({"vcpus": None}, "vcpus"), ({"vcpus": 1.5}, "vcpus"),
        ({"memory_mib": 1}, "memory_mib"), ({"memory_mib": 9000}, "memory_mib"), ({"disk_gib": -1}, "disk_gib"),
        ({"disk_gib": 101}, "disk_gib"), ({"disk_pool": ""}, "disk_pool"), ({"disk_pool": "gone"}, "disk_pool"),
        ({"disk_format": "vmdk"}, "disk_format"), ({"network": "gone"}, "network"), ({"virt": "kvm"}, "virt"),
        ({"firmware": "coreboot"}, "firmware"),
    ],
)  # fmt: skip
def test_one_wrong_field_is_marked_and_no_other(host: Host, wish: dict[str, Any], changes: Any, field: str) -> None:
    found = errors(host, wish, **changes)
    assert list(found) == [field]
    assert found[field][0].endswith((".", "?")), found


def test_a_field_that_cannot_be_read_does_not_hide_what_is_wrong_with_others(host: Host, wish: dict[str, Any]) -> None:
    assert set(errors(host, wish, vcpus="many", network="gone", memory_mib=9000)) == {"vcpus", "network", "memory_mib"}


def test_a_name_that_the_host_has_is_taken_and_one_of_another_host_is_not(host: Host, wish: dict[str, Any]) -> None:
    make_guest(make_host("kvm2"), "web1")
    assert errors(host, wish) == {}
    make_guest(host, "web1")
    assert list(errors(host, wish)) == ["name"]


@pytest.mark.parametrize("name", ["victim.img", "victim.iso"])
def test_a_disk_of_another_machine_is_no_installation_medium(
    host: Host, pool: Pool, wish: dict[str, Any], name: str
) -> None:
    """Who reads it in a drive reads all that the other machine has; who may not see that one does not learn its name."""
    volume = make_volume(pool, name, format="raw")
    disk = {"target": "vda", "device": "disk", "source": volume.path}
    victim = make_guest(host, "victim", facts={"disks": [disk]}, xml=f"<source file='{volume.path}'/>")
    Role.objects.create(slug="maker", permissions=["guest.create"])
    maker = User.objects.create_user("max", role="maker")
    (said,) = examine(host, wish | {"source_volume": name}, maker).errors["source_volume"]
    assert "victim" not in said
    victim.delete()
    Volume.objects.update(made_format="raw")
    assert "source_volume" in examine(host, wish | {"source_volume": name}, maker).errors, "kept, and still a disk"


def test_a_medium_may_be_in_the_drives_of_many(host: Host, pool: Pool, wish: dict[str, Any]) -> None:
    path = Volume.objects.get(name="debian.iso").path
    drive = {"target": "sda", "device": "cdrom", "source": path}
    make_guest(host, "other", facts={"disks": [drive]}, xml=f"<source file='{path}'/>")
    assert errors(host, wish) == {}


def test_more_than_the_pool_has_free_is_a_warning_and_more_than_it_holds_an_error(
    host: Host, wish: dict[str, Any]
) -> None:
    assert list(examined(host, wish | {"disk_gib": 70}).warnings) == ["disk_gib"]
    assert errors(host, wish, disk_gib=70) == {}
    assert list(errors(host, wish, disk_gib=200)) == ["disk_gib"]


def test_a_logical_volume_takes_its_size_at_once_and_is_raw(host: Host, wish: dict[str, Any], pool: Pool) -> None:
    Pool.objects.filter(pk=pool.pk).update(kind="logical")
    found = errors(host, wish, disk_gib=70)
    assert set(found) == {"disk_gib", "disk_format"}
    assert errors(host, wish, disk_gib=50, disk_format="raw") == {}


def test_volumes_cannot_be_made_in_an_iscsi_pool(host: Host, wish: dict[str, Any], pool: Pool) -> None:
    Pool.objects.filter(pk=pool.pk).update(kind="iscsi")
    assert "disk_pool" in errors(host, wish)


def test_an_inactive_pool_or_network_says_so(host: Host, wish: dict[str, Any]) -> None:
    Pool.objects.update(state="inactive")
    Network.objects.update(active=False)
    assert set(errors(host, wish)) == {"source_volume", "disk_pool", "network"}
    later = examined(host, wish | {"start_now": False})
    assert "network" not in later.errors
    assert "network" in later.warnings


def test_more_vcpus_or_memory_than_there_are_free_is_a_warning(host: Host, wish: dict[str, Any]) -> None:
    assert set(examined(host, wish | {"vcpus": 8, "memory_mib": 6000}).warnings) == {"vcpus", "memory_mib"}


def test_a_host_that_does_not_answer_takes_no_guest(host: Host, wish: dict[str, Any]) -> None:
    host.status = Host.Status.DOWN
    assert "host" in errors(host, wish)


class TestImages:
    """An existing image becomes a disk as it is: what it is must be known and not guessed from bytes a guest can write."""

    def test_what_kvmweb_made_is_what_it_was_made_as(self, pool: Pool) -> None:
        assert known_format(make_volume(pool, "a.img", format="qcow2", made_format="qcow2")) == "qcow2"

    @pytest.mark.parametrize(
        ("name", "probed", "known"),
        [
            ("a.qcow2", "qcow2", "qcow2"), ("a.raw", "raw", "raw"), ("a.img", "raw", ""), ("a.img", "qcow2", ""),
            ("a.raw", "qcow2", ""), ("a.qcow2", "raw", ""),
        ],
    )  # fmt: skip
    def test_a_known_ending_counts_only_when_the_probe_agrees(
        self, pool: Pool, name: str, probed: str, known: str
    ) -> None:
        assert known_format(make_volume(pool, name, format=probed)) == known

    def test_a_block_device_is_raw_whatever_its_bytes_look_like(self, pool: Pool) -> None:
        assert known_format(make_volume(pool, "lv", kind="block", format="qcow2")) == "raw"

    @pytest.fixture
    def image(self, wish: dict[str, Any]) -> dict[str, Any]:
        return wish | {"source": "image", "source_volume": "disk.img"}

    def test_it_must_be_chosen_where_only_a_probe_tells(self, host: Host, pool: Pool, image: dict[str, Any]) -> None:
        make_volume(pool, "disk.img", format="raw")
        assert list(errors(host, image)) == ["image_format"]
        assert "forged" in errors(host, image)["image_format"][0]
        assert errors(host, image, image_format="raw") == {}
        assert "raw" in errors(host, image, image_format="qcow2")["image_format"][0]

    def test_a_raw_disk_with_a_false_header_is_not_attached(
        self, host: Host, pool: Pool, image: dict[str, Any]
    ) -> None:
        make_volume(pool, "disk.img", format="qcow2", made_format="raw")
        assert "somebody has looked" in errors(host, image)["image_format"][0]
        Volume.objects.update(made_format="")
        assert list(errors(host, image, image_format="raw")) == ["image_format"]

    def test_one_that_is_based_on_a_file_outside_all_pools_is_refused(
        self, host: Host, pool: Pool, image: dict[str, Any]
    ) -> None:
        make_volume(pool, "disk.img", format="qcow2", made_format="qcow2", backing="/etc/shadow")
        assert "/etc/shadow" in errors(host, image)["source_volume"][0]

    def test_one_that_others_are_based_on_is_refused(self, host: Host, pool: Pool, image: dict[str, Any]) -> None:
        base = make_volume(pool, "disk.img", format="qcow2", made_format="qcow2")
        make_volume(pool, "layer.qcow2", format="qcow2", backing=base.path)
        assert list(errors(host, image)) == ["source_volume"]

    def test_one_that_another_guest_has_is_refused_by_its_name(
        self, host: Host, pool: Pool, image: dict[str, Any]
    ) -> None:
        volume = make_volume(pool, "disk.img", made_format="raw")
        disks = [{"target": "vda", "device": "disk", "source": volume.path}]
        make_guest(host, "owner", facts={"disks": disks}, xml=f"<disk><source file='{volume.path}'/></disk>")
        assert "owner" in errors(host, image)["source_volume"][0]

    def test_an_iso_is_no_disk(self, host: Host, image: dict[str, Any]) -> None:
        assert "source_volume" in errors(host, image, source_volume="debian.iso", image_format="raw")

    def test_the_new_disk_is_not_checked_when_an_image_is_used(
        self, host: Host, pool: Pool, image: dict[str, Any]
    ) -> None:
        make_volume(pool, "disk.img", made_format="raw")
        assert errors(host, image, disk_pool="gone", disk_gib=999) == {}


def test_the_operation_finds_what_the_form_finds(host: Host, wish: dict[str, Any], operator: Any) -> None:
    declared = OPERATIONS["guest.create"]
    bad = wish | {"network": "gone", "memory_mib": 9000}
    assert declared.check(operator, host, declared.params.model_validate(bad)) == examine(host, bad, operator).errors


def test_the_plan_fixes_uuid_mac_and_volume_and_never_the_same_twice(host: Host, wish: dict[str, Any]) -> None:
    declared = OPERATIONS["guest.create"]
    params = declared.params.model_validate(wish | {"name": "x" * 63})
    plans = [declared.plan(host, params) for _attempt in range(2)]
    for key in ("uuid", "mac", "volume"):
        assert plans[0][key] != plans[1][key]
    assert plans[0]["volume"].startswith("x" * 50 + "-")
    assert len(plans[0]["volume"]) <= 66
    assert plans[0]["virt"] == "qemu"


def maker_who_sees(*seen: str) -> User:
    """Who may make guests, and has these permissions beside."""
    Role.objects.create(slug="maker", permissions=["guest.create", *seen])
    return User.objects.create_user("max", role="maker")


def reached(host: Host, wish: dict[str, Any], user: User, name: str = "left.qcow2") -> bool:
    """Whether they may attach the image; form, list of choices and operation agree."""
    image = wish | {"source": "image", "source_volume": name}
    by_form = "source_volume" not in examine(host, image, user).errors
    declared = OPERATIONS["guest.create"]
    by_operation = "source_volume" not in declared.check(user, host, declared.params.model_validate(image))
    assert by_form == by_operation == (name in [one["name"] for one in choices_of(host, user)["images"]])
    return by_form


@pytest.mark.parametrize(
    ("seen", "may"),
    [
        (("storage.view", "guest.view"), True), (("storage.view",), False), (("guest.view",), False), ((), False),
    ],
)  # fmt: skip
def test_what_a_deleted_machine_left_is_attached_only_by_who_sees_storage_and_all_machines(
    host: Host, pool: Pool, wish: dict[str, Any], seen: tuple[str, ...], may: bool
) -> None:
    make_volume(pool, "left.qcow2", format="qcow2")
    assert reached(host, wish, maker_who_sees(*seen)) is may


def test_the_right_must_be_on_that_host_and_on_the_whole_of_it(host: Host, pool: Pool, wish: dict[str, Any]) -> None:
    make_volume(pool, "left.qcow2", format="qcow2")
    maker = maker_who_sees()
    Grant.objects.create(user=maker, role="viewer", place="host", key=str(make_host("other").pk))
    Grant.objects.create(user=maker, role="operator", place="tag", key="web")
    assert not reached(host, wish, User.objects.get(pk=maker.pk))
    Grant.objects.create(user=maker, role="viewer", place="host", key=str(host.pk))
    assert reached(host, wish, User.objects.get(pk=maker.pk))


def test_what_ones_own_deleted_machine_left_stays_ones_own_and_nobody_elses(
    host: Host, pool: Pool, wish: dict[str, Any]
) -> None:
    path = make_volume(pool, "left.qcow2", format="qcow2").path
    maker, other = maker_who_sees(), User.objects.create_user("eve", role="maker")
    plan = {"volume_path": path}
    Job.objects.create(operation="guest.create", host=host, created_by=maker, state="succeeded", plan=plan)
    assert reached(host, wish, maker) and not reached(host, wish, other)


def test_who_may_attach_no_image_does_not_learn_which_there_are(host: Host, pool: Pool, wish: dict[str, Any]) -> None:
    make_volume(pool, "left.qcow2", format="qcow2")
    image, maker = wish | {"source": "image"}, maker_who_sees()
    there, missing = (
        examine(host, image | {"source_volume": name}, maker).errors for name in ("left.qcow2", "no.qcow2")
    )
    assert there == missing and list(there) == ["source_volume"]


def test_the_choices_of_a_host_are_its_own(host: Host, wish: dict[str, Any], pool: Pool, operator: Any) -> None:
    make_volume(pool, "disk.qcow2", format="qcow2")
    offered = choices_of(host, operator)
    assert [one["name"] for one in offered["isos"]] == ["debian.iso"]
    assert [(one["name"], one["format"]) for one in offered["images"]] == [("disk.qcow2", "qcow2")]
    assert offered["defaults"]["disk_pool"] == "default"
    assert offered["defaults"]["network"] == "default"
    assert choices_of(make_host("kvm2"), operator)["isos"] == []


def test_the_page_of_creation_and_its_check_answer(browser: Client, host: Host, wish: dict[str, Any]) -> None:
    page = browser.get("/guests/new/?name=abc").content.decode()
    assert 'value="abc"' in page
    body = {"host": host.pk, "params": wish | {"network": "gone"}}
    answer = browser.post("/guests/new/check/", body, "application/json").json()
    assert list(answer["errors"]) == ["network"]
    assert answer["warnings"] == {}
    assert browser.get(f"/guests/new/choices.json?host={host.pk}").json()["host"] == host.pk


@pytest.mark.parametrize(
    "body", ["", "[]", "{", '{"params": 3}', '{"host": "x", "params": {}}', '{"host": 99, "params": {}}']
)
def test_a_nonsense_check_is_answered_plainly(browser: Client, host: Host, body: str) -> None:
    assert browser.post("/guests/new/check/", body, "application/json").status_code in (400, 404)


def test_a_viewer_may_not_create(watcher: Client, host: Host) -> None:
    assert watcher.get("/guests/new/").status_code == 403
    assert watcher.post("/guests/new/check/", {}, "application/json").status_code == 403


def test_without_a_host_the_page_says_what_to_do(browser: Client) -> None:
    assert "No host yet" in browser.get("/guests/new/").content.decode()
    make_host("gone", status=Host.Status.DOWN)
    assert "No host answers" in browser.get("/guests/new/").content.decode()
