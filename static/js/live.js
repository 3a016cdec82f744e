// The page's one websocket: messages in order, once each, in batches per frame; reconnects by itself.

import { $, setIcon, setText } from "./dom.js";
import { exact } from "./format.js";
import { _ } from "./i18n.js";
import { getJSON } from "./net.js";

const SILENCE_MS = 50_000; // the server pings every 20 s
const MAX_WAIT_S = 30;
const FEW = 20; // so few pages may all come back within a moment
const CROWD_WAIT_S = 10; // of a crowd a tenth comes in the first second, and fewer later
const SHOWN = ["guest", "host", "pool", "network", "job"]; // what parts of a page show
const MAX_QUEUE = 5000; // a hidden page that falls behind fetches anew instead

const listeners = new Map();
const watched = new Map();
let socket = null;
let last = "";
let attempts = 0;
let crowd = FEW + 1; // how many pages the server said are open; until it has, there may be many
let kept = null;
let vouched = Date.now(); // when the monitor was last known to live
let queue = [];
let scheduled = false;
let overflow = false;
let silence = 0;
let retry = 0;
let over = false;
let sentWatch = "[]";

/** Calls back with every message of a kind ("guest", "host", "metrics", "job", …; "*": all). Returns a function that stops it. */
export function onMessage(kind, callback) {
  const set = listeners.get(kind) ?? new Set();
  set.add(callback);
  listeners.set(kind, set);
  return () => set.delete(callback);
}

/** Asks for the metrics of these "<host>/<uuid>"s. Each owner has its own list; a new one replaces its former. */
export function watch(keys, owner = "page") {
  watched.set(owner, [...keys]);
  sendWatch();
}

function sendWatch(force = false) {
  const all = document.hidden ? [] : [...new Set([...watched.values()].flat())].sort();
  const text = JSON.stringify(all);
  if (socket?.readyState !== WebSocket.OPEN || (!force && text === sentWatch)) return;
  sentWatch = text;
  socket.send(JSON.stringify({ watch: all }));
}

function deliver(message) {
  for (const kind of [message.k, "*"]) {
    for (const callback of listeners.get(kind) ?? []) {
      try {
        callback(message);
      } catch (error) {
        console.error("live message", message.k, error);
      }
    }
  }
  document.dispatchEvent(new CustomEvent(`kvmweb:${message.k}`, { detail: message }));
}

function flush() {
  scheduled = false;
  const batch = queue;
  queue = [];
  kept?.push(...batch.filter(([, message]) => SHOWN.includes(message.k)));
  if (overflow) {
    overflow = false;
    resync();
    return;
  }
  for (const [, message] of batch) deliver(message);
}

function enqueue(id, message) {
  if (queue.length >= MAX_QUEUE) {
    queue = [];
    overflow = true;
  }
  queue.push([id, message]);
  if (scheduled) return;
  scheduled = true;
  if (document.hidden) setTimeout(flush, 1000);
  else requestAnimationFrame(flush);
}

function resync() {
  document.dispatchEvent(new CustomEvent("kvmweb:resync"));
}

/** Where everybody is told at once to look again, a crowd does not do so in one moment. */
function resyncInTurn() {
  if (crowd <= FEW) resync();
  else setTimeout(resync, Math.random() * CROWD_WAIT_S * 500);
}

function isLater(id, since) {
  const [ms, count] = id.split("-").map(Number);
  const [sinceMs, sinceCount] = since.split("-").map(Number);
  return ms > sinceMs || (ms === sinceMs && count > sinceCount);
}

/**
 * Keeps what is told of objects, for who fetches a picture of the server's: what the page hears meanwhile may be newer.
 * The function that it returns writes what came after the picture's position into the page once more.
 */
export function keepNews() {
  const mine = [];
  kept = mine;
  return (since) => {
    if (kept === mine) kept = null;
    for (const [id, message] of mine) if (since && isLater(id, since)) deliver(message);
  };
}

/** Seconds within which the page comes back at its n-th try, at a moment that it throws dice for. */
export function longestWait(tries, pages) {
  return Math.min(MAX_WAIT_S, pages > FEW ? CROWD_WAIT_S * 2 ** (tries - 1) : 2 ** tries);
}

/** As long as a page waits before its n-th try, in milliseconds: the same dice for whatever it asks again. */
export const patience = (tries) => Math.random() * longestWait(tries, crowd) * 1000;

function show(status) {
  const indicator = $("#live-indicator");
  if (!indicator || indicator.dataset.status === status) return;
  indicator.dataset.status = status;
  const faces = {
    live: ["state-running", _("Live"), _("This page follows every change.")],
    connecting: ["state-pending", _("Connecting"), _("Waiting for live updates.")],
    reconnecting: ["state-pending", _("Reconnecting"), _("What you see may be old; updates come back by themselves.")],
    stale: ["state-warning", _("Not watching"), _("The monitor that watches the hosts does not answer.")],
    "signed-out": ["state-disabled", _("Signed out"), _("Sign in again to see changes.")],
  };
  const [shape, word, title] = faces[status];
  setIcon($("svg", indicator), shape);
  setText($(".live-text", indicator), word);
  indicator.title = title;
}

function banner(text) {
  const element = $("#stale-banner");
  if (!element) return;
  element.hidden = !text;
  setText(element, text);
}

function heard(data) {
  clearTimeout(silence);
  silence = setTimeout(() => socket?.close(), SILENCE_MS);
  if (data.monitor === false) {
    show("stale");
    const time = exact(vouched);
    banner(
      _("The monitor is not running: what stands below is from %(time)s or older. “manage.py doctor” says why.", {
        time,
      }),
    );
  } else if (data.monitor === true || data.m || data.ping) {
    if (data.monitor === true) banner("");
    if ($("#live-indicator")?.dataset.status !== "stale" || data.monitor === true) show("live");
    if (data.monitor === true || (data.m && data.m.k !== "job")) vouched = Date.now();
  }
}

function receive(event) {
  const data = JSON.parse(event.data);
  heard(data);
  if (data.id) last = data.id;
  if (data.ping) {
    crowd = data.ping;
    deliver({ k: "full", full: data.full ?? [] });
  }
  if (data.resync) resyncInTurn();
  if (data.m) enqueue(data.id, data.m);
}

async function lost(event) {
  clearTimeout(silence);
  socket = null;
  if (over) return;
  if (event.code === 4401 || event.code === 4403) return signedOut();
  show("reconnecting");
  attempts += 1;
  if (attempts % 4 === 0 && (await isSignedOut())) return signedOut();
  clearTimeout(retry);
  retry = setTimeout(connect, patience(attempts));
}

async function isSignedOut() {
  try {
    await getJSON("/jobs/recent.json");
    return false;
  } catch (error) {
    return error.status === 401;
  }
}

function signedOut() {
  over = true;
  show("signed-out");
  banner(_("You have been signed out. Reload the page to sign in again."));
}

/** Opens the socket; called by main.js when the page's modules listen. */
export function connect() {
  if (socket || over || !$("#live-indicator")) return;
  last ||= document.body.dataset.liveSince ?? "";
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  socket = new WebSocket(`${scheme}://${location.host}/live/`);
  socket.addEventListener("open", () => {
    attempts = 0;
    socket.send(JSON.stringify({ since: last }));
    sendWatch(true);
    show("live");
    heard({});
  });
  socket.addEventListener("message", receive);
  socket.addEventListener("close", lost);
}

document.addEventListener("visibilitychange", () => {
  sendWatch();
  if (!document.hidden && !socket && !over) {
    clearTimeout(retry);
    connect();
  }
});
addEventListener("online", () => {
  clearTimeout(retry);
  connect();
});
addEventListener("pagehide", () => {
  over = true;
  socket?.close();
});
addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  over = false;
  resync();
  connect();
});
