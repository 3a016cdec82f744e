// A searchable select: the <select> keeps the value (and works alone without script), a text field filters its options.
// data-from="/address" fetches the options that fit what is typed, for lists too long for the page.

import { $, h, setText } from "kvmweb/dom";
import { _, ngettext } from "kvmweb/i18n";
import { getJSON } from "kvmweb/net";

const MOST = 100; // options drawn at once; typing narrows them
const CALM_MS = 150;

let count = 0;

function matches(option, words) {
  const text = option.text.toLowerCase();
  return words.every((word) => text.includes(word));
}

class Combobox {
  constructor(select) {
    count += 1;
    this.select = select;
    this.id = `combobox-${count}`;
    this.active = -1;
    this.shown = [];
    const label = select.labels[0];
    this.input = h("input", {
      class: "form-control",
      type: "text",
      role: "combobox",
      id: `${this.id}-input`,
      autocomplete: "off",
      spellcheck: "false",
      "aria-expanded": "false",
      "aria-controls": `${this.id}-list`,
      "aria-autocomplete": "list",
      "aria-describedby": select.getAttribute("aria-describedby"),
      "aria-label": label ? null : select.getAttribute("aria-label"),
      required: select.required,
      placeholder: select.options[0]?.value === "" ? select.options[0].text : null,
    });
    if (label) label.htmlFor = this.input.id;
    this.list = h("ul", { class: "combobox-list", id: `${this.id}-list`, role: "listbox", hidden: true });
    if (label) {
      label.id ||= `${this.id}-label`;
      this.list.setAttribute("aria-labelledby", label.id);
    } else this.list.setAttribute("aria-label", select.getAttribute("aria-label") ?? _("Choices"));
    this.status = h("span", { class: "visually-hidden", role: "status" });
    select.hidden = true;
    select.before(h("div", { class: "combobox" }, this.input, this.list, this.status));
    this.listen();
    this.showChosen();
  }

  listen() {
    this.input.addEventListener("input", () => {
      this.open();
      if (this.select.dataset.from) this.fetchSoon();
    });
    this.input.addEventListener("click", () => this.open(true));
    this.input.addEventListener("keydown", (event) => this.key(event));
    this.input.addEventListener("blur", () => {
      this.close();
      this.showChosen();
    });
    this.list.addEventListener("mousedown", (event) => event.preventDefault());
    this.list.addEventListener("click", (event) => {
      const item = event.target.closest("[role=option]");
      if (item) this.choose(Number(item.dataset.at));
    });
    this.select.addEventListener("change", () => this.showChosen());
    new MutationObserver(() => this.mirror()).observe(this.select, {
      attributes: true,
      childList: true,
      attributeFilter: ["aria-invalid", "disabled", "class"],
    });
    this.select.form?.addEventListener("reset", () => setTimeout(() => this.showChosen()));
    this.select.focus = () => this.input.focus();
  }

  fetchSoon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.fetch(this.input.value.trim()), CALM_MS);
  }

  /** Takes the server's options in place of those that are there; what is chosen stays. */
  async fetch(words) {
    this.asking?.abort();
    this.asking = new AbortController();
    try {
      const { signal } = this.asking;
      const { choices } = await getJSON(`${this.select.dataset.from}?q=${encodeURIComponent(words)}`, { signal });
      const kept = [...this.select.options].filter((option) => option.value === "" || option.selected);
      const known = new Set(kept.map((option) => option.value));
      const fresh = choices.filter((one) => !known.has(one.value)).map((one) => new Option(one.text, one.value));
      this.select.replaceChildren(...kept, ...fresh);
      if (document.activeElement === this.input && !this.list.hidden) this.open();
    } catch (error) {
      if (error.name !== "AbortError") console.warn("choices", error);
    }
  }

  mirror() {
    this.input.disabled = this.select.disabled;
    for (const name of ["aria-invalid", "aria-describedby"]) {
      const value = this.select.getAttribute(name);
      if (value) this.input.setAttribute(name, value);
      else this.input.removeAttribute(name);
    }
    if (document.activeElement !== this.input) this.showChosen();
  }

  showChosen() {
    const chosen = this.select.selectedOptions[0];
    this.input.value = chosen?.value ? chosen.text : "";
  }

  open(all = false) {
    const words = all ? [] : this.input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = [...this.select.options].filter((option) => option.value !== "" && matches(option, words));
    this.shown = found.slice(0, MOST);
    this.active = all ? this.shown.findIndex((option) => option.selected) : this.shown.length ? 0 : -1;
    const items = this.shown.map((option, at) =>
      h(
        "li",
        {
          role: "option",
          id: `${this.id}-${at}`,
          "data-at": at,
          "aria-selected": String(option.selected),
          "aria-disabled": option.disabled ? "true" : null,
        },
        option.text,
      ),
    );
    this.list.replaceChildren(...items);
    if (!items.length)
      this.list.append(h("li", { class: "combobox-none", role: "option", "aria-disabled": "true" }, _("Nothing fits")));
    const more = found.length > MOST ? ` ${_("Type to see others.")}` : "";
    setText(this.status, ngettext("%(n)d choice.", "%(n)d choices.", found.length) + more);
    this.list.hidden = false;
    this.input.setAttribute("aria-expanded", "true");
    this.mark();
  }

  close() {
    this.list.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
  }

  mark() {
    for (const item of this.list.children) item.classList.toggle("is-active", Number(item.dataset.at) === this.active);
    const item = this.active >= 0 ? $(`#${this.id}-${this.active}`, this.list) : null;
    if (item) {
      this.input.setAttribute("aria-activedescendant", item.id);
      item.scrollIntoView({ block: "nearest" });
    } else this.input.removeAttribute("aria-activedescendant");
  }

  choose(at) {
    const option = this.shown[at];
    if (!option || option.disabled) return;
    this.select.value = option.value;
    this.select.dispatchEvent(new Event("input", { bubbles: true }));
    this.select.dispatchEvent(new Event("change", { bubbles: true }));
    this.close();
  }

  key(event) {
    const closed = this.list.hidden;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (closed) return this.open(true);
      const step = event.key === "ArrowDown" ? 1 : -1;
      this.active = (this.active + step + this.shown.length) % Math.max(this.shown.length, 1);
      this.mark();
    } else if (event.key === "Enter" && !closed) {
      event.preventDefault();
      this.choose(this.active);
    } else if (event.key === "Escape" && !closed) {
      event.preventDefault();
      event.stopPropagation();
      this.close();
      this.showChosen();
    }
    return undefined;
  }
}

export default function combobox(select) {
  return new Combobox(select);
}
