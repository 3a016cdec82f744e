// The box that jumps to any object: a dialog with a combobox; what it finds comes from the server, by rights.

import { $, $$, h, icon, setText } from "./dom.js";
import { _, ngettext } from "./i18n.js";
import { getJSON } from "./net.js";

const TYPING_MS = 180;

let dialog = null;
let input = null;
let list = null;
let status = null;
let active = -1;
let timer = 0;
let asking = null;

const options = () => $$("[role=option]", list);

function build() {
  input = h("input", {
    class: "form-control find-input",
    type: "text",
    role: "combobox",
    "aria-label": _("Find anything"),
    "aria-expanded": "true",
    "aria-controls": "find-list",
    "aria-autocomplete": "list",
    autocomplete: "off",
    spellcheck: "false",
    maxlength: "100",
    placeholder: _("Name, address or UUID of anything, or a page"),
  });
  list = h("div", { class: "find-list", id: "find-list", role: "listbox", "aria-label": _("Found") });
  status = h("p", { class: "find-status", role: "status" });
  dialog = h("dialog", { class: "dialog find", "aria-label": _("Find anything") }, input, list, status);
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(ask, TYPING_MS);
  });
  input.addEventListener("keydown", key);
  document.body.append(dialog);
}

/** Opens the box, with what was typed before selected. */
export function open() {
  if (!dialog) build();
  if (!dialog.open) dialog.showModal();
  input.focus();
  input.select();
  if (!input.value) ask();
}

async function ask() {
  asking?.abort();
  asking = new AbortController();
  const q = input.value.trim();
  if (!q) {
    show([], "");
    return;
  }
  try {
    const url = `${$("[data-find]").dataset.find}?${new URLSearchParams({ q })}`;
    const { groups } = await getJSON(url, { signal: asking.signal, headers: { Accept: "application/json" } });
    const count = groups.reduce((sum, group) => sum + group.items.length, 0);
    show(groups, count ? ngettext("%(n)d found.", "%(n)d found.", count) : _("Nothing found."));
  } catch (error) {
    if (error.name !== "AbortError") show([], error.message);
  }
}

function show(groups, text) {
  let at = -1;
  const made = groups.map((group, number) =>
    h(
      "div",
      { role: "group", "aria-labelledby": `find-group-${number}` },
      h("p", { class: "menu-title", id: `find-group-${number}`, role: "presentation" }, group.name),
      ...group.items.map((item) => {
        at += 1;
        return h(
          "a",
          { role: "option", id: `find-${at}`, href: item.href, tabindex: "-1", "aria-selected": "false" },
          icon(item.icon),
          h("span", { class: "find-name truncate" }, item.label),
          h("span", { class: "find-sub truncate" }, item.sub),
        );
      }),
    ),
  );
  list.replaceChildren(...made);
  setText(status, text);
  mark(at >= 0 ? 0 : -1);
}

function mark(at) {
  active = at;
  for (const [number, option] of options().entries()) {
    option.classList.toggle("is-active", number === at);
    option.setAttribute("aria-selected", String(number === at));
  }
  if (at < 0) input.removeAttribute("aria-activedescendant");
  else {
    input.setAttribute("aria-activedescendant", `find-${at}`);
    options()[at].scrollIntoView({ block: "nearest" });
  }
}

function key(event) {
  const count = options().length;
  const to = { ArrowDown: active + 1, ArrowUp: active - 1 }[event.key];
  if (to !== undefined && count) {
    event.preventDefault();
    mark((to + count) % count);
  } else if (event.key === "Enter" && active >= 0) {
    event.preventDefault();
    options()[active].click();
  }
}
