"""Many guests at once in pages: which ones are meant, how many each operation fits, the question, and the answer."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.test import Client

from dashboard.accounts.models import Grant, User
from dashboard.guests import many, many_fields
from dashboard.inventory.models import Guest, Host, Pool
from dashboard.jobs.models import Job
from dashboard.jobs.operation import OPERATIONS
from tests.unit.guests.conftest import make_guest, make_host, make_volume

Answer = Any


def ref(guest: Guest) -> dict[str, Any]:
    return {"host": guest.host_id, "uuid": str(guest.uuid)}


def post(browser: Client, path: str, **body: Any) -> Answer:
    return browser.post(path, body, content_type="application/json")


@pytest.fixture
def guests(host: Host) -> list[Guest]:
    """Two that are off, two that run, one that is paused."""
    states = ("shutoff", "shutoff", "running", "running", "paused")
    return [make_guest(host, f"web{number}", state=state) for number, state in enumerate(states)]


def test_each_operation_says_how_many_it_fits(browser: Client, guests: list[Guest]) -> None:
    answer = post(browser, "/guests/many/", guests=[ref(one) for one in guests]).json()
    fits = {one["name"]: one["fits"] for one in answer["operations"]}
    assert answer["number"] == 5
    assert fits["guest.start"] == 2
    assert fits["guest.shutdown"] == 2
    assert fits["guest.pause"] == 2
    assert fits["guest.resume"] == 1
    assert fits["guest.force_off"] == 3
    assert fits["guest.retag"] == 5
    assert fits["guest.delete"] == 2
    assert [one["name"] for one in answer["operations"]][-1] == "guest.delete"


def test_what_fits_none_says_why(browser: Client, guests: list[Guest]) -> None:
    answer = post(browser, "/guests/many/", guests=[ref(guests[2])]).json()
    start = next(one for one in answer["operations"] if one["name"] == "guest.start")
    assert (start["fits"], start["why"]) == (0, "It is running already.")


def test_all_that_fit_a_search_but_some(browser: Client, guests: list[Guest]) -> None:
    assert post(browser, "/guests/many/", q="state:running").json()["number"] == 2
    assert post(browser, "/guests/many/", q="", but=[ref(guests[0])]).json()["number"] == 4
    wrong = post(browser, "/guests/many/", q="nonsense:1")
    assert wrong.status_code == 400
    assert "q" in wrong.json()["errors"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"guests": "all"},
        {"guests": [1]},
        {"guests": [{"host": "x", "uuid": "y"}]},
        {"guests": [{"host": 1}]},
        {"guests": [{"host": 1, "uuid": str(uuid.uuid4())}], "q": "a"},
        {"q": "", "but": 7},
    ],
)
def test_what_names_no_guests_is_an_error_and_no_crash(browser: Client, body: dict[str, Any]) -> None:
    assert post(browser, "/guests/many/", **body).status_code == 400
    assert post(browser, "/operations/many/guest.start/", **body).status_code == 400
    assert not Job.objects.exists()


def test_a_guest_that_one_may_not_see_is_not_there(client: Client, host: Host, guests: list[Guest]) -> None:
    person = User.objects.create_user("pat")
    Grant.objects.create(user=person, role="operator", place="guest", key=f"{host.pk}/{guests[0].uuid}")
    client.force_login(person)
    everything = [ref(one) for one in guests]
    assert post(client, "/guests/many/", guests=everything).json()["number"] == 1
    assert post(client, "/guests/many/", q="").json()["number"] == 1
    answer = post(client, "/operations/many/guest.start/", guests=everything)
    parent = Job.objects.get(pk=answer.json()["job"]["id"])
    assert [child.object_name for child in parent.children.all()] == ["web0"]
    assert "web1" not in parent.virsh
    nothing = post(client, "/operations/many/guest.start/", guests=[ref(guests[1])])
    assert nothing.status_code == 409


def test_the_twin_of_a_guest_on_another_host_is_not_meant(browser: Client, guests: list[Guest]) -> None:
    twin = make_guest(make_host("kvm2"), "twin", uuid=guests[0].uuid)
    answer = post(browser, "/operations/many/guest.start/", guests=[ref(twin)])
    assert Job.objects.get(pk=answer.json()["job"]["id"]).children.get().host == twin.host


def test_a_viewer_is_offered_nothing(watcher: Client, guests: list[Guest]) -> None:
    assert post(watcher, "/guests/many/", q="").json() == {"number": 5, "operations": []}
    assert post(watcher, "/guests/many/guest.start/", q="").status_code == 404
    assert post(watcher, "/operations/many/guest.start/", q="").status_code == 404
    assert 'data-select"' not in watcher.get("/guests/").content.decode()
    assert not Job.objects.exists()


@pytest.mark.parametrize("name", ["guest.rename", "guest.create", "pool.start", "nothing"])
def test_what_is_not_for_many_is_not_there(browser: Client, guests: list[Guest], name: str) -> None:
    assert post(browser, f"/operations/many/{name}/", q="").status_code == 404
    assert post(browser, f"/guests/many/{name}/", q="").status_code == 404


def test_only_those_that_it_fits_are_done_when_that_was_asked(browser: Client, guests: list[Guest]) -> None:
    body = {"guests": [ref(one) for one in guests], "fitting": True, "number": 2}
    answer = post(browser, "/operations/many/guest.start/", **body)
    assert answer.status_code == 202
    job = answer.json()["job"]
    assert (job["object_kind"], job["object_name"], job["state"]) == ("guests", "2 virtual machines", "running")
    assert Job.objects.filter(parent=job["id"], state="queued").count() == 2


def test_each_has_its_result_when_all_were_asked(browser: Client, guests: list[Guest]) -> None:
    answer = post(browser, "/operations/many/guest.start/", guests=[ref(one) for one in guests])
    children = Job.objects.filter(parent=answer.json()["job"]["id"]).order_by("object_name")
    assert [child.state for child in children] == ["queued", "queued", "failed", "failed", "failed"]
    assert children[4].error == "It is paused: resume it instead."


def test_when_more_match_by_now_it_asks_again(browser: Client, host: Host, guests: list[Guest]) -> None:
    make_guest(host, "web9")
    answer = post(browser, "/operations/many/guest.start/", q="web", fitting=True, number=2)
    assert answer.status_code == 409
    assert answer.json()["number"] == 3
    assert not Job.objects.exists()


def test_the_same_key_gives_the_same_job(browser: Client, guests: list[Guest]) -> None:
    body = {"q": "", "fitting": True}
    send = {"content_type": "application/json", "headers": {"Idempotency-Key": "one"}}
    first = browser.post("/operations/many/guest.start/", body, **send)
    again = browser.post("/operations/many/guest.start/", body, **send)
    assert first.json()["job"]["id"] == again.json()["job"]["id"]
    assert Job.objects.count() == 3


def test_a_plain_form_does_it_too(browser: Client, guests: list[Guest]) -> None:
    keys = [f"{one.host_id}/{one.uuid}" for one in guests[:2]]
    answer = browser.post("/operations/many/guest.retag/", {"guests": keys, "add": "web  blue", "number": "2"})
    assert answer.status_code == 202
    assert Job.objects.filter(parent__isnull=False).first().params == {"add": ["web", "blue"], "remove": []}  # type: ignore[union-attr]


# -- the question


def test_the_question_names_ten_and_says_how_many_more(browser: Client, host: Host) -> None:
    for number in range(12):
        make_guest(host, f"many{number:02}")
    text = post(browser, "/guests/many/guest.start/", q="many").content.decode()
    assert "Start: 12 virtual machines" in " ".join(text.split())
    assert "many09" in text and "many10" not in text
    assert "and 2 more" in text


def test_the_question_says_what_is_lost_and_who_is_left_out(browser: Client, guests: list[Guest]) -> None:
    text = post(browser, "/guests/many/guest.force_off/", q="").content.decode()
    assert "The power is cut at once" in text
    assert "2 of the selected are left out" in text
    assert "It is off already." in text
    assert "btn-danger" in text


def test_deleting_many_wants_the_number_typed_and_keeps_the_disks(browser: Client, guests: list[Guest]) -> None:
    text = post(browser, "/guests/many/guest.delete/", q="").content.decode()
    assert "data-many-number" in text
    assert 'value="keep" checked' in text
    wanted = {"q": "", "fitting": True}
    assert "number" in post(browser, "/operations/many/guest.delete/", **wanted).json()["errors"]
    assert post(browser, "/operations/many/guest.delete/", **wanted, number="x").status_code == 400
    answer = post(browser, "/operations/many/guest.delete/", **wanted, number="2")
    children = Job.objects.filter(parent=answer.json()["job"]["id"])
    assert {(child.params["name"], tuple(child.params["volumes"])) for child in children} == {
        ("web0", ()),
        ("web1", ()),
    }


def test_disks_go_only_where_the_guest_alone_uses_them(browser: Client, host: Host, pool: Pool) -> None:
    shared, own = make_volume(pool, "shared"), make_volume(pool, "own")

    def disk(target: str, path: str) -> dict[str, str]:
        return {"target": target, "source": path, "device": "disk", "bus": "virtio"}

    both = [disk("vda", own.path), disk("vdb", shared.path)]
    one = make_guest(host, "one", facts={"disks": both}, xml=f"<d>{own.path} {shared.path}</d>")
    make_guest(host, "two", facts={"disks": [disk("vda", shared.path)]}, xml=f"<d>{shared.path}</d>")
    body = {"guests": [ref(one)], "params": {"disks": "own"}, "number": 1}
    answer = post(browser, "/operations/many/guest.delete/", **body)
    child = Job.objects.get(parent=answer.json()["job"]["id"])
    assert child.params["volumes"] == [own.path]
    assert [volume["path"] for volume in child.plan["volumes"]] == [own.path]


@pytest.mark.parametrize(
    ("params", "field"),
    [({}, ""), ({"add": ["a"], "remove": ["a"]}, ""), ({"add": ["two words"]}, "add"), ({"colour": "red"}, "colour")],
)
def test_tags_that_make_no_sense_are_told(
    browser: Client, guests: list[Guest], params: dict[str, Any], field: str
) -> None:
    answer = post(browser, "/operations/many/guest.retag/", q="", params=params)
    assert answer.status_code == 400
    assert field in answer.json()["errors"]


def test_tags_are_added_and_taken_away_and_the_others_stay(browser: Client, host: Host) -> None:
    guest = make_guest(host, "tagged", tags=["old", "keep"])
    answer = post(browser, "/operations/many/guest.retag/", q="", params={"add": ["new"], "remove": ["old"]})
    child = Job.objects.get(parent=answer.json()["job"]["id"])
    assert "<tag>keep</tag><tag>new</tag>" in child.virsh
    assert OPERATIONS["guest.retag"].params(add=["new"], remove=["old"]).of(guest.tags) == ("keep", "new")  # type: ignore[attr-defined]


def test_every_field_of_every_question_has_a_label_and_a_kind() -> None:
    """A later operation that is declared for many gets its dialog by itself."""
    kinds = {
        declared.name: {field["name"]: field["kind"] for field in many_fields.fields_of(declared)}
        for declared in many.operations()
    }
    assert kinds["guest.start"] == {"paused": "check"}
    assert kinds["guest.shutdown"] == {"deadline": "number"}
    assert kinds["guest.retag"] == {"add": "words", "remove": "words"}
    assert kinds["guest.delete"] == {"disks": "choice"}
    assert kinds["guest.autostart"] == {"enabled": "check"}


# -- pages of the jobs


def test_the_parents_page_lists_each_result_and_filters(browser: Client, guests: list[Guest]) -> None:
    answer = post(browser, "/operations/many/guest.start/", guests=[ref(one) for one in guests])
    page = f"/jobs/{answer.json()['job']['id']}/"
    text = browser.get(page).content.decode()
    assert "It is running already." in text
    assert text.count("data-child=") == 5
    assert text.index("web2") < text.index("web0"), "what went wrong stands first"
    assert browser.get(f"{page}?of=bad").content.decode().count("data-child=") == 3
    assert browser.get(f"{page}?of=succeeded").content.decode().count("data-child=") == 0
    child = Job.objects.filter(parent__isnull=False).first()
    assert child is not None
    assert page in browser.get(f"/jobs/{child.pk}/").content.decode()


def test_the_list_of_jobs_shows_one_line(browser: Client, guests: list[Guest]) -> None:
    post(browser, "/operations/many/guest.start/", q="", fitting=True)
    text = browser.get("/jobs/").content.decode()
    assert "2 virtual machines" in text
    assert "web0" not in text


def test_asking_costs_the_same_for_one_and_for_fifty(
    browser: Client, host: Host, django_assert_max_num_queries: Any
) -> None:
    for number in range(50):
        make_guest(host, f"many{number:02}")
    with django_assert_max_num_queries(14):
        assert post(browser, "/guests/many/", q="many").json()["number"] == 50
