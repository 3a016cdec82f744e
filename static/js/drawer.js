// The activity drawer: this person's running and recent jobs. A small card while one works, the whole side on demand.

import { $, announce } from "./dom.js";
import { _ } from "./i18n.js";
import { active, fill, localised } from "./job_card.js";
import { onMessage } from "./live.js";
import { getJSON, postJSON } from "./net.js";
import { toast } from "./toast.js";

const LEAVE_MS = 6000;
const POLL_MS = 3000;
const KEEP = 30;

const drawer = $("#job-drawer");
const list = $("[data-drawer-jobs]");
const button = $("#drawer-button");
const jobs = new Map();
const cards = new Map();
const silent = new Set();
const heard = new Map(); // job → how many rows the live stream had told of when it last told of this one
let leaving = 0;
let byItself = false;
let told = 0;

const remembered = (value) => {
  try {
    if (value !== undefined) sessionStorage.setItem("kvmweb-drawer", value);
    return sessionStorage.getItem("kvmweb-drawer");
  } catch {
    return null;
  }
};

function busy() {
  return [...jobs.values()].filter((job) => active(job) && !silent.has(job.id));
}

function count() {
  const running = busy().length;
  const badge = $("#drawer-count");
  badge.hidden = running === 0;
  badge.textContent = String(running);
  button.dataset.busy = running ? "1" : "";
  $("[data-drawer-empty]").hidden = cards.size > 0;
}

function card(job, old) {
  let element = cards.get(job.id);
  if (!element) {
    element = $("#job-template").content.firstElementChild.cloneNode(true);
    element.dataset.job = job.id;
    element.classList.toggle("is-old", old);
    cards.set(job.id, element);
    list.insertBefore(element, firstOlder(job));
  }
  fill(element, job);
}

function firstOlder(job) {
  for (const element of list.children) {
    const other = jobs.get(element.dataset.job);
    if (other && other.id !== job.id && other.created_at <= job.created_at) return element;
  }
  return null;
}

function forgetOldest() {
  while (cards.size > KEEP) {
    const element = list.lastElementChild;
    cards.delete(element.dataset.job);
    jobs.delete(element.dataset.job);
    heard.delete(element.dataset.job);
    element.remove();
  }
}

/** Takes a job's row in; older rows of a job never replace newer ones. */
function take(job, old = false) {
  const before = jobs.get(job.id);
  if (!before && job.quiet) silent.add(job.id);
  if (before && !active(before) && active(job)) return;
  jobs.set(job.id, job);
  if (!silent.has(job.id)) card(job, old && !before);
  forgetOldest();
  count();
  if (before && active(before) && !active(job)) finished(job);
}

function finished(job) {
  if (silent.has(job.id)) {
    if (job.state !== "succeeded" && job.state !== "cancelled") {
      toast(`${job.label}: ${job.error}`, { kind: "error", link: { href: job.url, text: _("Show that job") } });
    }
    return;
  }
  announce(`${job.label} ${job.object_name}: ${job.state_label}. ${job.error ?? ""}`);
  const bad = job.state === "failed" || job.state === "needs_attention";
  if (bad && drawer.hidden) open("peek", true);
  if (bad) byItself = false;
  leaveSoon();
}

function leaveSoon() {
  clearTimeout(leaving);
  leaving = setTimeout(() => {
    if (!byItself || busy().length || drawer.matches(":hover") || drawer.contains(document.activeElement)) return;
    close();
  }, LEAVE_MS);
}

export function open(size = "full", itself = false) {
  byItself = itself && (drawer.hidden || byItself);
  if (!itself || drawer.hidden) drawer.dataset.size = size;
  drawer.hidden = false;
  button.setAttribute("aria-expanded", "true");
  remembered(drawer.dataset.size);
  resized();
  if (!itself) drawer.focus({ preventScroll: true });
}

export function close() {
  const had = drawer.contains(document.activeElement);
  drawer.hidden = true;
  button.setAttribute("aria-expanded", "false");
  remembered("");
  if (had) button.focus();
}

function resized() {
  $("[data-drawer-size]").setAttribute("aria-label", drawer.dataset.size === "full" ? _("Smaller") : _("Larger"));
}

/** A row that was fetched: what the stream has told of the job since `began` may be newer, and stays. */
function takeFetched(job, began, old = false) {
  if ((heard.get(job.id) ?? 0) <= began) take(job, old);
}

/** A job that was just submitted: shown, and the card opens. The stream may have told of it before the answer came. */
export function showJob(job) {
  takeFetched(job, 0);
  const now = jobs.get(job.id) ?? job;
  open("peek", true);
  announce(`${now.label} ${now.object_name}: ${now.state_label}`);
  if (!active(now)) leaveSoon();
}

/** No card from now on; one that the stream has made before the answer came goes. */
function hush(id) {
  silent.add(id);
  cards.get(id)?.remove();
  cards.delete(id);
}

/** A job to follow without opening anything; `quiet` jobs are shown only when they fail. */
export function followJob(job, { quiet = false } = {}) {
  if (quiet) hush(job.id);
  takeFetched(job, 0);
}

async function cancel(id) {
  try {
    await postJSON(`/jobs/${id}/cancel/`);
  } catch (error) {
    toast(error.message, { kind: "error" });
  }
}

async function load() {
  const began = told;
  const data = await getJSON("/jobs/recent.json");
  for (const job of data.jobs) takeFetched(job, began, !active(job));
}

/** Without live updates jobs are asked for, as long as one runs. */
function poll() {
  if (busy().length && $("#live-indicator")?.dataset.status !== "live") load().catch(() => {});
}

function listen() {
  const me = Number(document.body.dataset.user);
  onMessage("job", (message) => {
    if (message.row.parent) return; // its parent's card stands for it
    if (message.user !== me && !jobs.has(message.row.id)) return;
    told += 1;
    heard.set(message.row.id, told);
    take(localised(message.row));
  });
  document.addEventListener("kvmweb:resync", () => load().catch(() => {}));
  button.addEventListener("click", () => (drawer.hidden ? open("full") : close()));
  drawer.addEventListener("click", (event) => {
    if (event.target.closest("[data-drawer-close]")) close();
    if (event.target.closest("[data-drawer-size]")) {
      drawer.dataset.size = drawer.dataset.size === "full" ? "peek" : "full";
      byItself = false;
      remembered(drawer.dataset.size);
      resized();
    }
    const stop = event.target.closest("[data-job-cancel]");
    if (stop) cancel(stop.closest("[data-job]").dataset.job);
  });
  drawer.addEventListener("keydown", (event) => event.key === "Escape" && close());
  drawer.addEventListener("mouseleave", leaveSoon);
  setInterval(() => {
    for (const job of busy()) fill(cards.get(job.id), job);
  }, 1000);
  setInterval(poll, POLL_MS);
}

/** After a reload: the drawer as it was; the card only while something runs. */
function restore() {
  const size = remembered();
  if (size === "full" || (size === "peek" && busy().length)) open(size, true);
}

if (drawer) {
  listen();
  load()
    .then(restore)
    .catch((error) => error.status !== 401 && console.warn("recent jobs", error.message));
}
