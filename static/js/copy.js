// <button data-copy="text"> or data-copy-from="id" copies; without either, the <pre> or <code> beside it.

import { announce, setIcon } from "./dom.js";
import { _ } from "./i18n.js";
import { toast } from "./toast.js";

function source(button) {
  if (button.dataset.copy) return button.dataset.copy;
  if (button.dataset.copyFrom) return document.getElementById(button.dataset.copyFrom)?.textContent ?? "";
  return button.parentElement.querySelector("pre, code")?.textContent ?? "";
}

async function write(text, button) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // Plain http on another machine has no clipboard API.
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "visually-hidden";
  (button.closest("dialog") ?? document.body).append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  button.focus();
  if (!done) throw new Error("copy refused");
  return undefined;
}

/** Copies text and says so on the button. */
export async function copy(text, button) {
  try {
    await write(text, button);
  } catch {
    toast(_("The browser does not allow copying here. Select the text and press Ctrl+C."), { kind: "warning" });
    return;
  }
  const svg = button.querySelector("svg");
  setIcon(svg, "check");
  announce(_("Copied"));
  setTimeout(() => setIcon(svg, "copy"), 1500);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy], [data-copy-from]");
  if (button) copy(source(button), button);
});
