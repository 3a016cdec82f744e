// Questions in native <dialog>s: the page's own by id, or the one confirmation dialog filled with text.

import { $, setText } from "./dom.js";
import { _ } from "./i18n.js";

/** Opens a <dialog> with a <form method="dialog">; gives its FormData if it was closed with value "confirm", else null. */
export function ask(dialog) {
  return new Promise((resolve) => {
    const form = $("form", dialog);
    dialog.returnValue = "cancel";
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "confirm" ? new FormData(form) : null), {
      once: true,
    });
    dialog.showModal();
  });
}

/** Asks yes or no: what will be lost in `text`, the verb on the button in `yes`, a name to type in `name`. */
export async function confirm({ title, text, yes, name = "", danger = false }) {
  const dialog = $("#confirm-dialog");
  const button = $("[data-confirm-yes]", dialog);
  const box = $("[data-confirm-name-box]", dialog);
  const input = $("input", box);
  setText($("#confirm-title", dialog), title);
  setText($("#confirm-text", dialog), text);
  setText(button, yes || _("Continue"));
  setText($("[data-confirm-wanted]", dialog), name);
  button.classList.toggle("btn-danger", danger);
  button.classList.toggle("btn-primary", !danger);
  box.hidden = !name;
  input.value = "";
  const check = () => {
    button.disabled = Boolean(name) && input.value !== name;
  };
  input.oninput = check;
  check();
  const answer = ask(dialog);
  (name ? input : danger ? $("button[value=cancel]", dialog) : button).focus();
  return (await answer) !== null;
}

/** In the page: <button data-dialog="id"> opens, [data-dialog-close] closes, a click on the backdrop cancels. */
document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-dialog]");
  if (opener) document.getElementById(opener.dataset.dialog)?.showModal();
  event.target.closest("[data-dialog-close]")?.closest("dialog")?.close("cancel");
  if (event.target instanceof HTMLDialogElement && event.target.open) {
    const box = event.target.getBoundingClientRect();
    const inside =
      event.clientX >= box.left &&
      event.clientX <= box.right &&
      event.clientY >= box.top &&
      event.clientY <= box.bottom;
    if (!inside && event.detail) event.target.close("cancel");
  }
});
