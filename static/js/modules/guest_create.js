// The page that makes a guest: fields that follow each other, checks while one types, a summary, and the job's outcome.

import { $, $$, h, setText } from "kvmweb/dom";
import { bytes } from "kvmweb/format";
import { clearErrors, showErrors, values } from "kvmweb/forms";
import { _, ngettext } from "kvmweb/i18n";
import { onMessage } from "kvmweb/live";
import { getJSON, postJSON, RequestError } from "kvmweb/net";
import { showError, submit, uuid } from "kvmweb/operations";

const CHECK_MS = 200;
const POLL_MS = 3000;
const SEPARATOR = "\u0000";

const json = (id) => JSON.parse(document.getElementById(id)?.textContent || "{}");

/** Puts options into a select and keeps its choice where that is still there. */
function fill(select, options, chosen) {
  const wanted = [chosen, select.value].find((value) => value && options.some((option) => option.value === value));
  select.replaceChildren(
    ...options.map(({ value, text, disabled }) => h("option", { value, disabled: Boolean(disabled) }, text)),
  );
  select.value = wanted ?? options.find((option) => !option.disabled)?.value ?? "";
}

class CreateForm {
  constructor(form) {
    this.form = form;
    this.choices = json("guest-choices");
    this.given = json("guest-given") ?? {};
    this.touched = new Set();
    this.timer = 0;
    this.waiting = 0;
    this.checking = null;
    this.virt = "";
    this.job = null;
    this.key = { content: "", id: "" };
    if (this.given.source) this.field("source").value = this.given.source;
    this.offer(true);
    this.form.addEventListener("input", (event) => this.changed(event));
    this.form.addEventListener("change", (event) => this.changed(event));
    this.form.addEventListener("submit", (event) => this.send(event));
    onMessage("job", (message) => message.row.id === this.job && this.over(message.row));
    this.follow();
    if (!this.field("name").value) this.field("name").focus({ preventScroll: true });
  }

  field(name) {
    return this.form.elements.namedItem(name);
  }

  get source() {
    return this.field("source").value;
  }

  /** What the host offers: pools, volumes, networks, limits. */
  offer(fresh = false) {
    const { defaults, pools, networks, cpus, memory_mib, memory_free_mib, kvm, firmwares } = this.choices;
    const pool = (one) => ({ value: one.name, text: _("%(name)s, %(free)s free", one), disabled: !one.usable });
    fill(this.field("disk_pool"), pools.map(pool), defaults.disk_pool);
    const network = (one) => ({
      value: one.name,
      text: one.active
        ? [one.name, one.forward, ...one.subnets].filter(Boolean).join(", ")
        : _("%(name)s (not active)", one),
    });
    fill(this.field("network"), [...networks.map(network), { value: "", text: _("No network") }], defaults.network);
    if (!defaults.network) this.field("network").value = "";
    setText(
      $("[data-help=cpus]", this.form),
      ngettext("The host has %(n)s CPU.", "The host has %(n)s CPUs.", cpus, { n: cpus }),
    );
    const sizes = { all: bytes(memory_mib * 2 ** 20), free: bytes(memory_free_mib * 2 ** 20) };
    setText($("[data-help=memory]", this.form), _("The host has %(all)s, %(free)s of it free.", sizes));
    this.disable("virt", "kvm", !kvm);
    this.disable("firmware", "efi", !firmwares.includes("efi"));
    if (fresh) this.field("disk_format").value = defaults.disk_format;
    this.offerVolumes();
  }

  disable(name, value, off) {
    const select = this.field(name);
    const option = $(`option[value=${value}]`, select);
    option.disabled = off;
    if (off && select.value === value) select.selectedIndex = 0;
  }

  offerVolumes() {
    const volumes = this.choices[this.source === "image" ? "images" : "isos"];
    const option = (one) => ({
      value: `${one.pool}${SEPARATOR}${one.name}`,
      text: `${one.name} (${one.pool}, ${one.size})`,
    });
    const given = this.given.volume && `${this.given.pool ?? ""}${SEPARATOR}${this.given.volume}`;
    fill(this.field("source_volume"), volumes.map(option), given);
    const label = $("[data-volume-label]", this.form);
    setText(label, label.dataset[this.source === "image" ? "image" : "iso"]);
    for (const note of $$("[data-no-volume]", this.form)) {
      note.hidden = note.dataset.noVolume !== this.source || volumes.length > 0;
    }
  }

  /** The chosen ISO or image, as the host offers it. */
  get volume() {
    const [pool, name] = this.field("source_volume").value.split(SEPARATOR);
    return [...this.choices.isos, ...this.choices.images].find((one) => one.pool === pool && one.name === name);
  }

  params() {
    const { host, source_volume, ...rest } = values(this.form);
    const [pool = "", volume = ""] = (source_volume ?? "").split(SEPARATOR);
    const params = { ...rest, source_pool: pool, source_volume: volume };
    if (params.source === "none") Object.assign(params, { source_pool: "", source_volume: "" });
    if (params.source !== "image" || this.volume?.format) params.image_format = "";
    return params;
  }

  get host() {
    return this.field("host").value;
  }

  async changed(event) {
    const { name } = event.target;
    if (name) this.touched.add(name);
    if (name === "host" && event.type === "change") await this.changeHost();
    if (name === "source" && event.type === "change") this.offerVolumes();
    this.follow();
  }

  async changeHost() {
    try {
      this.choices = await getJSON(`${this.form.dataset.choices}?host=${this.host}`);
      this.offer();
    } catch (error) {
      showError(error);
    }
  }

  /** Shows what belongs to the source, the summary, and asks the server what it thinks. */
  follow() {
    const { source } = this;
    for (const part of $$("[data-when-source]", this.form))
      part.hidden = !part.dataset.whenSource.split(" ").includes(source);
    const unknown = source === "image" && this.volume && !this.volume.format;
    $("[data-image-format]", this.form).hidden = !unknown;
    const looks = $("[data-looks]", this.form);
    setText(looks, unknown && this.volume.looks ? looks.dataset.text.replace("%(format)s", this.volume.looks) : "");
    const pool = this.choices.pools.find((one) => one.name === this.field("disk_pool").value);
    this.disable("disk_format", "qcow2", Boolean(pool?.raw_only));
    if (pool?.raw_only) this.field("disk_format").value = "raw";
    setText($("[data-go-text]", this.form), this.field("start_now").checked ? _("Create and start") : _("Create"));
    this.summarise();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.check(), CHECK_MS);
  }

  summarise() {
    const at = this.params();
    const text = (name) => this.field(name).selectedOptions?.[0]?.textContent ?? "";
    const made = at.source !== "image" && at.disk_gib > 0;
    const told = {
      name: at.name || "–",
      host: text("host"),
      source: { none: _("Its empty disk, then the network") }[at.source] ?? this.volume?.name ?? "–",
      size: `${at.vcpus ?? "–"} vCPU · ${at.memory_mib ? bytes(at.memory_mib * 2 ** 20) : "–"}`,
      disk: made
        ? `${at.disk_gib} GiB ${at.disk_format} · ${at.disk_pool}`
        : at.source === "image"
          ? (this.volume?.size ?? "–")
          : _("none"),
      network: at.network || _("none"),
      virt: this.virtText(),
    };
    for (const [name, value] of Object.entries(told)) setText($(`[data-sum=${name}]`, this.form), value);
  }

  virtText() {
    const wanted = this.field("virt").value;
    const virt = wanted === "auto" ? (this.choices.kvm ? "kvm" : "qemu") : wanted;
    const firmware = this.field("firmware").selectedOptions[0]?.textContent;
    return `${virt === "kvm" ? "KVM" : _("Emulation, slow")} · ${firmware}`;
  }

  async check() {
    this.checking?.abort();
    this.checking = new AbortController();
    let found;
    try {
      found = await this.ask(this.checking.signal);
    } catch (error) {
      if (error.name !== "AbortError") console.warn("check", error);
      return;
    }
    const seen = (entries) => Object.fromEntries(Object.entries(entries).filter(([name]) => this.shows(name)));
    clearErrors(this.form);
    showErrors(this.form, seen(found.errors));
    this.warn(found.warnings);
    this.gauge(found.quotas);
  }

  /** How much of each quota would be used with this machine. */
  gauge(quotas) {
    for (const [index, { gauges }] of quotas.entries()) {
      for (const { resource, text, width, level } of gauges) {
        const meter = $(`[data-quota="${index}"] [data-gauge=${resource}] .meter`, this.form);
        if (!meter) continue;
        meter.dataset.level = level;
        setText($(".meter-text", meter), text);
        $("rect", meter).setAttribute("width", width);
      }
    }
  }

  /** The same address as the operation's own checks; a newer question ends an older one. */
  async ask(signal) {
    const body = { host: Number(this.host), params: this.params() };
    const answer = postJSON(this.form.dataset.check, body);
    const ended = new Promise((_resolve, reject) => {
      signal.addEventListener("abort", () => reject(new DOMException("", "AbortError")), { once: true });
    });
    return Promise.race([answer, ended]);
  }

  /** An empty name is no mistake before somebody has been there; what is chosen for one is checked at once. */
  shows(name) {
    return this.touched.has(name) || !["name", "image_format", "source_volume"].includes(name);
  }

  warn(warnings) {
    for (const box of $$("[data-warning-for]", this.form)) box.remove();
    for (const [name, sentences] of Object.entries(warnings)) {
      const field = this.field(name);
      if (!field) continue;
      const box = h(
        "span",
        { class: "g-warning", "data-warning-for": name, id: `c-warning-${name}` },
        sentences.join(" "),
      );
      (field.closest(".field") ?? field.parentElement).append(box);
    }
  }

  async send(event) {
    event.preventDefault();
    if (this.form.getAttribute("aria-busy") === "true") return;
    clearTimeout(this.timer);
    this.checking?.abort();
    const params = this.params();
    const content = JSON.stringify([this.host, params]);
    if (this.key.content !== content) this.key = { content, id: uuid() };
    this.form.setAttribute("aria-busy", "true");
    try {
      const job = await submit("guest.create", { kind: "host", key: this.host, host: this.host }, params, {
        key: this.key.id,
      });
      this.job = job.id;
      this.start = params.start_now;
      clearErrors(this.form);
      this.over(job);
    } catch (error) {
      this.key = { content: "", id: "" };
      this.form.removeAttribute("aria-busy");
      clearErrors(this.form);
      if (error instanceof RequestError && error.data.errors) showErrors(this.form, error.data.errors)?.focus();
      else showError(error);
    }
  }

  /** When the job has ended: on to the guest, or back to the form, which kept everything. */
  over(row) {
    clearTimeout(this.waiting);
    if (["queued", "running", "undoing"].includes(row.state)) {
      this.waiting = setTimeout(() => this.look(row), POLL_MS);
      return;
    }
    this.job = null;
    this.key = { content: "", id: "" };
    if (row.state === "succeeded" && row.result?.uuid) this.leave(row);
    else this.form.removeAttribute("aria-busy");
  }

  /** Where live messages do not come through, the job itself is asked. */
  async look(row) {
    try {
      this.over((await getJSON(row.url)).job);
    } catch {
      this.over(row);
    }
  }

  /** On to the new guest's page as soon as the monitor has seen it too. */
  async leave(row, tries = 20) {
    const address = `/guests/${row.result.uuid}/${this.start ? "console/" : ""}?host=${row.host}`;
    const page = await fetch(address, { credentials: "same-origin" });
    if (page.ok || !tries) location.assign(page.ok ? address : this.form.dataset.list);
    else setTimeout(() => this.leave(row, tries - 1), 250);
  }
}

export default (form) => new CreateForm(form);
