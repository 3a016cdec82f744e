// Tooltips: [data-tip], shown on hover and on keyboard focus, dismissed by Escape, described to screen readers.

import { h } from "./dom.js";

const GAP = 6;
const tip = h("div", { class: "tip", id: "tip", role: "tooltip", popover: "manual" });
let owner = null;
let timer = 0;

function show(element) {
  if (!element.isConnected || !element.dataset.tip) return;
  hide();
  owner = element;
  if (!tip.isConnected) document.body.append(tip);
  tip.textContent = element.dataset.tip;
  tip.showPopover();
  const from = element.getBoundingClientRect();
  const size = tip.getBoundingClientRect();
  const above = from.top >= size.height + GAP;
  tip.style.top = `${above ? from.top - size.height - GAP : from.bottom + GAP}px`;
  const left = from.left + from.width / 2 - size.width / 2;
  tip.style.left = `${Math.min(Math.max(GAP, left), innerWidth - size.width - GAP)}px`;
  element.setAttribute("aria-describedby", "tip");
}

function hide() {
  clearTimeout(timer);
  owner?.removeAttribute("aria-describedby");
  owner = null;
  if (tip.isConnected && tip.matches(":popover-open")) tip.hidePopover();
}

document.addEventListener("pointerover", (event) => {
  const element = event.target.closest?.("[data-tip]");
  if (element === owner || event.pointerType === "touch") return;
  hide();
  if (element) timer = setTimeout(() => show(element), 250);
});
document.addEventListener("focusin", (event) => {
  const element = event.target.closest?.("[data-tip]");
  if (element?.matches(":focus-visible")) show(element);
});
document.addEventListener("focusout", hide);
document.addEventListener("keydown", (event) => event.key === "Escape" && hide());
document.addEventListener("click", (event) => {
  const element = event.target.closest?.("[data-tip][aria-disabled=true]");
  if (element) show(element);
  else hide();
});
