"""What fills the pages that are looked at: a group, a role, grants, quotas, a token, a kept search, a job on many."""

from __future__ import annotations

from urllib.parse import urlsplit

from playwright.sync_api import Page, expect

from tests.e2e.browser import Person
from tests.lab.guests import LabGuest
from tests.lab.hosts import LabHost

NAMES = frozenset({"gina", "Gardeners", "Watering", "For looks", "Those to look at", "green", "h1"})
"""What people called things here: not words to translate."""


def furnish(person: Person, page: Page, host: LabHost, guests: list[LabGuest]) -> dict[str, str]:
    """Do by the pages what people do there; name of the address → the address, for what that made."""
    group, somebody = _group(person, page), _somebody(person, page)
    person.open("/people/roles/new/", page)
    page.get_by_label("Name", exact=True).fill("Watering")
    page.locator("[name=permissions][value='guest.view']").check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("link", name="Watering")).to_be_visible()
    role = page.get_by_role("link", name="Watering").get_attribute("href") or ""
    for path in (group, somebody):
        person.open(path, page)
        page.get_by_label("Grant", exact=True).select_option("viewer")
        page.get_by_role("button", name="Grant", exact=True).click()
        expect(page.locator("section[aria-labelledby=grants-title] tbody tr")).to_have_count(1)
    for path in (f"{somebody}quota/", f"{group}quota/", "/people/1/quota/"):
        person.open(path, page)
        page.locator("[name=guests]").fill("1000")
        page.locator("main form button[type=submit]").first.click()
    person.open("/guests/searches/new/?q=look-", page)
    page.get_by_label("Name", exact=True).fill("Those to look at")
    page.get_by_label("Show it to everybody").check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("link", name="Those to look at")).to_be_visible()
    person.open("/security/tokens/", page)
    page.get_by_label("Name", exact=True).fill("For looks")
    page.get_by_role("button", name="Make token").click()
    expect(page.get_by_label("New token", exact=True)).to_be_visible()
    return {
        "people-groups": "/people/groups/", "people-group": group, "quota-group": f"{group}quota/",
        "people-roles": "/people/roles/", "people-role-add": "/people/roles/new/", "people-role": role,
        "built-in role": "/people/roles/operator/", "somebody": somebody, "quota-person": f"{somebody}quota/",
        "somebody's security": f"{somebody}security/", "what one may do here": f"/guests/{guests[0].uuid}/rights/",
        "what one may do on a host": "/hosts/1/rights/", "job on many": _job_on_many(person, page, guests),
    }  # fmt: skip


def _group(person: Person, page: Page) -> str:
    person.open("/people/groups/", page)
    page.get_by_label("Name", exact=True).fill("Gardeners")
    page.get_by_role("button", name="Add group").click()
    expect(page.get_by_role("heading", name="Gardeners", level=1)).to_be_visible()
    return urlsplit(page.url).path


def _somebody(person: Person, page: Page) -> str:
    person.open("/people/new/", page)
    page.get_by_label("User name").fill("gina")
    page.get_by_label("Role").select_option("")
    page.get_by_label("Password", exact=True).fill("four quiet words here")
    page.get_by_label("Password again").fill("four quiet words here")
    page.get_by_role("button", name="Add person").click()
    return page.get_by_role("link", name="gina").get_attribute("href") or ""


def _job_on_many(person: Person, page: Page, guests: list[LabGuest]) -> str:
    person.open("/guests/", page)
    for guest in guests:
        page.locator(f"[data-row$='{guest.uuid}'] [data-select]").check()
    expect(page.locator("[data-many='guest.start']")).to_be_visible()  # the bar knows that one of the two is off
    page.get_by_role("toolbar").get_by_role("button", name="More").click()
    page.get_by_role("menuitem", name="Add or remove tags").click()
    page.get_by_label("Add these tags").fill("green")
    page.get_by_role("dialog").get_by_role("button", name="Add or remove tags").click()
    card = page.locator("#job-drawer .job:not(.is-old)")
    expect(card).to_have_attribute("data-state", "succeeded", timeout=30_000)
    return card.get_by_role("link", name="2 virtual machines").get_attribute("href") or ""
