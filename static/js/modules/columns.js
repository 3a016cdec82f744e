// The dialog of columns: its lines move up and down; the form sends those that are ticked in their order.

import { announce } from "kvmweb/dom";
import { _ } from "kvmweb/i18n";

export default function columns(form) {
  form.addEventListener("click", (event) => {
    const button = event.target.closest("[data-move]");
    if (!button) return;
    const line = button.closest("li");
    const other = button.dataset.move === "-1" ? line.previousElementSibling : line.nextElementSibling;
    if (!other) return;
    if (button.dataset.move === "-1") other.before(line);
    else other.after(line);
    button.focus();
    const place = [...line.parentElement.children].indexOf(line) + 1;
    announce(_("%(name)s: place %(place)s", { name: line.innerText.trim(), place }));
  });
}
