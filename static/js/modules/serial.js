// A guest's serial line: a terminal in the page, who writes on it, and what is said when it is silent.

import { onLeaveChord } from "../consoles/focus.js";
import { load } from "../consoles/library.js";
import { Link } from "../consoles/link.js";
import { Stage } from "../consoles/stage.js";
import { explain } from "../consoles/words.js";
import { copy } from "../copy.js";
import { $, announce, setText } from "../dom.js";
import { _, ngettext } from "../i18n.js";
import { toast } from "../toast.js";

const SCROLLBACK_LINES = 5000;
const MOST_PASTED = 16 * 1024; // bytes a frame; the server cuts longer ones
const encoder = new TextEncoder();

class Serial {
  constructor(root, { Terminal, FitAddon }) {
    this.root = root;
    this.picture = { status: "connecting", writer: null, you: false, may_write: false, watchers: 0 };
    this.replaying = 0;
    this.stage = new Stage(root, () => this.link.connect());
    this.terminal = new Terminal({
      scrollback: SCROLLBACK_LINES,
      fontSize: 14,
      fontFamily: getComputedStyle(root).getPropertyValue("--k-mono"),
      theme: { background: "#14181d", foreground: "#e3e9ef", cursor: "#7cc8ea" },
      disableStdin: true,
      screenReaderMode: localStorage.getItem("kvmweb-serial-reader") === "yes",
      windowOptions: {},
    });
    this.fitter = new FitAddon();
    this.open();
    this.wire();
    this.link = new Link(root, "serial", {
      open: (socket) => this.connect(socket),
      status: (status) => this.show(status),
    });
    document.addEventListener("kvmweb:guest", (event) => this.heard(event.detail));
    this.link.connect();
  }

  open() {
    const terminal = this.terminal;
    terminal.loadAddon(this.fitter);
    // What a guest says is text: no links, no clipboard, no window titles or sizes.
    for (const number of [0, 1, 2, 7, 8, 9, 52, 777, 1337]) terminal.parser.registerOscHandler(number, () => true);
    terminal.open($("[data-target]", this.root));
    terminal.onData((text) => this.type(text));
    terminal.onSelectionChange(() => this.paint());
    terminal.attachCustomKeyEventHandler((event) => this.shortcut(event));
    new ResizeObserver(() => this.fitter.fit()).observe($("[data-target]", this.root));
    this.fitter.fit();
  }

  connect(socket) {
    socket.addEventListener("message", ({ data }) => {
      if (socket !== this.link.socket) return;
      if (typeof data === "string") this.told(JSON.parse(data));
      else this.write(new Uint8Array(data));
    });
  }

  told(message) {
    if (message.replay !== undefined) {
      this.terminal.reset();
      this.toReplay = message.replay;
      return;
    }
    const before = this.picture;
    this.picture = message;
    if (message.status === "connected") this.link.settled();
    else this.link.hold(message.status);
    if (before.writer !== message.writer) announce(this.who());
    this.paint();
  }

  /** Bytes of the guest. While old ones are replayed, the terminal's own answers to them are not sent again. */
  write(bytes) {
    if (!this.toReplay) {
      this.terminal.write(bytes);
      return;
    }
    this.toReplay = 0;
    this.replaying += 1;
    this.terminal.write(bytes, () => {
      this.replaying -= 1;
    });
  }

  type(text) {
    if (!this.picture.you || this.picture.status !== "connected" || this.replaying) return;
    this.sendBytes(encoder.encode(text));
  }

  sendBytes(bytes) {
    const socket = this.link.socket;
    if (socket?.readyState !== WebSocket.OPEN) return;
    for (let at = 0; at < bytes.length; at += MOST_PASTED) socket.send(bytes.subarray(at, at + MOST_PASTED));
  }

  wish(wish) {
    if (this.link.socket?.readyState === WebSocket.OPEN) this.link.socket.send(JSON.stringify(wish));
  }

  /** Ctrl+Shift+C copies; Ctrl+Shift+V is left to the browser, which pastes. */
  shortcut(event) {
    if (event.type !== "keydown" || !event.ctrlKey || !event.shiftKey || event.altKey) return true;
    if (event.code === "KeyC") {
      event.preventDefault();
      this.copy();
      return false;
    }
    return event.code !== "KeyV";
  }

  copy() {
    const text = this.terminal.getSelection();
    if (text) copy(text, $("[data-do=copy]", this.root));
  }

  async paste() {
    try {
      this.terminal.paste(await navigator.clipboard.readText());
      this.terminal.focus();
    } catch {
      toast(
        _("The browser does not allow reading the clipboard here. Click into the terminal and press Ctrl+Shift+V."),
        {
          kind: "warning",
        },
      );
    }
  }

  wire() {
    const on = (name, action) => $(`[data-do=${name}]`, this.root)?.addEventListener("click", action);
    on("take", () => {
      this.wish({ take: true });
      this.terminal.focus();
    });
    on("force", () => this.wish({ force: true }));
    on("copy", () => this.copy());
    on("paste", () => this.paste());
    on("clear", () => this.terminal.clear());
    on("size", () => this.tellSize());
    on("reader", () => this.toggleReader());
    on("full", () => this.toggleFull());
    on("window", () =>
      open(this.root.dataset.windowUrl, `serial-${this.root.dataset.uuid}`, "popup,width=900,height=620"),
    );
    onLeaveChord($("[data-stage]", this.root), () => {
      this.terminal.blur();
      $("[data-do=copy]", this.root).parentElement.querySelector("button:enabled")?.focus();
      announce(_("The keyboard is back on the page"));
    });
    document.addEventListener("fullscreenchange", () => this.paint());
  }

  /** A serial line has no window size of its own: the guest is told by typing a command. */
  tellSize() {
    this.sendBytes(encoder.encode(`stty rows ${this.terminal.rows} cols ${this.terminal.cols}\r`));
    this.terminal.focus();
  }

  toggleReader() {
    const on = !this.terminal.options.screenReaderMode;
    this.terminal.options.screenReaderMode = on;
    localStorage.setItem("kvmweb-serial-reader", on ? "yes" : "no");
    this.paint();
  }

  async toggleFull() {
    if (document.fullscreenElement) await document.exitFullscreen();
    else
      await this.root
        .requestFullscreen()
        .catch(() => toast(_("The browser did not allow full screen."), { kind: "warning" }));
  }

  /** The guest runs again: the server need not wait for its next try. */
  heard(message) {
    const mine = String(message.host) === this.root.dataset.host && message.uuid === this.root.dataset.uuid;
    if (mine && message.row?.state === "running" && this.picture.status !== "connected") this.wish({ retry: true });
  }

  show(status) {
    this.stage.show(status, this.link);
    if (status.name !== "open" && !this.link.socket)
      this.picture = { ...this.picture, you: false, writer: null, watchers: 0 };
    this.paint();
  }

  who() {
    const { status, writer, you, may_write: may } = this.picture;
    if (status !== "connected") return "";
    if (you) return _("You write.");
    if (writer) return _("%(name)s writes. You watch.", { name: writer });
    return may ? _("Nobody writes.") : _("Nobody writes. You may watch this line, not write on it.");
  }

  paint() {
    const { you, may_write: may, watchers, writer, status } = this.picture;
    const writes = you && status === "connected"; // what is typed before would be lost
    this.terminal.options.disableStdin = !writes;
    this.terminal.options.cursorBlink = writes;
    setText($("[data-who]", this.root), this.who());
    setText(
      $("[data-watchers]", this.root),
      watchers > 1 ? ngettext("%(n)s window is open on it", "%(n)s windows are open on it", watchers) : "",
    );
    const take = $("[data-do=take]", this.root);
    take.hidden = you || !may || !this.link?.socket;
    setText($("span", take), writer ? _("Take over") : _("Write"));
    $("[data-do=force]", this.root).hidden = status !== "taken" || !may || !this.link?.socket;
    $("[data-do=copy]", this.root).disabled = !this.terminal.hasSelection();
    $("[data-do=paste]", this.root).disabled = !writes;
    $("[data-do=size]", this.root).disabled = !you;
    $("[data-do=reader]", this.root).setAttribute(
      "aria-pressed",
      String(Boolean(this.terminal.options.screenReaderMode)),
    );
    $("[data-do=full]", this.root).setAttribute("aria-pressed", String(document.fullscreenElement === this.root));
    this.root.classList.toggle(
      "console-has-output",
      this.terminal.buffer.active.length > this.terminal.rows || this.terminal.buffer.active.cursorY > 0,
    );
  }
}

export default async function start(root) {
  try {
    const [{ Terminal }, { FitAddon }] = await load("xterm", "xterm-fit");
    return new Serial(root, { Terminal, FitAddon });
  } catch (error) {
    console.error("xterm", error);
    new Stage(root, () => location.reload()).show(
      { name: "ended", word: "library", ...explain("library", "serial") },
      {},
    );
    return null;
  }
}
