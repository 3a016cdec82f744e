// The list as screens: asks every few seconds for the pictures of the cards that are in sight, and fetches those that changed.

import { $, $$ } from "kvmweb/dom";
import { getJSON } from "kvmweb/net";

const ASK_MS = 4000;
const SOON_MS = 1200;
const ON = ["running", "paused", "stopping", "suspended"];

class Screens {
  constructor(grid) {
    this.grid = grid;
    this.inSight = new Set();
    this.sight = new IntersectionObserver((entries) => this.seen(entries), { rootMargin: "120px" });
    this.follow();
    grid.closest("#guest-list").addEventListener("kvmweb:rows", () => this.follow());
    this.ask();
  }

  get cards() {
    return $$("[data-row]", this.grid);
  }

  follow() {
    this.sight.disconnect();
    this.inSight.clear();
    for (const card of this.cards) this.sight.observe(card);
  }

  seen(entries) {
    for (const { target, isIntersecting } of entries) this.inSight[isIntersecting ? "add" : "delete"](target);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.ask(), 50);
  }

  async ask() {
    clearTimeout(this.timer);
    if (!this.grid.isConnected) {
      this.sight.disconnect();
      return;
    }
    let again = ASK_MS;
    try {
      if (!document.hidden) again = await this.look();
    } catch (error) {
      if (error.status === 401) return;
      console.warn("screens", error.message);
    }
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.ask(), again);
  }

  async look() {
    for (const card of this.cards) if (!ON.includes(card.dataset.shown)) this.show(card, "");
    const wanted = [...this.inSight].filter((card) => card.isConnected && ON.includes(card.dataset.shown));
    if (!wanted.length) return ASK_MS;
    const keyOf = (card) => card.dataset.row.slice("guest/".length);
    const { shots } = await getJSON(`${this.grid.dataset.shots}?want=${wanted.map(keyOf).join(",")}`);
    for (const card of wanted) {
      const on = ON.includes(card.dataset.shown); // it may have gone off while the answer was on its way
      this.show(card, on ? (shots[keyOf(card)] ?? card.dataset.mark ?? "") : "");
    }
    // The first picture is worth asking for soon.
    return wanted.every((card) => shots[keyOf(card)]) ? ASK_MS : SOON_MS;
  }

  show(card, mark) {
    if ((card.dataset.mark ?? "") === mark) return;
    card.dataset.mark = mark;
    const image = $("[data-shot]", card);
    if (!mark || mark === "-") {
      image.hidden = true;
      return;
    }
    const [, host, uuid] = card.dataset.row.split("/");
    const next = new Image();
    next.onload = () => {
      if (card.dataset.mark !== mark) return;
      image.src = next.src;
      image.hidden = false;
    };
    next.src = `/guests/${uuid}/shot.webp?host=${host}&v=${mark}`;
  }
}

export default (grid) => new Screens(grid);
