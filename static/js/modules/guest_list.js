// The list of guests: rows follow live messages in place; what would move rows waits for a click, or for a calm moment.

import { $, $$, setIcon, setText } from "kvmweb/dom";
import { readWords, renewMenus, showBusy, shownState } from "kvmweb/guest_parts";
import { _, ngettext } from "kvmweb/i18n";
import { active, localised } from "kvmweb/job_card";
import { onMessage, watch } from "kvmweb/live";
import { getJSON } from "kvmweb/net";
import { showError } from "kvmweb/operations";
import { refresh } from "kvmweb/refresh";
import { patch, rowsOf } from "kvmweb/rows";

const CALM_MS = 1200;
const TYPING_MS = 250;
const GONE_MS = 900;
const PAGE_SIZE = 50;
const NO_FIGURES = { cpu: null, memory: null, read: null, write: null, rx: null, tx: null };

const keyOf = (row) => `guest/${row.host}/${row.uuid}`;
const filterOf = (shown) => (shown === "stopping" ? "running" : shown);

class GuestList {
  constructor(root) {
    this.root = root;
    this.words = readWords(root.dataset.words);
    this.moved = new Set();
    this.waiting = new Set();
    this.timer = 0;
    this.pressed = 0;
    onMessage("guest", (message) => this.guest(message));
    onMessage("host", (message) => this.host(message));
    onMessage("job", (message) => this.job(message));
    document.addEventListener("kvmweb:content", (event) => event.detail.element.id === "guest-list" && this.renewed());
    root.addEventListener("pointermove", () => (this.pressed = Date.now()), { passive: true });
    root.addEventListener("click", (event) => event.target.closest("[data-hint]") && this.renew());
    this.filters();
    this.renewed();
  }

  get section() {
    return $("#guest-list", this.root);
  }

  get rows() {
    return $$("[data-rows] > tr", this.section);
  }

  /** After every fetch of the section: which figures are wanted, nothing is pending. */
  renewed() {
    this.moved.clear();
    this.hint();
    this.watch();
  }

  watch() {
    watch(
      this.rows.map((row) => row.dataset.row.slice("guest/".length)),
      "list",
    );
  }

  async renew(url = location.href) {
    try {
      await refresh(["guest-list"], url);
    } catch (error) {
      if (error.name !== "AbortError") showError(error);
    }
  }

  // -- filters: typing searches, choosing narrows; the address follows

  filters() {
    const form = $("[data-filters]", this.root);
    let typing = 0;
    form.addEventListener("input", (event) => {
      clearTimeout(typing);
      if (event.target.name === "q" || event.target.name === "tag")
        typing = setTimeout(() => this.search(form), TYPING_MS);
    });
    form.addEventListener("change", (event) => event.target.name === "host" && this.search(form));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      clearTimeout(typing);
      this.search(form);
    });
    const suggestions = $("#guest-tags", form);
    form.elements.namedItem("tag").addEventListener("focus", () => this.suggest(suggestions), { once: true });
  }

  async suggest(list) {
    try {
      const { tags } = await getJSON(this.root.dataset.tagsUrl);
      list.replaceChildren(...tags.map((tag) => new Option(tag, tag)));
    } catch (error) {
      console.warn("tags", error);
    }
  }

  search(form) {
    const query = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
    const url = `${form.getAttribute("action")}${query.size ? `?${query}` : ""}`;
    if (url === location.pathname + location.search) return;
    history.replaceState(null, "", url);
    this.renew(url);
  }

  // -- live messages (rows.js has already written the cells of rows that are there)

  guest(message) {
    const [element] = rowsOf("guest", message.host, message.uuid).filter((one) => this.section.contains(one));
    if (message.op === "gone") {
      if (element) this.remove(element);
      else if (this.many) this.note(`guest/${message.host}/${message.uuid}`);
      return;
    }
    if (element) this.update(element, message.row);
    else if (this.fits(message.row)) this.arrive(message.row);
  }

  update(element, row) {
    const shown = shownState(row);
    const before = element.dataset.shown;
    if (shown !== before) {
      element.dataset.shown = shown;
      this.tally(before, -1);
      this.tally(shown, 1);
      this.offer(element, row);
      renewMenus(element);
      if (!["running", "paused"].includes(shown)) patch(element, { ...NO_FIGURES, memory_kib: row.memory_kib });
    }
    if (!this.fits(row) || !this.inOrder(element)) this.note(keyOf(row));
  }

  nameOf(element) {
    return $('[data-f="name"]', element).textContent;
  }

  /** Whether the names still stand in the page's order around this row. */
  inOrder(element) {
    const { sort } = this.root.dataset;
    if (sort !== "name" && sort !== "-name") return true;
    const names = [element.previousElementSibling, element, element.nextElementSibling].map(
      (one) => one && this.nameOf(one),
    );
    if (sort === "-name") names.reverse();
    const [before, name, after] = names;
    return (before === null || before <= name) && (after === null || name <= after);
  }

  /** The one operation that the row offers, by its state. */
  offer(element, row) {
    const button = $("[data-primary]", element);
    if (!button) return;
    const primary = this.words.primary[shownState(row)];
    button.hidden = !primary;
    if (!primary) return;
    button.dataset.operation = primary.operation;
    setIcon($("svg", button), primary.icon);
    setText($("span", button), primary.label);
    if (primary.confirm) button.dataset.confirmText = primary.confirm;
    else delete button.dataset.confirmText;
    button.toggleAttribute("data-danger", Boolean(primary.danger));
  }

  /** Whether a guest belongs into what the page is narrowed to. */
  fits(row) {
    const { state, q, host, tag } = this.section.dataset;
    if (host && Number(host) !== row.host) return false;
    if (tag && !row.tags.includes(tag)) return false;
    if (state && filterOf(shownState(row)) !== state) return false;
    const text = [row.name, row.title, row.host_name, row.uuid, ...row.tags, ...row.addresses].join("\n").toLowerCase();
    return q
      .toLowerCase()
      .split(/\s+/)
      .filter(Boolean)
      .every((word) => text.includes(word));
  }

  /** A guest that is not on the page: into its place when the whole list is on this page, else it is only counted. */
  arrive(row) {
    if (this.waiting.has(keyOf(row))) return;
    if (this.many || this.rows.length >= PAGE_SIZE) {
      this.note(keyOf(row));
      return;
    }
    if (!this.section.querySelector("[data-state-key]")) {
      this.renew();
      return;
    }
    this.waiting.add(keyOf(row));
    this.whenCalm(() => this.insert(row));
  }

  insert(row) {
    this.waiting.delete(keyOf(row));
    if (rowsOf("guest", row.host, row.uuid).length) return;
    const element = $("#guest-row", this.root).content.firstElementChild.cloneNode(true);
    element.dataset.row = keyOf(row);
    const place = `/guests/${row.uuid}/`;
    $("th a", element).href = `${place}?host=${row.host}`;
    const menu = $("[data-guest-menu]", element);
    menu.dataset.guestMenu = `${place}menu/?host=${row.host}`;
    const host = $("[data-host-name]", element);
    host.href = `/hosts/${row.host}/`;
    setText(host, row.host_name);
    const primary = $("[data-primary]", element);
    if (primary) Object.assign(primary.dataset, { key: row.uuid, host: String(row.host) });
    patch(element, row);
    element.dataset.shown = shownState(row);
    this.offer(element, row);
    element.classList.add("g-new");
    this.place(element, row);
    $("[data-box]", this.section).hidden = false;
    $("[data-empty]", this.section)?.remove();
    this.tally(shownState(row), 1);
    this.range();
    this.watch();
  }

  /** Where the page's order puts it; what orders by figures gets it at the end. */
  place(element, row) {
    const body = $("[data-rows]", this.section);
    const { sort } = this.root.dataset;
    const after = (one) => (sort === "-name" ? this.nameOf(one) < row.name : this.nameOf(one) > row.name);
    const next = sort === "name" || sort === "-name" ? this.rows.find(after) : null;
    body.insertBefore(element, next ?? null);
  }

  remove(element) {
    this.tally(element.dataset.shown, -1);
    element.inert = true;
    setTimeout(() => this.whenCalm(() => this.drop(element)), GONE_MS);
  }

  drop(element) {
    if (!element.classList.contains("is-gone")) {
      element.inert = false;
      return;
    }
    if (this.many) {
      this.note(element.dataset.row);
      return;
    }
    element.remove();
    this.range();
    this.watch();
    if (!this.rows.length) this.renew();
  }

  host(message) {
    const mine = this.rows.filter((element) => element.dataset.row.startsWith(`guest/${message.host}/`));
    if (message.op === "gone") {
      if (mine.length) this.renew();
      return;
    }
    const live = message.row.status === "live";
    const known = mine.some((element) => element.dataset.shown !== "unknown");
    if (mine.length && live !== known) this.whenCalm(() => this.renew());
  }

  job({ row, uuid, host }) {
    if (row.object_kind !== "guest" || row.quiet) return;
    for (const element of rowsOf("guest", host, uuid)) showBusy(element, active(row) ? localised(row).label : "");
  }

  // -- numbers beside the states, and what waits

  tally(shown, by) {
    for (const key of ["", filterOf(shown)]) {
      const chip = $(`[data-state-key="${key}"] [data-count]`, this.section);
      if (chip)
        setText(
          chip,
          Math.max(0, Number(chip.textContent.replace(/\D/g, "")) + by).toLocaleString(document.documentElement.lang),
        );
    }
  }

  /** How many the page shows, when it shows all. */
  range() {
    const total = this.rows.length;
    const numbers = { from: Math.min(1, total), to: total, total };
    if (!this.many) setText($("[data-range]", this.section), _("%(from)s to %(to)s of %(total)s", numbers));
  }

  get many() {
    return Number(this.section.dataset.pages) > 1;
  }

  /** A guest that the page's order or filters would put elsewhere: it stays, and the page says so. */
  note(key) {
    this.moved.add(key);
    this.hint();
  }

  hint() {
    const button = $("[data-hint]", this.section);
    if (!button) return;
    const number = this.moved.size;
    button.hidden = !number;
    setText($("[data-hint-text]", button), number ? ngettext("%(n)s change: show", "%(n)s changes: show", number) : "");
  }

  /** Runs when nobody is about to press something in the table: a row that moves under the pointer starts the wrong guest. */
  whenCalm(run) {
    const open = $(".menu:popover-open", this.section) || $("dialog[open]");
    if (!open && Date.now() - this.pressed > CALM_MS) run();
    else setTimeout(() => this.whenCalm(run), 200);
  }
}

export default (root) => new GuestList(root);
