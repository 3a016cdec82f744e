// A guest's screen: noVNC in the page, its toolbar, and what is said when there is nothing to see.

import { onLeaveChord } from "../consoles/focus.js";
import { load } from "../consoles/library.js";
import { Link } from "../consoles/link.js";
import { pasteDialog } from "../consoles/paste.js";
import { Stage } from "../consoles/stage.js";
import { $, announce, h } from "../dom.js";
import { _ } from "../i18n.js";
import { toast } from "../toast.js";

const FIT_KEY = "kvmweb-screen-fit";

class Screen {
  constructor(root) {
    this.root = root;
    this.target = $("[data-target]", root);
    this.rfb = null;
    this.RFB = null;
    this.mayWork = root.dataset.works === "true";
    this.serverViewOnly = !this.mayWork;
    this.viewOnly = !this.mayWork;
    this.fit = localStorage.getItem(FIT_KEY) !== "no";
    this.stage = new Stage(root, () => this.link.connect());
    this.link = new Link(root, "vnc", {
      ready: async () => {
        // Loaded when needed, so that a browser that cannot do so keeps the rest of the page.
        this.RFB ??= (await load("novnc"))[0].default;
      },
      open: (socket, viewOnly) => this.open(socket, viewOnly),
      status: (status) => this.show(status),
    });
    this.wire();
    this.paint();
    if (this.link.off) this.link.ended("off");
    else this.link.connect();
  }

  open(socket, viewOnly) {
    this.drop();
    this.serverViewOnly = viewOnly;
    const rfb = new this.RFB(this.target, socket, { shared: true });
    this.rfb = rfb;
    rfb.background = "transparent";
    rfb.viewOnly = viewOnly || this.viewOnly;
    rfb.scaleViewport = this.fit;
    rfb.addEventListener("connect", () => this.connected(rfb));
    rfb.addEventListener("credentialsrequired", () => this.askPassword(rfb));
    rfb.addEventListener("securityfailure", () => this.link.fail("password"));
    rfb.addEventListener("disconnect", () => this.rfb === rfb && this.drop(true));
    this.paint();
  }

  connected(rfb) {
    if (rfb !== this.rfb) return;
    const canvas = $("canvas", this.target);
    canvas?.setAttribute("role", "img");
    canvas?.setAttribute("aria-label", _("Screen of %(name)s", { name: this.root.dataset.name }));
    this.link.settled();
    this.paint();
  }

  /** Takes the picture away; `over` when noVNC has disconnected by itself. */
  drop(over = false) {
    const rfb = this.rfb;
    this.rfb = null;
    if (!over) rfb?.disconnect();
    this.target.replaceChildren();
    this.paint();
  }

  async askPassword(rfb) {
    const dialog = $("[data-password-dialog]", this.root);
    dialog.returnValue = "cancel";
    dialog.addEventListener(
      "close",
      () => {
        const field = $("input", dialog);
        if (dialog.returnValue === "confirm" && rfb === this.rfb) rfb.sendCredentials({ password: field.value });
        else this.link.fail("password");
        field.value = "";
      },
      { once: true },
    );
    dialog.showModal();
  }

  show(status) {
    if (status.name !== "open") this.paint();
    this.stage.show(status, this.link);
    if (status.name === "open") announce(_("Connected to the screen"));
  }

  get works() {
    return Boolean(this.rfb) && this.stage.name === "open" && !this.serverViewOnly && !this.viewOnly;
  }

  wire() {
    const on = (name, action) => $(`[data-do=${name}]`, this.root)?.addEventListener("click", action);
    on("type", () => this.grab());
    on("paste", () => pasteDialog(this.root, (keysym, code, down) => this.rfb?.sendKey(keysym, code, down)));
    on("shot", () => this.screenshot());
    on("view-only", () => this.setViewOnly(!this.viewOnly));
    on("fit", () => this.setFit(!this.fit));
    on("full", () => this.toggleFull());
    on("window", () => this.popOut());
    const stage = $("[data-stage]", this.root);
    stage.addEventListener("keydown", (event) => {
      if (event.target === stage && (event.key === "Enter" || event.key === " ")) {
        event.preventDefault();
        this.grab();
      }
    });
    onLeaveChord(stage, () => this.release());
    stage.addEventListener("focusin", () => this.paintFocus());
    stage.addEventListener("focusout", () => setTimeout(() => this.paintFocus()));
    this.root.addEventListener("kvmweb:submitted", () => this.grab());
    document.addEventListener("fullscreenchange", () => this.paint());
  }

  /** Keys go to the guest from now on. */
  grab() {
    if (this.works) this.rfb.focus({ preventScroll: true });
  }

  /** Keys go to the page again; those that the chord pressed in the guest are let go. */
  release() {
    for (const [keysym, code] of [
      [0xffe3, "ControlLeft"],
      [0xffe9, "AltLeft"],
      [0xffe1, "ShiftLeft"],
    ]) {
      this.rfb?.sendKey(keysym, code, false);
    }
    this.rfb?.blur();
    $("[data-do=type]", this.root)?.focus();
    announce(_("The keyboard is back on the page"));
  }

  paintFocus() {
    const inside = this.target.contains(document.activeElement);
    this.root.classList.toggle("console-grabbed", inside && this.works);
  }

  screenshot() {
    this.rfb?.toBlob((blob) => {
      const url = URL.createObjectURL(blob);
      const now = new Date().toISOString().slice(0, 19).replaceAll(":", "-");
      h("a", { href: url, download: `${this.root.dataset.name}-${now}.png` }).click();
      setTimeout(() => URL.revokeObjectURL(url), 10_000);
    }, "image/png");
  }

  setViewOnly(on) {
    this.viewOnly = on;
    if (this.rfb) this.rfb.viewOnly = on || this.serverViewOnly;
    this.paint();
  }

  setFit(on) {
    this.fit = on;
    localStorage.setItem(FIT_KEY, on ? "yes" : "no");
    if (this.rfb) this.rfb.scaleViewport = on;
    this.paint();
  }

  async toggleFull() {
    if (document.fullscreenElement) {
      await document.exitFullscreen();
      return;
    }
    try {
      await this.root.requestFullscreen();
      // Where the browser knows it, Alt+Tab, Esc and the like go to the guest too; held Esc leaves.
      await navigator.keyboard?.lock?.();
    } catch {
      if (!document.fullscreenElement) toast(_("The browser did not allow full screen."), { kind: "warning" });
    }
    this.grab();
  }

  popOut() {
    const canvas = $("canvas", this.target);
    const width = Math.max(640, canvas?.width || 1024);
    const height = Math.max(400, (canvas?.height || 768) + 60);
    open(this.root.dataset.windowUrl, `screen-${this.root.dataset.uuid}`, `popup,width=${width},height=${height}`);
  }

  paint() {
    const open = Boolean(this.rfb) && this.stage?.name === "open";
    const able = (name, yes) => {
      const button = $(`[data-do=${name}]`, this.root);
      if (button) button.disabled = !yes;
    };
    able("type", this.works);
    able("keys", this.works);
    able("paste", this.works);
    able("shot", open);
    able("view-only", open && !this.serverViewOnly);
    const pressed = (name, on) => $(`[data-do=${name}]`, this.root)?.setAttribute("aria-pressed", String(on));
    pressed("view-only", this.viewOnly || this.serverViewOnly);
    pressed("fit", this.fit);
    pressed("full", document.fullscreenElement === this.root);
    this.root.classList.toggle("console-fit", this.fit);
    this.root.classList.toggle("console-open", open);
    this.paintFocus();
  }
}

export default function start(root) {
  return new Screen(root);
}
