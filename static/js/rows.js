// Writes rows of live data into the page: [data-row="guest/3/<uuid>"] … [data-f="key"], without layout jumps.

import { $$, icon, setIcon, setText } from "./dom.js";
import * as format from "./format.js";
import { onMessage } from "./live.js";

const formatters = new Map();

/** Registers how a key is written: (element, value, row) => {}. The element's data-fmt names another key's formatter. */
export const formatter = (key, write) => formatters.set(key, write);

const text = (convert) => (element, value) => setText(element, convert(value));

function writeState(element, value) {
  if (element.dataset.value === value) return;
  const face = format.face(value);
  element.dataset.value = value;
  element.dataset.tone = face.tone;
  setIcon(element.querySelector("svg"), face.shape);
  setText(element.querySelector(".state-word"), face.label);
}

function writeMeter(element, fraction, words) {
  const share = Math.min(Math.max(fraction ?? 0, 0), 1);
  element.querySelector("rect")?.setAttribute("width", `${(share * 100).toFixed(1)}%`);
  element.dataset.level = share >= 0.9 ? "high" : "";
  setText(element.querySelector("[data-meter-text]"), words ?? format.percent(fraction));
}

function writeTime(element, moment) {
  const ms = format.toMs(moment);
  if (ms === null) return setText(element, format.DASH);
  let time = element.matches("time") ? element : element.querySelector("time");
  if (!time) {
    time = document.createElement("time");
    time.dataset.time = element.dataset.mode ?? "ago";
    element.replaceChildren(time);
  }
  const iso = new Date(ms).toISOString();
  if (time.dateTime !== iso) {
    time.dateTime = iso;
    time.title = format.exact(ms);
  }
  tick(time);
}

function tick(time, now = Date.now()) {
  const ms = Date.parse(time.dateTime);
  const mode = time.dataset.time;
  if (mode === "ago") setText(time, format.ago(ms, now));
  else if (mode === "elapsed") setText(time, format.duration(Math.max((now - ms) / 1000, 0)));
  else setText(time, format.exact(ms));
}

function writeTags(element, tags) {
  const wanted = (tags ?? []).join("\n");
  if (element.dataset.value === wanted) return;
  element.dataset.value = wanted;
  element.replaceChildren(
    ...(tags ?? []).map((tag) => {
      const chip = document.createElement("span");
      chip.className = "tag";
      chip.textContent = tag;
      return chip;
    }),
  );
}

formatter(
  "text",
  text((value) => (value === null || value === undefined || value === "" ? format.DASH : value)),
);
formatter(
  "plain",
  text((value) => value ?? ""),
);
formatter("state", writeState);
formatter("status", writeState);
formatter("host_status", writeState);
formatter("memory_kib", text(format.kib));
formatter("kib", text(format.kib));
formatter("bytes", text(format.bytes));
formatter("rate", text(format.rate));
formatter("percent", text(format.percent));
formatter("duration", text(format.duration));
formatter(
  "list",
  text((value) => (value?.length ? value.join(", ") : format.DASH)),
);
formatter(
  "addresses",
  text((value) => (value?.length ? value.join(", ") : format.DASH)),
);
formatter("tags", writeTags);
formatter("time", writeTime);
formatter("since", writeTime);
formatter("yesno", (element, value) => {
  element.hidden = !value;
});
formatter("cpu", (element, value) => writeMeter(element, value));
formatter("memory", (element, value, row) => {
  const all = row.balloon_kib || row.memory_kib;
  const fraction = value === null || value === undefined || !all ? null : value / all;
  writeMeter(element, fraction, fraction === null ? format.DASH : format.kib(value));
});
formatter("read", text(format.rate));
formatter("write", text(format.rate));
formatter("rx", text(format.rate));
formatter("tx", text(format.rate));

function enable(root, row) {
  if (!("state" in row)) return;
  for (const button of $$("[data-when]", root)) {
    const fits = button.dataset.when.split(" ").includes(row.state);
    if (fits === (button.getAttribute("aria-disabled") !== "true")) continue;
    if (fits) {
      button.removeAttribute("aria-disabled");
      if (button.dataset.label) button.dataset.tip = button.dataset.label;
      else delete button.dataset.tip;
    } else {
      button.setAttribute("aria-disabled", "true");
      if (button.dataset.whyNot) button.dataset.tip = button.dataset.whyNot;
    }
  }
}

/** Writes what `row` holds into every [data-f] below (and on) `root`. Keys that the row lacks stay as they are. */
export function patch(root, row) {
  const fields = root.matches?.("[data-f]") ? [root, ...$$("[data-f]", root)] : $$("[data-f]", root);
  for (const element of fields) {
    const key = element.dataset.f;
    if (!(key in row)) continue;
    const write = formatters.get(element.dataset.fmt ?? key) ?? formatters.get("text");
    write(element, row[key], row);
  }
  enable(root, row);
}

/** All elements of the page that show this object: rowsOf("guest", 3, uuid), rowsOf("host", 3). */
export function rowsOf(kind, host, uuid = "") {
  const key = [kind, host, uuid].filter((part) => part !== "").join("/");
  return $$(`[data-row="${CSS.escape(key)}"]`);
}

/** One metrics array [t, cpu, used, memory, read, write, rx, tx] under the names that templates use. */
export function metricsRow([t, cpu, memory, balloon_kib, read, write, rx, tx]) {
  return { t, cpu, memory, balloon_kib, read, write, rx, tx };
}

function follow(message) {
  for (const element of rowsOf(message.k, message.host, message.uuid ?? "")) {
    if (message.op === "gone") element.classList.add("is-gone");
    else {
      element.classList.remove("is-gone");
      patch(element, message.row);
    }
  }
}

for (const kind of ["guest", "host", "pool", "network"]) onMessage(kind, follow);
onMessage("metrics", (message) => {
  for (const [uuid, values] of Object.entries(message.rows)) {
    for (const element of rowsOf("guest", message.host, uuid)) patch(element, metricsRow(values));
  }
});

setInterval(() => {
  if (document.hidden) return;
  const now = Date.now();
  for (const time of $$("time[data-time=ago], time[data-time=elapsed]")) tick(time, now);
}, 1000);

/** A state badge, as the template tag makes it. */
export function stateBadge(value) {
  const face = format.face(value);
  const badge = document.createElement("span");
  badge.className = "state";
  badge.dataset.tone = face.tone;
  badge.dataset.value = value;
  const word = document.createElement("span");
  word.className = "state-word";
  word.textContent = face.label;
  badge.append(icon(face.shape, 12), word);
  return badge;
}

export { writeMeter, writeState };
