// One console's connection, kept up: asks for a ticket, opens the socket, and comes back when that makes sense.

import { onMessage } from "../live.js";
import { postJSON } from "../net.js";
import { explain } from "./words.js";

const FIRST_WAIT_MS = 300;
const LONGEST_WAIT_MS = 15_000;
const SILENCE_MS = 30_000; // the gateway itself gives a host 10 s to connect and 10 s to greet

const isOff = (state) => state === "shutoff" || state === "saved";

/** What of a guest decides whether another try makes sense. */
const faceOf = (row) => `${isOff(row.state)} ${row.display} ${row.serial} ${row.host_status}`;

/**
 * The console of an element with data-host, data-uuid, data-state, data-display, data-serial, data-ticket-url. Calls back:
 * ready() before anything is asked, open(socket, viewOnly) at once with a socket still connecting, so that nothing it
 * says is missed, and status({ name, word, heading, text, next }).
 * Names: "connecting", "open", "ended".
 */
export class Link {
  constructor(element, kind, { ready = async () => {}, open, status }) {
    Object.assign(this, { element, kind, ready, open, status });
    const { host, uuid, state, ticketUrl, display, serial, hostStatus } = element.dataset;
    Object.assign(this, { host: Number(host), uuid, state, ticketUrl });
    this.face = faceOf({ state, display, serial: serial === "true", host_status: hostStatus });
    this.saved = element.dataset.saved === "true";
    this.socket = null;
    this.attempts = 0;
    this.timer = 0;
    this.round = 0;
    this.word = "";
    this.next = "";
    this.wantsViewOnly = false;
    onMessage("guest", (message) => this.heard(message));
    addEventListener("online", () => this.next === "retry" && this.connect());
    addEventListener("pagehide", () => this.close());
    addEventListener("pageshow", (event) => event.persisted && this.connect());
  }

  get off() {
    return isOff(this.state);
  }

  /** Connects now, whatever was planned. */
  async connect() {
    this.close();
    this.round += 1;
    const round = this.round;
    this.next = "connect";
    this.status({ name: "connecting", word: "" });
    let answer;
    try {
      await this.ready();
    } catch (error) {
      console.error("console", error);
      if (round === this.round) this.fail("library");
      return;
    }
    try {
      answer = await postJSON(this.ticketUrl, {
        host: this.host,
        uuid: this.uuid,
        kind: this.kind,
        view_only: this.wantsViewOnly,
      });
    } catch (error) {
      if (round === this.round) this.ended({ 401: "session", 403: "rights", 404: "gone" }[error.status] ?? "lost");
      return;
    }
    if (round !== this.round || !this.element.isConnected) return;
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}${answer.path}`, ["binary", `ticket.${answer.ticket}`]);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    socket.addEventListener("close", (event) => this.closed(socket, event));
    this.timer = setTimeout(() => this.fail("lost"), SILENCE_MS);
    this.open(socket, answer.view_only);
  }

  /** The console works: to be called when the first picture or byte is there. */
  settled() {
    clearTimeout(this.timer);
    this.attempts = 0;
    this.status({ name: "open", word: "" });
  }

  /** The socket is open, what lies behind it is not there: says why; the server goes on trying. */
  hold(word) {
    clearTimeout(this.timer);
    const { heading, text, next } = explain(word, this.kind);
    this.status({ name: word === "connecting" ? "connecting" : "ended", word, heading, text, next });
  }

  /** Ends it for a reason of the page's own ("library", "password", "protocol"). */
  fail(word) {
    this.close();
    this.ended(word);
  }

  close() {
    clearTimeout(this.timer);
    this.round += 1;
    const socket = this.socket;
    this.socket = null;
    if (socket && socket.readyState <= WebSocket.OPEN) socket.close();
  }

  closed(socket, event) {
    if (socket !== this.socket) return;
    this.socket = null;
    const said = event.code >= 4400 ? event.reason : "lost";
    // A ticket that came too late, or rights that shrank: a new ticket tells what is left.
    const again = said === "ticket" || (said === "rights" && this.word !== "rights");
    if (again) this.word = said;
    this.ended(again ? "lost" : said);
  }

  ended(said) {
    const word = said === "ended" && this.off ? "off" : said;
    const { heading, text, next } = explain(word, this.kind);
    this.next = next;
    this.status({ name: "ended", word, heading, text, next });
    clearTimeout(this.timer);
    if (next === "retry") {
      const most = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.attempts);
      this.attempts += 1;
      this.timer = setTimeout(() => this.connect(), most * (0.5 + Math.random() / 2));
    }
  }

  /** A change of this guest: it runs again, it was removed, its display is another one. */
  heard(message) {
    if (message.host !== this.host || message.uuid !== this.uuid) return;
    if (message.op === "gone") {
      this.state = "gone";
      if (!this.socket) this.ended("gone");
      return;
    }
    const face = faceOf(message.row);
    const changed = face !== this.face;
    this.face = face;
    this.state = message.row.state;
    this.saved = message.row.saved;
    if (this.socket || this.next === "stop" || this.next === "connect") return;
    if (this.off) this.ended("off");
    else if (changed) {
      this.attempts = 0;
      this.connect();
    }
  }
}
