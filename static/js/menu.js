// Menus: <button data-menu="id"> (or data-menu="" for the next element) and a popover with role="menu".

import { $$ } from "./dom.js";

const GAP = 4;
const openers = new WeakMap();

function panelOf(button) {
  return button.dataset.menu ? document.getElementById(button.dataset.menu) : button.nextElementSibling;
}

function items(panel) {
  return $$("[role^=menuitem]", panel).filter((item) => item.offsetParent !== null);
}

function place(button, panel) {
  const from = button.getBoundingClientRect();
  const size = panel.getBoundingClientRect();
  const below = from.bottom + GAP + size.height <= innerHeight || from.top < size.height + GAP;
  const top = below ? from.bottom + GAP : from.top - GAP - size.height;
  const left = from.left + size.width <= innerWidth - GAP ? from.left : from.right - size.width;
  panel.style.top = `${Math.max(GAP, Math.min(top, innerHeight - size.height - GAP))}px`;
  panel.style.left = `${Math.max(GAP, left)}px`;
}

function prepare(panel) {
  if (openers.has(panel)) return;
  panel.addEventListener("toggle", (event) => {
    const button = openers.get(panel);
    button?.setAttribute("aria-expanded", String(event.newState === "open"));
  });
  panel.addEventListener("keydown", move);
  panel.addEventListener("click", (event) => {
    if (event.target.closest("[role^=menuitem]:not([aria-disabled=true])")) panel.hidePopover();
  });
}

function move(event) {
  const all = items(event.currentTarget);
  const at = all.indexOf(document.activeElement);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key];
  if (event.key === "Tab") event.currentTarget.hidePopover();
  if (to === undefined || !all.length) return;
  event.preventDefault();
  all[(to + all.length) % all.length].focus();
}

export function openMenu(button) {
  const panel = panelOf(button);
  if (!panel) return;
  prepare(panel);
  openers.set(panel, button);
  panel.showPopover();
  place(button, panel);
  items(panel)[0]?.focus({ preventScroll: true });
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-menu]");
  if (!button) return;
  const panel = panelOf(button);
  if (panel?.dataset.closing === "1") delete panel.dataset.closing;
  else if (panel?.matches(":popover-open")) panel.hidePopover();
  else openMenu(button);
});

// A press on the opener of an open menu closes it by light dismissal first; the click after it must not open it again.
document.addEventListener(
  "pointerdown",
  (event) => {
    const button = event.target.closest?.("[data-menu]");
    const panel = button && panelOf(button);
    if (panel?.matches(":popover-open")) panel.dataset.closing = "1";
    else if (panel) delete panel.dataset.closing;
  },
  { capture: true },
);

document.addEventListener("keydown", (event) => {
  const button = event.target.closest?.("[data-menu]");
  if (!button || !["ArrowDown", "ArrowUp"].includes(event.key)) return;
  event.preventDefault();
  openMenu(button);
});

/** Marks openers for screen readers; again for parts of the page that come later. */
export function prepareMenus(root = document) {
  for (const button of $$("[data-menu]", root)) {
    button.setAttribute("aria-haspopup", "menu");
    if (!button.hasAttribute("aria-expanded")) button.setAttribute("aria-expanded", "false");
  }
}

// The page moves below an open menu: it stays with its opener, and goes with it.
function follow(event) {
  for (const panel of $$(".menu:popover-open")) {
    if (event.target instanceof Node && panel.contains(event.target)) continue;
    const button = openers.get(panel);
    const from = button?.getBoundingClientRect();
    if (from && from.bottom > 0 && from.top < innerHeight) place(button, panel);
    else panel.hidePopover();
  }
}

addEventListener("scroll", follow, { passive: true, capture: true });
addEventListener("resize", follow);
