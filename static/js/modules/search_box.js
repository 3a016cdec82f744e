// The search box's suggestions: a combobox over the words of the query language, fetched once when somebody comes to it.

import { $, h, setText } from "kvmweb/dom";
import { _, ngettext } from "kvmweb/i18n";
import { getJSON } from "kvmweb/net";
import { suggest } from "kvmweb/search_words";

class SearchBox {
  constructor(input) {
    this.input = input;
    this.keys = null;
    this.found = { options: [] };
    this.active = -1;
    this.opening = 0;
    this.list = h("ul", {
      class: "combobox-list search-list",
      id: "search-list",
      role: "listbox",
      "aria-label": _("Suggestions"),
      hidden: true,
    });
    this.status = h("span", { class: "visually-hidden", role: "status" });
    for (const [name, value] of Object.entries({
      role: "combobox",
      "aria-autocomplete": "list",
      "aria-expanded": "false",
      "aria-controls": "search-list",
    }))
      input.setAttribute(name, value);
    input.after(this.list, this.status);
    this.listen();
  }

  listen() {
    this.input.addEventListener("focus", () => this.load());
    this.input.addEventListener("input", () => this.open());
    this.input.addEventListener("keydown", (event) => this.key(event));
    this.input.addEventListener("blur", () => this.close());
    this.list.addEventListener("mousedown", (event) => event.preventDefault());
    this.list.addEventListener("click", (event) => {
      const item = event.target.closest("[role=option]");
      if (item) this.choose(Number(item.dataset.at));
    });
  }

  /** Fetched once; who types meanwhile waits for the same answer. */
  load() {
    this.loading ??= getJSON(this.input.dataset.wordsUrl)
      .then(({ keys }) => {
        this.keys = keys;
      })
      .catch((error) => {
        this.loading = null;
        console.warn("search words", error);
      });
    return this.loading;
  }

  /** Nothing is offered unasked for a word that was not begun: the list would stand before what one looks at. */
  async open(asked = false) {
    this.opening += 1;
    const mine = this.opening;
    await this.load();
    if (!this.keys || mine !== this.opening || document.activeElement !== this.input) return;
    this.found = suggest(this.keys, this.input.value, this.input.selectionStart);
    const { options, from, to } = this.found;
    // What stands there already needs no suggestion.
    const same = options.length === 1 && options[0].insert.trim() === this.input.value.slice(from, to);
    const begun = this.input.selectionStart > from || /[:,]$/.test(this.input.value.slice(0, from));
    if (!options.length || same || !(begun || asked)) {
      this.close();
      return;
    }
    this.active = -1;
    this.list.replaceChildren(
      ...options.map(({ text, label }, at) =>
        h(
          "li",
          { role: "option", id: `search-option-${at}`, "data-at": at, "aria-selected": "false" },
          h("span", { class: "mono" }, text),
          label ? h("span", { class: "search-means" }, label) : null,
        ),
      ),
    );
    this.list.hidden = false;
    this.input.setAttribute("aria-expanded", "true");
    this.input.removeAttribute("aria-activedescendant");
    setText(this.status, ngettext("%(n)d suggestion.", "%(n)d suggestions.", options.length));
  }

  close() {
    this.list.hidden = true;
    this.active = -1;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
  }

  mark(at) {
    this.active = at;
    for (const item of this.list.children) {
      const here = Number(item.dataset.at) === at;
      item.classList.toggle("is-active", here);
      item.setAttribute("aria-selected", String(here));
    }
    const item = $(`#search-option-${at}`, this.list);
    this.input.setAttribute("aria-activedescendant", item.id);
    item.scrollIntoView({ block: "nearest" });
  }

  choose(at) {
    const { from, to, options } = this.found;
    const { insert } = options[at];
    const after = this.input.value.slice(to);
    const text = insert.endsWith(" ") && after.startsWith(" ") ? insert.trimEnd() : insert;
    this.input.value = this.input.value.slice(0, from) + text + after;
    const caret = from + text.length;
    this.input.setSelectionRange(caret, caret);
    this.close();
    this.input.dispatchEvent(new Event("input", { bubbles: true }));
  }

  key(event) {
    const open = !this.list.hidden;
    const count = this.found.options.length;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!open) this.open(true);
      else if (event.key === "ArrowDown") this.mark((this.active + 1) % count);
      else this.mark(this.active < 1 ? count - 1 : this.active - 1);
    } else if (event.key === "Enter" && open && this.active >= 0) {
      event.preventDefault();
      this.choose(this.active);
    } else if (event.key === "Enter" && open) this.close();
    else if (event.key === "Escape" && open) {
      event.preventDefault();
      event.stopPropagation();
      this.close();
    }
  }
}

export default (input) => new SearchBox(input);
