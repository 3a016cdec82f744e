"""From virDomainSuspend in another process until the list in a real browser has painted the new state."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from tests.bench.measure import BenchError, Run, middle, percentile
from tests.bench.report import Figure, aim, figure
from tests.bench.world import World, world
from tests.e2e.browser import ARGUMENTS, CHROMIUM

MOST_MS = 100
WATCH = """(uuid) => {
  window.bench = [];
  const cell = document.querySelector(`[data-row$="/${uuid}"] [data-f="state"]`);
  const now = () => performance.timeOrigin + performance.now();
  new MutationObserver(() => {
    const seen = { state: cell.dataset.value, changed: now() };
    // The change belongs to the frame that is being made: when the next one begins, it has been painted.
    requestAnimationFrame(() => window.bench.push({ ...seen, painted: now() }));
  }).observe(cell, { attributes: true, attributeFilter: ["data-value"] });
  return cell.dataset.value;
}"""


def measure(run: Run) -> list[Figure]:
    """Changes one by one, each seen by a bare callback and by the page."""
    place = world(run)
    place.bystanders()
    if not Path(CHROMIUM).exists():
        raise BenchError(f"{CHROMIUM} is missing (Debian: chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        try:
            context = browser.new_context(base_url=place.stack.url)
            context.add_cookies(
                [{"name": name, "value": value, "url": place.stack.url} for name, value in place.cookies.items()]
            )
            page = context.new_page()
            page.goto("/guests/")
            page.wait_for_selector('#live-indicator[data-status="live"]')
            laps = follow(place, page, run.times(50, 12))
        finally:
            browser.close()
    return figures(laps)


def follow(place: World, page: Page, count: int) -> list[dict[str, float]]:
    """Milliseconds from the call's begin to the bare callback, the changed cell and the painted frame; of each change."""
    uuid, laps = place.idle.uuid, []
    if page.evaluate(WATCH, uuid) != "running":
        raise BenchError("the page does not show a running guest")
    page.wait_for_timeout(1000)
    for number in range(count + 2):
        call, event, state = ("resume", "resumed", "running") if number % 2 else ("suspend", "suspended", "paused")
        offset = clock(page)
        began, _ended = place.actor.tell(call, uuid)
        heard = place.wait_for_event(uuid, event, began)
        if not heard:
            raise BenchError(f"libvirt told no event: {event}")
        seen = until_seen(page, state)
        lap = {"heard": heard, "changed": seen["changed"] / 1000 - offset, "painted": seen["painted"] / 1000 - offset}
        if number >= 2:  # the first two warm up
            laps.append({name: (at - began) * 1000 for name, at in lap.items()})
        page.wait_for_timeout(random.uniform(200, 500))
    return laps


def until_seen(page: Page, state: str) -> dict[str, Any]:
    """What the page noted about the change to a state; then it forgets."""
    end = time.monotonic() + 15
    while time.monotonic() < end:
        page.wait_for_timeout(150)
        if page.evaluate("window.bench.at(-1)?.state") == state:
            found: dict[str, Any] = page.evaluate("window.bench.splice(0).at(-1)")
            return found
    raise BenchError(f"the page never showed {state}")


def clock(page: Page) -> float:
    """Seconds by which the browser's clock is ahead of ours, to half the quickest of some round trips."""
    best = (9.0, 0.0)
    for _ in range(8):
        before = time.time()
        theirs = page.evaluate("performance.timeOrigin + performance.now()") / 1000
        after = time.time()
        best = min(best, (after - before, theirs - (before + after) / 2))
    return best[1]


def figures(laps: list[dict[str, float]]) -> list[Figure]:
    """p50 and p95 beside the bare callback's."""
    painted, heard = [lap["painted"] for lap in laps], [lap["heard"] for lap in laps]
    p50 = middle(painted)
    cell = middle([lap["changed"] for lap in laps])
    added = [lap["painted"] - lap["heard"] for lap in laps]
    return [
        figure("outside change to painted page, p50", p50, "ms", floor=middle(heard), note=f"{aim(p50 <= MOST_MS, f'≤{MOST_MS} ms')}; {len(laps)} changes; cell written after {cell:.0f} ms; floor: bare libvirt callback"),
        figure("outside change to painted page, p95", percentile(painted, 0.95), "ms", floor=percentile(heard, 0.95), note=f"after the callback {middle(added):.0f} ms p50, {percentile(added, 0.95):.0f} ms p95"),
    ]  # fmt: skip
