"""What does not fit a guest's state says why, and the equivalent command lines are exact."""

from __future__ import annotations

import shlex
import uuid
from typing import Any

import pytest

from dashboard.guests.actions import menu, warning, why_not
from dashboard.inventory.models import Guest, Host
from dashboard.jobs.operation import OPERATIONS
from tests.unit.guests.conftest import make_person

STATES = ("running", "paused", "stopping", "shutoff", "crashed", "suspended", "unknown")
FITS = {
    "guest.start": {"shutoff"},
    "guest.shutdown": {"running"},
    "guest.reboot": {"running"},
    "guest.reset": {"running", "paused", "suspended"},
    "guest.force_off": {"running", "paused", "stopping", "crashed", "suspended"},
    "guest.pause": {"running"},
    "guest.resume": {"paused", "suspended"},
    "guest.nmi": {"running"},
    "guest.save": {"running", "paused"},
    "guest.restore": set(),
    "guest.discard_saved": set(),
    "guest.rename": {"shutoff"},
    "guest.title": set(STATES),
    "guest.description": set(STATES),
    "guest.tags": set(STATES),
    "guest.autostart": set(STATES),
    "guest.delete": {"shutoff"},
}


def a_guest(**fields: Any) -> Guest:
    host = Host(pk=1, name="kvm1", status=Host.Status.LIVE)
    given = {"name": "web1", "uuid": uuid.UUID(int=1), "state": "running", "facts": {}, "xml": ""}
    return Guest(host=host, **given | fields)


@pytest.mark.parametrize("operation", FITS)
@pytest.mark.parametrize("state", STATES)
def test_each_operation_fits_exactly_these_states_and_says_why_not(operation: str, state: str) -> None:
    reason = OPERATIONS[operation].refuse(a_guest(state=state), None)
    assert (reason is None) == (state in FITS[operation]), reason
    if reason:
        assert str(reason).endswith("."), reason


@pytest.mark.parametrize("operation", ["guest.restore", "guest.discard_saved"])
def test_what_is_saved_can_be_restored_or_discarded_and_nothing_else_can_part_it_from_its_guest(operation: str) -> None:
    saved = a_guest(state="shutoff", saved=True)
    assert OPERATIONS[operation].refuse(saved, None) is None
    assert "saved" in str(OPERATIONS["guest.start"].refuse(saved, None))
    assert "saved" in str(OPERATIONS["guest.rename"].refuse(saved, None))
    assert OPERATIONS["guest.delete"].refuse(saved, None) is None


@pytest.mark.parametrize("operation", ["guest.save", "guest.rename", "guest.autostart", "guest.delete"])
def test_a_temporary_guest_says_that_it_is_one(operation: str) -> None:
    state = "running" if operation == "guest.save" else "shutoff"
    assert "temporary" in str(OPERATIONS[operation].refuse(a_guest(state=state, persistent=False), None))


def test_shutting_down_by_agent_needs_an_agent_that_answers() -> None:
    by_agent = OPERATIONS["guest.shutdown"].params.model_validate({"mode": "agent"})
    assert "agent" in str(OPERATIONS["guest.shutdown"].refuse(a_guest(), by_agent))
    assert OPERATIONS["guest.shutdown"].refuse(a_guest(facts={"agent_connected": True}), by_agent) is None


def test_a_host_that_does_not_answer_is_the_first_reason() -> None:
    guest = a_guest()
    guest.host.status = Host.Status.DOWN
    assert "kvm1" in why_not(guest, "guest.pause")


@pytest.mark.parametrize(
    ("operation", "params", "line"),
    [
        ("guest.start", {}, "virsh start web1"),
        ("guest.start", {"paused": True}, "virsh start web1 --paused"),
        ("guest.shutdown", {}, "virsh shutdown web1"),
        ("guest.shutdown", {"mode": "acpi"}, "virsh shutdown web1 --mode acpi"),
        ("guest.reboot", {}, "virsh reboot web1"),
        ("guest.reset", {}, "virsh reset web1"),
        ("guest.force_off", {}, "virsh destroy web1"),
        ("guest.pause", {}, "virsh suspend web1"),
        ("guest.resume", {}, "virsh resume web1"),
        ("guest.nmi", {}, "virsh inject-nmi web1"),
        ("guest.save", {}, "virsh managedsave web1"),
        ("guest.restore", {}, "virsh start web1"),
        ("guest.discard_saved", {}, "virsh managedsave-remove web1"),
        ("guest.rename", {"name": "web2"}, "virsh domrename web1 web2"),
        ("guest.title", {"title": "It's"}, """virsh desc web1 --config --live --title --new-desc 'It'"'"'s'"""),
        ("guest.description", {"description": ""}, "virsh desc web1 --config --live --new-desc ''"),
        ("guest.autostart", {"enabled": True}, "virsh autostart web1"),
        ("guest.autostart", {"enabled": False}, "virsh autostart web1 --disable"),
        ("guest.tags", {"tags": []}, "virsh metadata web1 --config --live urn:kvmweb:guest:1 --key kvmweb --remove"),
        (
            "guest.delete",
            {"name": "web1", "volumes": ["/a b.qcow2"]},
            "virsh undefine web1 --nvram --managed-save --snapshots-metadata --checkpoints-metadata\nvirsh vol-delete '/a b.qcow2'",
        ),
    ],
)
def test_the_equivalent_command_is_exact(operation: str, params: dict[str, Any], line: str) -> None:
    declared = OPERATIONS[operation]
    assert declared.virsh(a_guest(), declared.params.model_validate(params)) == line


def test_tags_keep_the_job_that_made_the_guest_in_the_command() -> None:
    xml = (
        '<domain><metadata><kvmweb:guest xmlns:kvmweb="urn:kvmweb:guest:1"><kvmweb:job>abc</kvmweb:job></kvmweb:guest>'
        "</metadata></domain>"
    )
    declared = OPERATIONS["guest.tags"]
    line = declared.virsh(a_guest(xml=xml), declared.params.model_validate({"tags": ["a"]}))
    assert shlex.split(line)[-1] == "<guest><tag>a</tag><job>abc</job></guest>"


@pytest.mark.parametrize("name", ["-dash", "7", "00000000-0000-0000-0000-00000000000a", "a\nb", "--help"])
def test_a_name_that_virsh_would_misread_is_replaced_by_the_uuid(name: str) -> None:
    declared = OPERATIONS["guest.reboot"]
    assert shlex.split(declared.virsh(a_guest(name=name), declared.params()))[-1] == str(uuid.UUID(int=1))


def test_a_name_with_quotes_and_spaces_is_one_word_of_the_shell() -> None:
    declared = OPERATIONS["guest.reboot"]
    name = 'it\'s $(rm) `x` "q"'
    assert shlex.split(declared.virsh(a_guest(name=name), declared.params())) == ["virsh", "reboot", name]


def test_force_off_says_for_how_long_the_guest_has_been_running() -> None:
    from datetime import timedelta

    from django.utils import timezone

    guest = a_guest(started_at=timezone.now() - timedelta(days=3, hours=4))
    assert "3 d 4 h" in warning(guest, "guest.force_off")
    assert "lost" in warning(guest, "guest.force_off")
    assert warning(guest, "guest.pause") == ""


@pytest.mark.django_db
def test_the_menu_of_a_viewer_is_empty_and_that_of_an_operator_has_every_operation() -> None:
    assert menu(make_person("viewer"), a_guest()) == []
    names = {item["name"] for group in menu(make_person("operator"), a_guest(saved=True)) for item in group}
    assert names == set(FITS) - {"guest.resume"}


@pytest.mark.parametrize(
    ("operation", "params"),
    [
        ("guest.rename", {"name": "-x"}), ("guest.rename", {"name": "a/b"}), ("guest.rename", {"name": "x" * 64}),
        ("guest.rename", {"name": "dot."}), ("guest.title", {"title": "two\nlines"}), ("guest.title", {"title": "x" * 256}),
        ("guest.description", {"description": "bell\x07"}), ("guest.tags", {"tags": ["two words"]}),
        ("guest.tags", {"tags": [f"t{number}" for number in range(33)]}), ("guest.start", {"unknown": 1}),
        ("guest.shutdown", {"deadline": 1}), ("guest.shutdown", {"mode": "nicely"}),
    ],
)  # fmt: skip
def test_parameters_that_cannot_be_are_refused_with_a_sentence(operation: str, params: dict[str, Any]) -> None:
    from dashboard.jobs.wording import validate

    typed, errors = validate(OPERATIONS[operation], params)
    assert typed is None
    assert all(sentence.endswith(".") for sentences in errors.values() for sentence in sentences), errors
