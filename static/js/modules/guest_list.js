// The list of guests: rows follow live messages in place; what would move rows waits for a click, or for a calm moment.

import { $, $$, setText } from "kvmweb/dom";
import { readWords, renewMenus, showBusy, shownState } from "kvmweb/guest_parts";
import { inOrder, keyOf, made, offer, place } from "kvmweb/guest_rows";
import { followSearch, renew } from "kvmweb/guest_search";
import { _, ngettext } from "kvmweb/i18n";
import { active, localised } from "kvmweb/job_card";
import { onMessage, watch } from "kvmweb/live";
import { patch, rowsOf } from "kvmweb/rows";
import { filedState, fits } from "kvmweb/search_match";

const CALM_MS = 1200;
const GONE_MS = 900;
const ASK_MS = 1000;
const PAGE_SIZE = 50;
const NO_FIGURES = { cpu: null, memory: null, read: null, write: null, rx: null, tx: null };

class GuestList {
  constructor(root) {
    this.root = root;
    this.words = readWords(root.dataset.words);
    this.moved = new Set();
    this.waiting = new Map();
    this.pressed = 0;
    this.asking = 0;
    onMessage("guest", (message) => this.guest(message));
    onMessage("host", (message) => this.host(message));
    onMessage("job", (message) => this.job(message));
    document.addEventListener("kvmweb:content", (event) => event.detail.element.id === "guest-list" && this.renewed());
    root.addEventListener("pointermove", () => (this.pressed = Date.now()), { passive: true });
    root.addEventListener("click", (event) => event.target.closest("[data-hint]") && renew());
    followSearch($("[data-filters]", root));
    this.renewed();
  }

  get section() {
    return $("#guest-list", this.root);
  }

  get rows() {
    return $$("[data-rows] > [data-row]", this.section);
  }

  get many() {
    return Number(this.section.dataset.pages) > 1;
  }

  /** After every fetch of the section: which figures are wanted, nothing is pending. */
  renewed() {
    this.tree = JSON.parse(this.section.dataset.tree);
    this.moved.clear();
    this.hint();
    this.changed();
  }

  /** Rows came or went: their figures are wanted, and whoever counts rows hears of it. */
  changed() {
    watch(
      this.rows.map((row) => row.dataset.row.slice("guest/".length)),
      "list",
    );
    this.section.dispatchEvent(new CustomEvent("kvmweb:rows", { bubbles: true }));
  }

  // -- live messages (rows.js has already written the cells of rows that are there)

  guest(message) {
    const [element] = rowsOf("guest", message.host, message.uuid).filter((one) => this.section.contains(one));
    if (message.op === "gone") {
      this.waiting.delete(keyOf(message));
      if (element) this.remove(element);
      else if (this.many) this.note(keyOf(message));
      return;
    }
    if (element) this.update(element, message.row);
    else if (fits(this.tree, message.row)) this.arrive(message.row);
    else {
      this.waiting.delete(keyOf(message.row)); // it fitted a moment ago, and does so no more
      if (fits(this.tree, message.row) === null) this.ask();
    }
  }

  update(element, row) {
    const shown = shownState(row);
    const before = element.dataset.shown;
    if (shown !== before) {
      element.dataset.shown = shown;
      this.tally(before, -1);
      this.tally(shown, 1);
      offer(element, row, this.words);
      renewMenus(element);
      if (!["running", "paused"].includes(shown)) patch(element, { ...NO_FIGURES, memory_kib: row.memory_kib });
    }
    if (fits(this.tree, row) === false || !inOrder(element, this.root.dataset.sort)) this.note(keyOf(row));
  }

  /** The row does not say whether it fits (whose it is, what goes on with it): the server knows. */
  ask() {
    if (this.asking) return;
    this.asking = setTimeout(() => {
      this.asking = 0;
      this.whenCalm(() => renew());
    }, ASK_MS);
  }

  /** A guest that is not on the page: into its place when the whole list is on this page, else it is only counted. */
  arrive(row) {
    if (this.waiting.has(keyOf(row))) {
      this.waiting.set(keyOf(row), row); // what is told while it waits is what it shows when it comes
      return;
    }
    if (this.many || this.rows.length >= PAGE_SIZE) {
      this.note(keyOf(row));
      return;
    }
    if (!this.section.querySelector("[data-state-key]")) {
      renew();
      return;
    }
    this.waiting.set(keyOf(row), row);
    this.whenCalm(() => this.insert(keyOf(row)));
  }

  insert(key) {
    const row = this.waiting.get(key);
    this.waiting.delete(key);
    if (!row) return;
    if (rowsOf("guest", row.host, row.uuid).length) return;
    const element = made($("#guest-row", this.root), row, this.words);
    place($("[data-rows]", this.section), element, this.root.dataset.sort);
    $("[data-box]", this.section).hidden = false;
    $("[data-empty]", this.section)?.remove();
    this.tally(shownState(row), 1);
    this.range();
    this.changed();
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
    this.changed();
    if (!this.rows.length) renew();
  }

  host(message) {
    const mine = this.rows.filter((element) => element.dataset.row.startsWith(`guest/${message.host}/`));
    if (message.op === "gone") {
      if (mine.length) renew();
      return;
    }
    const live = message.row.status === "live";
    const known = mine.some((element) => element.dataset.shown !== "unknown");
    if (mine.length && live !== known) this.whenCalm(() => renew());
  }

  job({ row, uuid, host }) {
    if (row.object_kind !== "guest" || row.quiet) return;
    for (const element of rowsOf("guest", host, uuid)) showBusy(element, active(row) ? localised(row).label : "");
  }

  // -- numbers beside the states, and what waits

  tally(shown, by) {
    for (const key of ["", filedState({ state: shown })]) {
      const chip = $(`[data-state-key="${key}"] [data-count]`, this.section);
      const number = chip && Math.max(0, Number(chip.textContent.replace(/\D/g, "")) + by);
      if (chip) setText(chip, number.toLocaleString(document.documentElement.lang));
    }
  }

  /** How many the page shows, when it shows all. */
  range() {
    const total = this.rows.length;
    const numbers = { from: Math.min(1, total), to: total, total };
    if (!this.many) setText($("[data-range]", this.section), _("%(from)s to %(to)s of %(total)s", numbers));
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
