// How sizes, rates, durations and states are written; the twin of dashboard/live/formats.py.

import { _ } from "./i18n.js";

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
export const DASH = "–";

const missing = (value) => value === null || value === undefined || Number.isNaN(value);

export function bytes(value) {
  if (missing(value)) return DASH;
  let number = Number(value);
  let unit = 0;
  while (Math.abs(number) >= 1024 && unit < UNITS.length - 1) {
    number /= 1024;
    unit += 1;
  }
  const rounded = Math.round(number * 10) / 10;
  if (unit && Math.abs(rounded) < 100) return `${rounded.toFixed(1).replace(/\.0$/, "")} ${UNITS[unit]}`;
  return `${number.toFixed(0)} ${UNITS[unit]}`;
}

export const kib = (value) => bytes(missing(value) ? null : value * 1024);
export const rate = (value) => (missing(value) ? DASH : `${bytes(value)}/s`);
export const percent = (fraction) => (missing(fraction) ? DASH : `${(fraction * 100).toFixed(0)} %`);

export function duration(seconds) {
  if (missing(seconds)) return DASH;
  if (seconds < 9.95) return _("%(s)s s", { s: Math.max(seconds, 0).toFixed(1) });
  const whole = Math.floor(seconds);
  const d = Math.floor(whole / 86400);
  const h = Math.floor(whole / 3600) % 24;
  const m = Math.floor(whole / 60) % 60;
  if (d) return _("%(d)d d %(h)d h", { d, h });
  if (h) return _("%(h)d h %(m)d min", { h, m });
  if (m) return _("%(m)d min %(s)d s", { m, s: whole % 60 });
  return _("%(s)s s", { s: whole });
}

export function ago(ms, now = Date.now()) {
  const seconds = Math.floor((now - ms) / 1000);
  if (seconds < 10) return _("just now");
  if (seconds < 60) return _("%(n)d s ago", { n: seconds });
  if (seconds < 3600) return _("%(n)d min ago", { n: Math.floor(seconds / 60) });
  if (seconds < 86400) return _("%(n)d h ago", { n: Math.floor(seconds / 3600) });
  return _("%(n)d d ago", { n: Math.floor(seconds / 86400) });
}

/** A time or a moment in ms or ISO as ms; null stays null. */
export const toMs = (moment) => (typeof moment === "string" ? Date.parse(moment) : (moment ?? null));

const pad = (number) => String(number).padStart(2, "0");

/** "2026-11-22 14:03:09" in the browser's time zone. */
export function exact(moment) {
  const ms = toMs(moment);
  if (missing(ms)) return DASH;
  const t = new Date(ms);
  const day = `${t.getFullYear()}-${pad(t.getMonth() + 1)}-${pad(t.getDate())}`;
  return `${day} ${pad(t.getHours())}:${pad(t.getMinutes())}:${pad(t.getSeconds())}`;
}

/** Each state's word, shape in the sprite and tone; words are looked up when used, after the catalogue has come. */
const STATES = {
  running: [() => _("Running"), "state-running", "good"],
  paused: [() => _("Paused"), "state-paused", "warn"],
  shutoff: [() => _("Off"), "state-shutoff", "quiet"],
  stopping: [() => _("Shutting down"), "state-stopping", "warn"],
  crashed: [() => _("Crashed"), "state-crashed", "bad"],
  suspended: [() => _("Suspended"), "state-suspended", "warn"],
  saved: [() => _("Saved"), "state-saved", "quiet"],
  unknown: [() => _("Unknown"), "state-unknown", "quiet"],
  new: [() => _("Not checked yet"), "state-pending", "quiet"],
  connecting: [() => _("Connecting"), "state-pending", "info"],
  live: [() => _("Live"), "state-running", "good"],
  down: [() => _("Unreachable"), "state-failed", "bad"],
  untrusted: [() => _("Host key changed"), "state-warning", "bad"],
  disabled: [() => _("Disabled"), "state-disabled", "quiet"],
  active: [() => _("Active"), "state-running", "good"],
  inactive: [() => _("Inactive"), "state-shutoff", "quiet"],
  building: [() => _("Building"), "state-pending", "info"],
  degraded: [() => _("Degraded"), "state-warning", "warn"],
  inaccessible: [() => _("Inaccessible"), "state-failed", "bad"],
  queued: [() => _("Waiting"), "state-pending", "quiet"],
  undoing: [() => _("Undoing"), "state-pending", "warn"],
  succeeded: [() => _("Done"), "state-done", "good"],
  failed: [() => _("Failed"), "state-failed", "bad"],
  cancelled: [() => _("Cancelled"), "state-disabled", "quiet"],
  needs_attention: [() => _("Needs attention"), "state-warning", "bad"],
};

export const STATE_NAMES = Object.keys(STATES);

export function face(state) {
  const [word, shape, tone] = STATES[state] ?? STATES.unknown;
  return { label: word(), shape, tone };
}
