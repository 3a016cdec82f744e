// Short notices in the corner. Good news goes away by itself; errors stay until closed.

import { $, h, icon } from "./dom.js";
import { _ } from "./i18n.js";

const STAY_MS = 6000;
const ICONS = { success: "circle-check", error: "triangle-alert", warning: "triangle-alert", info: "info" };

/** Shows a notice: toast("Saved.", { kind: "success", link: { href, text } }). Returns a function that closes it. */
export function toast(message, { kind = "info", link = null } = {}) {
  const box = $("#toasts");
  const close = () => {
    clearTimeout(timer);
    notice.remove();
    if (!box.childElementCount && box.matches(":popover-open")) box.hidePopover();
  };
  const notice = h(
    "div",
    { class: `toast toast-${kind}`, role: kind === "error" ? "alert" : "status" },
    icon(ICONS[kind]),
    h("p", {}, message, link && " ", link && h("a", { href: link.href }, link.text)),
    h(
      "button",
      { class: "btn btn-ghost btn-icon btn-sm", type: "button", "aria-label": _("Close"), onclick: () => close() },
      icon("x"),
    ),
  );
  if (box.matches(":popover-open")) box.hidePopover();
  box.showPopover(); // again, so that it lies above a dialog opened since
  box.append(notice);
  let timer = 0;
  const start = () => {
    if (kind === "success" || kind === "info") timer = setTimeout(close, STAY_MS);
  };
  notice.addEventListener("mouseenter", () => clearTimeout(timer));
  notice.addEventListener("focusin", () => clearTimeout(timer));
  notice.addEventListener("mouseleave", start);
  start();
  return close;
}
