// What is old is grey and says its age: figures that missed three rounds, and every good state while nobody watches.

import { $, $$ } from "./dom.js";
import { duration } from "./format.js";
import { _ } from "./i18n.js";
import { onMessage } from "./live.js";

const ROUND_MS = 2000; // how often figures are read while somebody looks
const OLD_MS = 3 * ROUND_MS + 1000;
const FIGURES = "cpu memory read write rx tx".split(" ").map((name) => `[data-f="${name}"]`);

const told = new Map(); // "<host>/<uuid>" → when its figures were last heard of, on a clock that only counts on
let watchedUntil = performance.now();

onMessage("metrics", (message) => {
  const now = performance.now();
  for (const uuid of Object.keys(message.rows)) told.set(`${message.host}/${uuid}`, now);
});

/** Figures of one guest on this page: grey, with their age, once they are old. */
function look(row, now) {
  const key = row.dataset.row.slice("guest/".length);
  if (!told.has(key)) told.set(key, now);
  const age = now - told.get(key);
  const runs = ["running", "paused", "stopping"].includes($('[data-f="state"]', row)?.dataset.value ?? "running");
  const old = runs && age > OLD_MS;
  for (const element of $$(FIGURES.join(","), row)) {
    if (element.classList.toggle("is-old", old)) element.title = _("%(age)s old", { age: duration(age / 1000) });
    else element.removeAttribute("title");
  }
}

/** All states of the page: none is shown as good once nobody has vouched for it for a while. */
function lookAtPage(now) {
  const status = $("#live-indicator")?.dataset.status;
  if (status === "live") watchedUntil = now;
  const old = status === "stale" || now - watchedUntil > OLD_MS;
  if (old) document.body.dataset.old = "true";
  else delete document.body.dataset.old;
}

setInterval(() => {
  if (document.hidden) return;
  const now = performance.now();
  lookAtPage(now);
  for (const row of $$('[data-row^="guest/"]')) look(row, now);
}, 1000);
