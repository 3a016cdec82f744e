// Machines that are ticked in the list: kept while one pages and rows change, and what may be done to all of them.

import { $, $$, announce, h, icon, setText } from "kvmweb/dom";
import { close as closeDrawer, showJob } from "kvmweb/drawer";
import { clearErrors, showErrors, values } from "kvmweb/forms";
import { _, ngettext } from "kvmweb/i18n";
import { onMessage } from "kvmweb/live";
import { csrfToken, postJSON, RequestError } from "kvmweb/net";
import { showError, uuid } from "kvmweb/operations";

const KEPT = "kvmweb-selected";
const SOON_MS = 120;
const CALM_MS = 800;
const SHOWN = 5;
const PHONE = matchMedia("(max-width: 760px)");

const keyOf = (box) => box.closest("[data-row]")?.dataset.row.slice("guest/".length) ?? "";
const placeOf = (key) => ({ host: Number(key.split("/")[0]), uuid: key.split("/")[1] });

function recall() {
  try {
    return JSON.parse(sessionStorage.getItem(KEPT)) ?? {};
  } catch {
    return {};
  }
}

/** Which machines are meant: those ticked one by one, or all that fit a search but some. */
class Selection {
  constructor({ keys = [], q = null, but = [], total = 0 } = {}) {
    Object.assign(this, { keys: new Set(keys), q, but: new Set(but), total });
  }

  has(key) {
    return this.q === null ? this.keys.has(key) : !this.but.has(key);
  }

  put(key, wanted) {
    if (this.q === null) this.keys[wanted ? "add" : "delete"](key);
    else this.but[wanted ? "delete" : "add"](key);
  }

  get size() {
    return this.q === null ? this.keys.size : Math.max(0, this.total - this.but.size);
  }

  /** As the server takes it. */
  get wanted() {
    if (this.q === null) return { guests: [...this.keys].map(placeOf) };
    return { q: this.q, but: [...this.but].map(placeOf) };
  }

  keep() {
    try {
      if (!this.size) sessionStorage.removeItem(KEPT);
      else
        sessionStorage.setItem(
          KEPT,
          JSON.stringify({ keys: [...this.keys], q: this.q, but: [...this.but], total: this.total }),
        );
    } catch (error) {
      console.warn("the selection is not kept", error);
    }
  }
}

class Bar {
  constructor(root) {
    this.root = root;
    this.chosen = new Selection(recall());
    this.last = "";
    this.timer = 0;
    this.asked = 0;
    document.addEventListener("click", (event) => this.click(event));
    document.addEventListener("kvmweb:content", (event) => event.detail.element.id === "guest-list" && this.renewed());
    document.addEventListener("kvmweb:resync", () => this.look(CALM_MS));
    this.rows = new MutationObserver(() => this.show());
    onMessage("guest", (message) => this.guest(message));
    onMessage("host", () => this.look(CALM_MS));
    this.renewed();
  }

  get section() {
    return $("#guest-list");
  }

  get boxes() {
    return $$("[data-select]", this.section);
  }

  /** The list has come anew: other rows, perhaps another search. */
  renewed() {
    if (this.chosen.q !== null && this.chosen.q !== this.section.dataset.q) this.chosen = new Selection();
    this.rows.disconnect();
    for (const body of $$("[data-rows]", this.section)) this.rows.observe(body, { childList: true });
    this.show();
    this.look();
  }

  guest({ op, host, uuid: id }) {
    if (op === "gone") this.chosen.keys.delete(`${host}/${id}`);
    this.show();
    this.look(CALM_MS);
  }

  // -- ticking

  click(event) {
    const box = event.target;
    if (box instanceof HTMLInputElement && box.matches("[data-select]")) this.tick(box, event.shiftKey);
    else if (box instanceof HTMLInputElement && box.matches("[data-select-page]")) this.page(box.checked);
    else if (event.target.closest("[data-many-clear]")) this.clear();
    else if (event.target.closest("[data-many-all]")) this.all();
    else {
      const button = event.target.closest("[data-many]");
      if (button && button.getAttribute("aria-disabled") !== "true") this.ask(button.dataset.many);
    }
  }

  tick(box, range) {
    const boxes = this.boxes;
    const from = range ? boxes.findIndex((one) => keyOf(one) === this.last) : -1;
    const to = boxes.indexOf(box);
    const row = from < 0 ? [box] : boxes.slice(Math.min(from, to), Math.max(from, to) + 1);
    for (const one of row) this.chosen.put(keyOf(one), box.checked);
    this.last = keyOf(box);
    this.changed();
  }

  page(wanted) {
    for (const box of this.boxes) this.chosen.put(keyOf(box), wanted);
    this.changed();
  }

  all() {
    this.chosen = new Selection({ q: this.section.dataset.q, total: Number(this.section.dataset.total) });
    this.changed();
  }

  clear() {
    const had = this.root.contains(document.activeElement);
    this.chosen = new Selection();
    this.changed();
    if (had) $("[data-select-page]", this.section)?.focus();
  }

  changed() {
    if (this.chosen.size && PHONE.matches) closeDrawer();
    this.show();
    this.look();
  }

  // -- showing

  show() {
    const { chosen } = this;
    chosen.keep();
    const boxes = this.boxes;
    let ticked = 0;
    for (const box of boxes) {
      const name = $('[data-f="name"]', box.closest("[data-row]"))?.textContent ?? "";
      box.setAttribute("aria-label", _("Select %(name)s", { name }));
      box.checked = chosen.has(keyOf(box)) && chosen.size > 0;
      ticked += box.checked;
      box.closest("[data-row]").classList.toggle("is-selected", box.checked);
    }
    const head = $("[data-select-page]", this.section);
    if (head) {
      head.checked = boxes.length > 0 && ticked === boxes.length;
      head.indeterminate = ticked > 0 && !head.checked;
    }
    this.root.hidden = !chosen.size;
    const number = chosen.size;
    setText($("[data-many-count]", this.root), ngettext("%(n)s selected", "%(n)s selected", number));
    this.showAll(boxes.length && ticked === boxes.length);
    this.showElsewhere(number - ticked);
  }

  /** "Select all that match", once the whole page is. */
  showAll(whole) {
    const button = $("[data-many-all]", this.root);
    const total = Number(this.section.dataset.total);
    button.hidden = this.chosen.q !== null || !whole || total <= this.chosen.size;
    setText(button, _("Select all %(n)s that match", { n: total }));
  }

  showElsewhere(number) {
    const note = $("[data-many-note]", this.root);
    note.hidden = number <= 0;
    setText(note, number > 0 ? ngettext("%(n)s is not on this page", "%(n)s are not on this page", number) : "");
  }

  // -- what may be done

  look(wait = SOON_MS) {
    if (!this.chosen.size) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.fetch(), wait);
  }

  async fetch() {
    if (!this.chosen.size) return;
    const mine = ++this.asked;
    try {
      const { number, operations } = await postJSON(this.root.dataset.url, this.chosen.wanted);
      if (mine !== this.asked) return;
      if (this.chosen.q !== null) this.chosen.total = number + this.chosen.but.size;
      else if (!number) this.chosen = new Selection();
      this.show();
      this.offer(operations);
    } catch (error) {
      if (mine === this.asked) showError(error);
    }
  }

  offer(operations) {
    const main = operations.filter((one) => one.fits && one.first).slice(0, SHOWN);
    const rest = operations.filter((one) => !main.includes(one));
    this.fill($("[data-many-buttons]", this.root), main, "btn btn-secondary btn-sm");
    this.fill($("#many-menu", this.root), rest, "menu-item");
    $("#many-more", this.root).hidden = !rest.length;
    if ($("#many-menu:popover-open")) dispatchEvent(new Event("resize")); // an open menu finds its place anew
  }

  /** The buttons of these operations; the same ones get other numbers, so that none moves under the hand. */
  fill(box, operations, style) {
    const names = operations.map((one) => one.name).join(" ");
    if (box.dataset.names !== names) {
      box.dataset.names = names;
      box.replaceChildren(...operations.map((one) => this.button(one, style)));
    }
    for (const one of operations) {
      const button = $(`[data-many="${one.name}"]`, box);
      setText($(".num", button), `(${one.fits})`);
      button.toggleAttribute("aria-disabled", !one.fits);
      if (one.fits) delete button.dataset.tip;
      else {
        button.setAttribute("aria-disabled", "true");
        button.dataset.tip = one.why;
      }
    }
  }

  button(one, style) {
    const role = style === "menu-item" ? "menuitem" : null;
    const danger = one.danger && role ? " menu-danger" : "";
    const attributes = { class: style + danger, type: "button", role, "data-many": one.name };
    return h("button", attributes, icon(one.icon), h("span", {}, one.label, " ", h("span", { class: "num" })));
  }

  // -- doing it

  async ask(name, changed = "") {
    let question;
    try {
      question = await this.question(name);
    } catch (error) {
      showError(error);
      return;
    }
    document.body.append(question);
    question.addEventListener("close", () => question.remove());
    const form = $("form", question);
    this.prepare(form, changed);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send(name, form);
    });
    question.showModal();
    $("[autofocus], input:not([type=checkbox], [type=radio])", form)?.focus();
    if (document.activeElement === question || !question.contains(document.activeElement)) $("[data-go]", form).focus();
  }

  async question(name) {
    const response = await fetch(`${this.root.dataset.url}${name}/`, {
      method: "POST",
      credentials: "same-origin",
      headers: { "Content-Type": "application/json", "X-CSRFToken": csrfToken() },
      body: JSON.stringify(this.chosen.wanted),
    });
    if (!response.ok) {
      const json = response.headers.get("Content-Type")?.includes("json");
      const data = json ? await response.json() : {};
      const text = _("The server could not do that (HTTP %(status)s).", { status: response.status });
      throw new RequestError(data.error ?? text, response.status, data);
    }
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    return document.adoptNode($("dialog", page));
  }

  prepare(form, changed) {
    const number = Number(form.dataset.number);
    const typed = $("[data-many-number]", form);
    const go = $("[data-go]", form);
    const check = () => {
      go.disabled = !number || Boolean(typed && typed.value.trim() !== String(number));
    };
    form.addEventListener("input", check);
    check();
    const notice = $("[data-many-changed]", form);
    notice.hidden = !changed;
    setText($("[data-many-why]", notice), changed);
    form.dataset.key = uuid();
  }

  async send(name, form) {
    if (form.getAttribute("aria-busy") === "true") return;
    clearErrors(form);
    form.setAttribute("aria-busy", "true");
    const number = Number(form.dataset.number);
    const body = { ...this.chosen.wanted, params: values(form), number, fitting: true };
    try {
      const url = this.root.dataset.operate.replace("NAME", name);
      const { job } = await postJSON(url, body, { "Idempotency-Key": form.dataset.key });
      form.closest("dialog").close();
      this.clear();
      showJob(job);
      announce(`${job.label} ${job.object_name}: ${job.state_label}`);
    } catch (error) {
      // No answer says nothing about whether the job was made: the next try carries the same key.
      if (error.status && error.status < 500) form.dataset.key = uuid();
      this.refused(name, form, number, error);
    } finally {
      form.removeAttribute("aria-busy");
    }
  }

  refused(name, form, before, error) {
    const { number, errors } = error.data ?? {};
    if (number !== undefined) {
      form.closest("dialog").close();
      const text = ngettext(
        "Meanwhile it is about %(n)s machine and not %(before)s. Look again before you confirm.",
        "Meanwhile it is about %(n)s machines and not %(before)s. Look again before you confirm.",
        number,
        { before },
      );
      this.ask(name, text);
    } else if (errors) showErrors(form, errors)?.focus();
    else showError(error);
  }
}

export default (root) => new Bar(root);
