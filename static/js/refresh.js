// Fetches the page again and replaces parts of it by id: after a gap in the live stream, or when structure changed.

import { $$ } from "./dom.js";
import { keepNews, onMessage, patience } from "./live.js";

const CALM_MS = 100;

let running = null;
const held = new Set();
let missed = new Set(); // parts whose fetch failed: what made it necessary is not told twice
let later = 0;
let failures = 0;
let suspicious = false; // since a gap or a change of rights, until the page was fetched again

/**
 * Replaces the elements with these ids by the server's fresh ones; [data-refresh] elements when none are named.
 * One fetch at a time: a later one takes over what the former was to bring. `leave(fresh)` names parts that stay as they
 * are, as the fetched page tells.
 */
export async function refresh(ids = null, url = location.href, { leave = () => [] } = {}) {
  const names = new Set(ids ?? $$("[data-refresh][id]").map((element) => element.id));
  for (const name of running?.names ?? []) names.add(name);
  running?.controller.abort();
  const mine = { names, controller: new AbortController() };
  running = mine;
  const tellNews = keepNews();
  try {
    const headers = { Accept: "text/html" }; // as a page: with its position in the live stream
    const options = { credentials: "same-origin", headers, signal: mine.controller.signal };
    const { response, text } = await ask(url, options, names);
    // What its person may see no longer gives way to the page that says so: nothing of it may stay on the screen.
    if (suspicious && (response.status === 403 || response.status === 404)) location.reload();
    if (!response.ok) return false;
    suspicious = false;
    const fresh = new DOMParser().parseFromString(text, "text/html");
    for (const id of leave(fresh)) names.delete(id);
    for (const id of names) {
      const old = document.getElementById(id);
      const next = fresh.getElementById(id);
      if (old && next && inUse(old)) hold(id);
      else if (old && next) swap(old, document.adoptNode(next));
    }
    tellNews(fresh.body.dataset.liveSince);
    return true;
  } finally {
    tellNews(""); // nothing is kept any longer
    if (running === mine) running = null;
  }
}

/** Whether somebody has a menu open in it or is pressing something there: then nothing may move under the hand. */
function inUse(element) {
  return Boolean(element.querySelector(":popover-open")) || element.matches(":active");
}

/** Brings the part once nobody uses it any more, as it is then. */
function hold(id) {
  if (held.has(id)) return;
  held.add(id);
  const timer = setInterval(() => {
    const element = document.getElementById(id);
    if (element && inUse(element)) return;
    clearInterval(timer);
    held.delete(id);
    if (element) refreshQuietly([id]);
  }, CALM_MS);
}

function swap(old, next) {
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  const again = focused?.id ? `#${CSS.escape(focused.id)}` : null;
  old.replaceWith(next);
  if (again) next.querySelector(again)?.focus({ preventScroll: true });
  document.dispatchEvent(new CustomEvent("kvmweb:content", { detail: { element: next } }));
}

/** The same for who does not wait for it. */
export function refreshQuietly(ids = null) {
  refresh(ids).catch((error) => {
    if (error.name !== "AbortError") console.warn("refresh", error);
  });
}

/** The page's text. Where nobody answers the parts are asked for again until somebody does. */
async function ask(url, options, names) {
  try {
    const response = await fetch(url, options);
    const text = await response.text();
    if (response.status >= 500 || response.status === 429) tryLater(names);
    else failures = 0;
    return { response, text };
  } catch (error) {
    if (error.name !== "AbortError") tryLater(names);
    throw error;
  }
}

function tryLater(names) {
  for (const name of names) missed.add(name);
  failures += 1;
  clearTimeout(later);
  later = setTimeout(() => {
    const wanted = [...missed];
    missed = new Set();
    refreshQuietly(wanted);
  }, patience(failures));
}

onMessage("full", ({ full }) => {
  const says = Boolean(document.getElementById("full-banner"));
  if (full.length > 0 !== says) setTimeout(() => refreshQuietly(["fullness"]), patience(1));
});

document.addEventListener("kvmweb:resync", () => {
  suspicious = true;
  if (document.querySelector("[data-refresh][id]")) refreshQuietly();
});
