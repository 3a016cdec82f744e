// The side navigation on small screens: a sheet behind the menu button.

import { $ } from "./dom.js";

const button = $("#menu-button");
const nav = $("#sidenav");

function set(open) {
  button.setAttribute("aria-expanded", String(open));
  nav.classList.toggle("is-open", open);
  if (open) nav.querySelector("a, button")?.focus();
}

if (button && nav) {
  button.addEventListener("click", () => set(!nav.classList.contains("is-open")));
  document.addEventListener("keydown", (event) => {
    // A menu that is open in it takes the key first.
    if (event.key !== "Escape" || !nav.classList.contains("is-open") || $(".menu:popover-open", nav)) return;
    set(false);
    button.focus();
  });
  document.addEventListener("click", (event) => {
    if (!nav.classList.contains("is-open")) return;
    const inside = nav.contains(event.target) || button.contains(event.target) || event.target.closest(".menu");
    if (!inside) set(false);
  });
}
