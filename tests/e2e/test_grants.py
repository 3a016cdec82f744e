"""Granting on the pages for it: what is granted opens at once, what is taken away closes at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from playwright.sync_api import expect

from tests.e2e.browser import Person
from tests.lab.guests import LabGuest


def test_a_grant_on_one_machine_opens_that_machine_only_until_it_is_taken_away(
    person: Person, people: Callable[..., Person], add_person: Callable[[str, str], Any], tiny: LabGuest
) -> None:
    gustav = people(add_person("gustav", "viewer"))
    gustav.allow("403", "404")
    admin = person.open("/people/")
    admin.get_by_role("link", name="gustav").click()
    admin.get_by_label("Role").select_option("")
    admin.get_by_role("button", name="Save").click()
    page = gustav.open("/guests/")
    expect(page.get_by_role("heading", name="Not allowed")).to_be_visible()
    expect(page.get_by_text("See virtual machines")).to_be_visible()

    admin.get_by_role("link", name="gustav").click()
    admin.get_by_label("Grant", exact=True).select_option("operator")
    admin.get_by_label("A virtual machine").check()
    admin.get_by_role("combobox", name="Virtual machine").fill(tiny.name)
    admin.get_by_role("option", name=f"{tiny.name} (").click()
    admin.get_by_role("button", name="Grant", exact=True).click()
    expect(admin.get_by_text("Granted. It takes effect at once.")).to_be_visible()
    expect(admin.get_by_role("row", name=f"Operator the virtual machine {tiny.name}")).to_be_visible()

    page = gustav.open("/guests/")
    expect(page.locator("[data-guest-link][data-f=name]:visible")).to_have_text([tiny.name])
    page = gustav.open_guest(tiny)
    page.get_by_role("button", name="More").click()
    page.get_by_role("menuitem", name="What may I do here?").click()
    expect(page.get_by_text("Operator on the virtual machine tiny").first).to_be_visible()
    gustav.open_guest(tiny)

    admin.get_by_role("button", name="Take away").click()
    began = time.monotonic()
    for one in gustav.context.pages[1:]:
        expect(one.get_by_role("heading", name="Not allowed")).to_be_visible(timeout=5_000)
    print(f"the pages of somebody who lost a grant went {time.monotonic() - began:.1f} s after it had been taken away")
    assert admin.locator("table", has_text="Operator").count() == 0
