// The keyboard: one table of what keys do, the help dialog made from it. Single keys can be switched off in Preferences.

import { $, $$, h } from "./dom.js";
import { open as openFind } from "./find.js";
import { _ } from "./i18n.js";

const SECOND_MS = 1500;
const IN_USE = "input, textarea, select, [contenteditable], dialog, .menu, [role=listbox], .xterm, canvas";
const CONSOLE = ".xterm, [data-target]";

const rows = () => $$("main [data-row], main tbody tr").filter((row) => row.offsetParent && linkOf(row));
const linkOf = (row) => $("a[href]", row);
const go = (address) => () => $(`.nav-list a[href="${address}"]`)?.click();
const there = (address) => () => $(`.nav-list a[href="${address}"]`);

let last = null;

function here() {
  const all = rows();
  const focused = all.findIndex((row) => row.contains(document.activeElement));
  return { all, at: focused >= 0 ? focused : all.findIndex((row) => row.dataset.row && row.dataset.row === last) };
}

function move(step) {
  const { all, at } = here();
  if (!all.length) return;
  const row = all[Math.min(Math.max(at + step, 0), all.length - 1)];
  last = row.dataset.row ?? null;
  linkOf(row).focus({ focusVisible: true });
  row.scrollIntoView({ block: "nearest" });
}

function tick() {
  const { all, at } = here();
  $("input[data-select]", all[at] ?? document.createElement("p"))?.click();
}

/** All lines of the page or, when they are selected already, none of them. */
function tickAll() {
  const head = $("input[data-select-page]");
  if (head) head.click();
  else {
    const boxes = $$("input[data-select]");
    const wanted = boxes.some((box) => !box.checked);
    for (const box of boxes) if (box.checked !== wanted) box.click();
  }
}

/** Out of the bar of many to the line one came from, or out of the line or the box; of others the focus stays. */
function leave() {
  const focused = document.activeElement;
  const line = focused?.closest(".g-many") && rows().find((row) => row.dataset.row === last);
  if (line) linkOf(line).focus({ focusVisible: true });
  else if (focused === box() || rows().some((row) => row.contains(focused))) {
    last = null;
    focused.blur();
  }
}

/** What each key or pair of keys does; `when`: only if this is on the page. */
export const KEYS = [
  { keys: ["Ctrl", "K"], label: () => _("Find anything"), run: openFind, when: () => $("[data-find]"), always: true },
  { keys: ["/"], label: () => _("Search in this page"), run: () => box().focus(), when: () => box() },
  { keys: ["j"], label: () => _("Next line of the list"), run: () => move(1), when: () => rows().length },
  { keys: ["k"], label: () => _("Line before"), run: () => move(-1), when: () => rows().length },
  { keys: ["x"], label: () => _("Select the line"), run: tick, when: ticks },
  { keys: ["a"], label: () => _("Select all lines of this page"), run: tickAll, when: ticks },
  { keys: ["m"], label: () => _("What to do with those selected"), run: () => many()?.focus(), when: ticks },
  { keys: ["Enter"], label: () => _("Open the line"), when: () => rows().length },
  { keys: ["c"], label: () => _("Create a virtual machine"), run: create, when: creates },
  { keys: ["g", "a"], label: () => _("Go to the start page"), run: go("/"), when: there("/") },
  { keys: ["g", "v"], label: () => _("Go to the virtual machines"), run: go("/guests/"), when: there("/guests/") },
  { keys: ["g", "h"], label: () => _("Go to the hosts"), run: go("/hosts/"), when: there("/hosts/") },
  { keys: ["g", "s"], label: () => _("Go to the storage"), run: go("/storage/"), when: there("/storage/") },
  { keys: ["g", "n"], label: () => _("Go to the networks"), run: go("/networks/"), when: there("/networks/") },
  { keys: ["g", "j"], label: () => _("Go to the jobs"), run: go("/jobs/"), when: there("/jobs/") },
  { keys: ["?"], label: () => _("This list"), run: () => help() },
  { keys: ["Esc"], label: () => _("Leave the search box or the line"), run: leave },
];

function box() {
  return $("main input[type=search]");
}

function creates() {
  return $("[data-create], [data-create-at]");
}

function create() {
  const button = $("[data-create]");
  if (button) button.click();
  else location.assign($("[data-create-at]").dataset.createAt);
}

function ticks() {
  return $("input[data-select]");
}

function many() {
  return $$(".g-many:not([hidden]) .g-many-bar button").find((button) => button.offsetParent);
}

/** The dialog that lists them, those of this page. */
export function help() {
  const lines = KEYS.filter((one) => !one.when || one.when()).map(({ keys, label }) =>
    h("div", {}, h("dt", {}, ...keys.flatMap((key) => [h("kbd", {}, key), " "])), h("dd", {}, label())),
  );
  const off = document.body.dataset.keys === "off";
  const preferences = h("a", { href: "/preferences/" }, _("Preferences"));
  const state = off ? _("Single keys are switched off.") : _("Single keys can be switched off.");
  const dialog = h(
    "dialog",
    { class: "dialog", "aria-labelledby": "keys-title" },
    h("h2", { id: "keys-title" }, _("Keyboard")),
    h("dl", { class: "keys" }, ...lines),
    h("p", {}, `${state} `, preferences),
    h(
      "div",
      { class: "dialog-actions" },
      h("button", { class: "btn btn-primary", type: "button", "data-dialog-close": true, autofocus: true }, _("Close")),
    ),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

let first = "";
let since = 0;

function wanted(event) {
  if (event.key === "Escape") return "Esc";
  const begun = first && Date.now() - since < SECOND_MS ? `${first} ` : "";
  return begun + event.key;
}

function typed(event) {
  const name = wanted(event);
  first = "";
  if (name === "g") {
    first = "g";
    since = Date.now();
    return;
  }
  const found = KEYS.find((one) => one.keys.join(" ") === name && one.run);
  if (!found || (found.when && !found.when())) return;
  event.preventDefault();
  found.run();
}

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.isComposing || event.altKey) return;
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
    if (!$("[data-find]") || event.target.closest(CONSOLE)) return;
    event.preventDefault();
    openFind(); // at once: what is typed next belongs into it
    return;
  }
  if (event.ctrlKey || event.metaKey || document.body.dataset.keys === "off") return;
  if ($("dialog[open], .menu:popover-open") || (document.body.contains($(CONSOLE)) && event.key !== "?")) return;
  if (event.target.closest(IN_USE)) {
    // Out of the search box; other fields keep their Escape.
    if (event.key === "Escape" && event.target === box() && !event.target.value) leave();
    return;
  }
  typed(event);
});

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-keys-help]")) help();
  const button = event.target.closest("[data-find]");
  if (!button || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  openFind();
});
