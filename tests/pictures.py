"""Makes the pictures of README.md and docs/guide.md from the running product: `make pictures`.

The real stack on private lab hosts with real, emulated guests; nothing in a picture is drawn by hand.

    python -m tests.pictures [--to FOLDER] [--language zh-hans]
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.e2e.browser import ARGUMENTS, CHROMIUM, Person, canvas_picture, selected_line, until
from tests.e2e.stack import ROOT, Stack
from tests.lab.guests import LabGuest, define, idle_image, tiny_images
from tests.lab.hosts import Lab, LabHost, wait_for

ISO = Path("/usr/lib/grub-rescue/grub-rescue-cdrom.iso")
PASSWORD = "four quiet words here"
LIMIT = 200_000
WIDE, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
CHARTS_SECONDS = 100
"""How long guests are watched before their charts are worth a picture."""

WORK = (
    "(while :; do dd if=/dev/vda of=/dev/null bs=4k count=$((RANDOM/16)); ping -c $((RANDOM/512)) -i .1 -s 1200 "
    "192.168.122.1; done) >/dev/null 2>&1 &"
)

IDLE: tuple[tuple[int, str, str, int, str], ...] = (
    (0, "db-1", "Orders", 1024, "prod database"),
    (0, "mail", "", 512, "prod"),
    (0, "build-1", "Nightly builds", 2048, "ci"),
    (0, "windows-test", "", 1024, "test"),
    (1, "web-2", "Shop front", 512, "prod web"),
    (1, "monitor", "Metrics and alarms", 1024, "prod"),
    (1, "build-2", "Nightly builds", 2048, "ci"),
    (1, "old-wiki", "Read only since March", 512, ""),
)
"""(host, name, title, memory in MiB, tags) of the guests that count seconds and do nothing else."""
RUNNING = ("db-1", "mail", "build-1", "web-2", "monitor")


def main() -> int:
    """Make them all; the folder's other files stay."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--language", default="en")
    asked = parser.parse_args()
    asked.to.mkdir(parents=True, exist_ok=True)
    assert ISO.exists(), f"{ISO} is missing (Debian: grub-rescue-pc)"
    with ExitStack() as things:
        lab = Lab()
        things.callback(lab.down)
        hosts = lab.up(2)
        for number, host in enumerate(hosts, 1):
            host.exec("sh", "-c", f"echo 127.0.1.1 kvm-{number} >> /etc/hosts; hostname kvm-{number}")
        guests = people(hosts)
        stack = Stack(hosts[0].socket)
        things.callback(stack.stop)
        stack.start()
        playwright = sync_playwright().start()
        things.callback(playwright.stop)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        things.callback(browser.close)
        photographer = Photographer(browser, stack, asked.to, asked.language)
        photographer.furnish(hosts[1])
        photographer.take(guests)
    return 0


def people(hosts: list[LabHost]) -> dict[str, LabGuest]:
    """Everything that lives on the hosts before kvmweb comes: a tiny Linux and guests that idle."""
    for host in hosts:
        host.virsh("pool-define-as", "default", "dir", "--target", "/var/lib/libvirt/images")
        host.virsh("pool-build", "default")
        host.virsh("pool-start", "default")
        host.virsh("pool-autostart", "default")
    hosts[0].put(ISO)
    guests = {"web-1": define(hosts[0], "web-1", tiny=tiny_images(), network="default")}
    describe(guests["web-1"], "Shop front", "prod web")
    guests["web-1"].virsh("start")
    for number, name, title, memory, tags in IDLE:
        guests[name] = define(hosts[number], name, image=idle_image(), memory_mib=memory, network="default")
        describe(guests[name], title, tags)
        if name in RUNNING:
            guests[name].virsh("start")
    for host in hosts:
        host.virsh("pool-refresh", "default")
    guests["web-1"].wait_for_line("TINY READY")
    return guests


def describe(guest: LabGuest, title: str, tags: str) -> None:
    """Title and tags, as others set them with virsh."""
    if title:
        guest.virsh("desc", "--config", "--title", "--new-desc", title)
    if tags:
        words = "".join(f"<tag>{tag}</tag>" for tag in tags.split())
        guest.virsh("metadata", "--config", "urn:kvmweb:guest:1", "--key", "kvmweb", "--set", f"<guest>{words}</guest>")


class Photographer:
    """The administrator, who furnishes the place and then takes the pictures in one language."""

    def __init__(self, browser: Browser, stack: Stack, folder: Path, language: str) -> None:
        self.browser, self.stack, self.folder, self.language = browser, stack, folder, language
        self.state: Any = None

    def enter(self, **options: Any) -> Person:
        """A browser of the administrator."""
        options = {"viewport": WIDE, "locale": "en-GB", "reduced_motion": "reduce"} | options
        return Person(self.browser, self.stack.url, self.state, **options)

    def furnish(self, far: LabHost) -> None:
        """The first administrator, a host over SSH, and a guest made from an ISO: by the pages, as people do."""
        person = self.enter()
        page = person.open(self.stack.setup_link)
        page.get_by_label("User name").fill("ada")
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_label("Password again").fill(PASSWORD)
        page.get_by_role("button", name="Make administrator and sign in").click()
        expect(page.get_by_role("heading", name="Virtual machines", level=1)).to_be_visible()
        self.state = person.context.storage_state()
        self._add_host(page, far)
        self._check_local(page)
        self._create(page)
        person.close()

    def _add_host(self, page: Page, far: LabHost) -> None:
        page.goto("/hosts/new/")
        page.get_by_label("Name", exact=True).fill("kvm-2")
        page.get_by_label("Reached by", exact=True).select_option("ssh")
        page.get_by_label("Address", exact=True).fill(far.address)
        page.get_by_role("button", name="Add and check").click()
        checks = page.locator("#host-checks")
        approve = checks.get_by_role("button", name="They are the same: approve")
        expect(approve).to_be_visible(timeout=30_000)
        self.shoot(page, "host-key", checks)
        approve.click()
        expect(checks).to_contain_text("may not sign in with this key yet", timeout=30_000)
        far.exec("sh", "-c", checks.locator("pre").filter(has_text="authorized_keys").inner_text())
        far.exec("sh", "-c", "cat /root/.ssh/authorized_keys >> /etc/ssh/lab_authorized_keys")  # where its sshd looks
        checks.get_by_role("button", name="Check", exact=True).click()
        expect(checks).to_contain_text("Default network", timeout=60_000)

    def _check_local(self, page: Page) -> None:
        page.goto("/hosts/")
        page.get_by_role("link", name="kvm-1", exact=True).click()
        page.locator("#host-checks").get_by_role("button", name="Check", exact=True).click()
        expect(page.locator("#host-checks")).to_contain_text("Default network", timeout=60_000)
        expect(page.locator("#host-parts")).to_contain_text("default")

    def _create(self, page: Page) -> None:
        page.goto("/guests/new/")
        chosen = page.get_by_label("Host", exact=True)
        if chosen.count():
            chosen.select_option(label="kvm-1")
        page.get_by_label("Name", exact=True).fill("rescue")
        page.get_by_label("Title").fill("For broken boot loaders")
        expect(page.get_by_label("ISO", exact=True)).to_contain_text(ISO.name)
        page.get_by_label("vCPUs").fill("1")
        page.get_by_label("Memory (MiB)").fill("256")
        page.get_by_label("Size (GiB)").fill("8")
        expect(page.locator("[data-summary]")).to_contain_text("256 MiB")
        if self.language == "en":
            self.shoot(page, "create")
        page.get_by_role("button", name="Create and start").click()
        page.wait_for_url("**/console/**", timeout=60_000)
        expect(page.get_by_role("img", name="Screen of rescue")).to_be_visible(timeout=60_000)
        until(lambda: selected_line(canvas_picture(page)), page, seconds=90, saying="the GRUB menu")
        self.rescue = page.url.removeprefix(self.stack.url).partition("console/")[0]

    def take(self, guests: dict[str, LabGuest]) -> None:
        """All pictures: wide and light, wide and dark, a phone."""
        if self.language != "en":
            self._speak()
        wide, web = self.enter(), f"/guests/{guests['web-1'].uuid}/"
        overview = wide.open(web)
        self._job(wide, guests)
        listing = wide.open("/guests/")
        expect(listing.locator("tr[data-row]")).to_have_count(len(guests) + 1)
        expect(listing.locator(f"tr[data-row$='{guests['mail'].uuid}']")).to_have_attribute("data-shown", "paused")
        performance = wide.open(web + "performance/")
        self._serial(wide, web)
        listing.wait_for_timeout(1000 * CHARTS_SECONDS)
        self.shoot(listing, "guests-light")
        self.shoot(overview, "guest-overview")
        self.shoot(performance, "guest-performance")
        screen = wide.open(self.rescue + "console/")
        expect(screen.locator("[data-target] canvas")).to_be_visible(timeout=60_000)
        until(lambda: selected_line(canvas_picture(screen)), screen, seconds=60, saying="the GRUB menu")
        self.shoot(screen, "guest-screen")
        hosts = wide.open("/hosts/")
        hosts.get_by_role("link", name="kvm-1", exact=True).click()
        hosts.locator("#host-checks").wait_for()
        self.shoot(hosts, "host")
        self.shoot(wide.open("/jobs/"), "jobs")
        self._team(wide, guests)
        if self.language != "en":
            self._others(wide, guests)
        for name, options in (("dark", {}), ("phone-light", {"viewport": PHONE}), ("phone-dark", {"viewport": PHONE})):
            scheme = "light" if name.endswith("light") else "dark"
            person = self.enter(color_scheme=scheme, **options)
            page = person.open("/guests/")
            page.wait_for_timeout(6000)  # the first figures
            self.shoot(page, f"guests-{name}")
            if "viewport" in options:
                self.shoot(person.open(web), f"guest-{name}")
            person.close()
        wide.close()

    def _speak(self) -> None:
        """Change the administrator's language on the page for it."""
        person = self.enter()
        page = person.open("/preferences/")
        page.get_by_label("Language", exact=True).last.select_option(self.language)
        page.locator("main form").get_by_role("button", name="Save").click()
        page.wait_for_timeout(1000)
        self.state = person.context.storage_state()
        person.close()

    def _job(self, wide: Person, guests: dict[str, LabGuest]) -> None:
        """Pause one guest through kvmweb, so that the drawer shows a job."""
        page = wide.open(f"/guests/{guests['mail'].uuid}/")
        page.locator("[data-operation='guest.pause']").first.click()
        wait_for(lambda: guests["mail"].virsh("domstate") == "paused", seconds=30, saying="mail is paused")
        page.wait_for_timeout(1500)
        summary = page.locator("#job-drawer .job-more summary").first
        if summary.count():
            summary.click()
        self.shoot(page, "job-drawer")
        page.close()

    def _serial(self, wide: Person, web: str) -> None:
        """Give the tiny Linux something to do, by its serial line."""
        page = wide.open(web + "serial/")
        page.wait_for_timeout(3000)
        take = page.locator("[data-do=take]")
        if take.is_visible():
            take.click()
        page.wait_for_timeout(1000)
        page.locator(".xterm-helper-textarea").focus()
        page.keyboard.type(f"{WORK}\nclear\nuname -a\nfree -m\nip -4 addr show eth0\n", delay=30)
        page.wait_for_timeout(4000)
        self.shoot(page, "guest-serial")
        page.close()

    def _team(self, wide: Person, guests: dict[str, LabGuest]) -> None:
        """What many guests need: screens, a search, many at once, the start page."""
        page = wide.open("/guests/?view=screens")
        shots = page.locator("img[data-shot]:visible")
        expect(shots).to_have_count(len(RUNNING) + 2, timeout=60_000)  # web-1 and rescue, too
        self.shoot(page, "guests-screens")
        wide.open("/guests/?q=tag:prod", page)
        page.locator("main input[type=search]").press("End")
        page.keyboard.type(" st")
        expect(page.locator("[role=listbox] [role=option]").first).to_be_visible()
        self.shoot(page, "guests-search")
        wide.open("/guests/?q=-state:running", page)
        page.locator("[data-select-page]").check()
        page.locator("[data-many='guest.start']").click()
        expect(page.locator("dialog[open]")).to_be_visible()
        self.shoot(page, "many")
        lost = guests["windows-test"]
        disk = lost.host.images / f"{lost.name}.raw"
        disk.rename(disk.with_suffix(".away"))
        wide.open(f"/guests/{lost.uuid}/", page)
        page.locator("[data-operation='guest.start']").first.click()
        expect(page.locator("#job-drawer .job[data-state=failed]").first).to_be_visible(timeout=30_000)
        disk.with_suffix(".away").rename(disk)
        self.shoot(wide.open("/", page), "start")
        page.close()

    def _others(self, wide: Person, guests: dict[str, LabGuest]) -> None:
        """Pages that only proofreaders look at."""
        for path, name in (
            ("/guests/new/", "create"), ("/hosts/", "hosts"), ("/hosts/new/", "host-add"), ("/storage/", "storage"),
            ("/networks/", "networks"), ("/people/", "people"), ("/people/new/", "person-add"), ("/audit/", "audit"),
            ("/preferences/", "preferences"), ("/nowhere/", "404"), (self.rescue + "xml/", "xml"),
            (self.rescue + "notes/", "notes"), (self.rescue + "jobs/", "guest-jobs"), ("/guests/?q=nothing-like-it", "empty"),
        ):  # fmt: skip
            page = wide.open(path)
            page.wait_for_timeout(500)
            self.shoot(page, name, full=True)
            page.close()
        page = wide.open("/jobs/")
        page.locator("main table a").first.click()
        page.wait_for_timeout(500)
        self.shoot(page, "job", full=True)
        page.goto(f"/guests/{guests['old-wiki'].uuid}/")
        page.locator("[data-guest-menu]").last.click()
        page.wait_for_timeout(800)
        self.shoot(page, "menu")
        page.locator("[data-name='guest.delete']").click()
        page.wait_for_timeout(800)
        self.shoot(page, "delete")
        stranger = Person(self.browser, self.stack.url, None, viewport=WIDE, locale="zh-CN")
        self.shoot(stranger.open("/"), "sign-in")
        stranger.close()

    def shoot(self, page: Page, name: str, part: Any = None, *, full: bool = False) -> None:
        """One picture, in at most 256 colours and small enough for a repository."""
        page.bring_to_front()
        page.wait_for_timeout(300)
        raw = part.screenshot() if part is not None else page.screenshot(full_page=full)
        picture = Image.open(io.BytesIO(raw)).convert("RGB")
        path = self.folder / f"{name}.png"
        for colours in (256, 128, 64):
            with tempfile.SpooledTemporaryFile() as small:
                picture.quantize(colours, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(
                    small, "PNG", optimize=True
                )
                if small.tell() < LIMIT or colours == 64:
                    small.seek(0)
                    path.write_bytes(small.read())
                    break
        print(f"{path.stat().st_size:7} {path.relative_to(ROOT) if path.is_relative_to(ROOT) else path}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
