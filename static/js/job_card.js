// One job as a card: fills the parts of #job-template (also used by the page of a job) from a job_row.

import { $, h, icon, setText } from "./dom.js";
import { duration, face, percent } from "./format.js";
import { _ } from "./i18n.js";

const ACTIVE = new Set(["queued", "running", "undoing"]);

export const active = (job) => ACTIVE.has(job.state);

const part = (element, name) => $(`[data-part="${name}"]`, element);

const ROOMS = { guest: "guests", host: "hosts", pool: "storage", network: "networks" };

/** A row of the live stream with its words in the page's language. */
export function localised(row) {
  const words = row.i18n?.[document.documentElement.lang];
  return words ? { ...row, ...words } : row;
}

/** The page of what a job worked on; "" when there is none. */
export function pageOf(job) {
  if (job.object_kind === "guests") return job.url;
  const room = ROOMS[job.object_kind];
  if (!room || !job.object_key) return "";
  return room === "guests" || room === "hosts" ? `/${room}/${job.object_key}/` : `/${room}/`;
}

function writeSteps(element, job) {
  const box = part(element, "steps");
  if (!box) return;
  const key = `${job.state} ${job.step} ${job.steps.length}`;
  if (box.dataset.key === key) return;
  box.dataset.key = key;
  box.replaceChildren(
    ...job.steps.map((label, index) => {
      const done = job.state === "succeeded" || index < job.step;
      const now = index === job.step && job.state !== "succeeded";
      const value = done ? "succeeded" : now && job.state !== "queued" ? job.state : "queued";
      const look = face(value === "running" ? "queued" : value);
      const tone = value === "running" ? "info" : look.tone;
      const words = { succeeded: _("done"), queued: _("waiting"), running: _("running now") }[value] ?? job.state_label;
      return h(
        "li",
        { "data-tone": tone, "aria-current": now && active(job) ? "step" : null },
        icon(value === "running" ? "state-stopping" : look.shape, 12),
        h("span", {}, label),
        h("span", { class: "visually-hidden" }, words),
      );
    }),
  );
}

function writeError(element, job) {
  const box = part(element, "error-box");
  if (!box) return;
  box.hidden = !(job.error || job.leftovers?.length);
  setText(part(element, "error"), job.error);
  const left = part(element, "leftovers");
  if (left.childElementCount !== (job.leftovers?.length ?? 0)) {
    left.replaceChildren(...job.leftovers.map((line) => h("li", {}, line)));
  }
  part(element, "detail-box").hidden = !job.error_detail;
  setText(part(element, "error_detail"), job.error_detail);
}

function writeOffer(element, job) {
  const button = part(element, "offer");
  if (!button) return;
  button.hidden = !job.offer;
  if (!job.offer) return;
  Object.assign(button.dataset, {
    operation: job.offer.operation,
    kind: job.object_kind,
    key: job.object_key,
    host: job.host ?? "",
    confirmText: job.offer.confirm,
  });
  setText(button, job.offer.label);
}

function writeState(element, job) {
  const look = face(job.state === "running" ? "queued" : job.state);
  const badge = part(element, "state");
  const tone = job.state === "running" ? "info" : look.tone;
  if (badge.dataset.value === job.state) return;
  badge.dataset.value = job.state;
  badge.dataset.tone = tone;
  const svg = job.state === "running" ? icon("loader-circle", 16) : icon(look.shape, 14);
  if (active(job)) svg.classList.add("spin");
  badge.replaceChildren(svg);
}

function writeProgress(element, job) {
  const bar = part(element, "progress");
  const running = active(job) && job.state !== "queued";
  if (running && (job.progress === null || job.progress === undefined)) bar.removeAttribute("value");
  else bar.value = running ? job.progress : job.state === "queued" ? 0 : 1;
  bar.dataset.tone = active(job) ? "info" : face(job.state).tone;
  const known = running && job.progress !== null && job.progress !== undefined;
  setText(part(element, "percent"), known ? percent(job.progress) : "");
}

function writeTime(element, job) {
  const from = job.started_at ?? job.created_at;
  const to = job.finished_at ?? Date.now();
  setText(part(element, "time"), duration(Math.max((to - from) / 1000, 0)));
}

/** Writes a job's row into a card; only what changed is touched. */
export function fill(element, job) {
  element.dataset.state = job.state;
  writeState(element, job);
  setText(part(element, "label"), job.label);
  const object = part(element, "object");
  setText(object, job.object_name);
  const page = pageOf(job);
  if (page && object.getAttribute("href") !== page) object.setAttribute("href", page);
  setText(part(element, "state_label"), job.state_label);
  const many = job.steps.length > 1 && active(job) && job.state !== "queued";
  const now = Math.min(job.step + 1, job.steps.length);
  setText(
    part(element, "step"),
    many ? _("%(n)d of %(all)d: %(label)s", { n: now, all: job.steps.length, label: job.steps[now - 1] }) : "",
  );
  writeProgress(element, job);
  writeTime(element, job);
  const message = part(element, "message");
  setText(message, job.message);
  message.hidden = !job.message || !active(job);
  writeError(element, job);
  writeOffer(element, job);
  writeSteps(element, job);
  setText(part(element, "virsh"), job.virsh);
  part(element, "virsh-box").hidden = !job.virsh;
  const link = part(element, "url");
  if (job.url && link.getAttribute("href") !== job.url) link.setAttribute("href", job.url);
  $("[data-job-cancel]", element).hidden = !(job.cancellable && active(job) && job.state !== "undoing");
}
