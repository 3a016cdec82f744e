// The dialog that types a text into a guest: what cannot be typed, how far it is, and a way to stop.

import { $, setText } from "../dom.js";
import { _, ngettext } from "../i18n.js";
import { plan, type } from "./typing.js";

/** Opens the dialog of `root`; keys go through `send(keysym, code, down)`. */
export function pasteDialog(root, send) {
  const dialog = $("[data-paste-dialog]", root);
  if (!dialog.dataset.ready) prepare(dialog);
  dialog.send = send;
  dialog.showModal();
  $("textarea", dialog).focus();
}

function prepare(dialog) {
  dialog.dataset.ready = "1";
  const area = $("textarea", dialog);
  let running = null;
  area.addEventListener("input", () => describe(dialog, area.value));
  describe(dialog, area.value);
  $("[data-stop]", dialog).addEventListener("click", () => running?.abort());
  dialog.addEventListener("close", () => running?.abort());
  $("form", dialog).addEventListener("submit", async (event) => {
    if (event.submitter?.value === "cancel") return;
    event.preventDefault();
    if (running) return;
    running = new AbortController();
    const done = await run(dialog, plan(area.value).keys, running.signal);
    running = null;
    if (!done) return;
    area.value = "";
    describe(dialog, "");
    dialog.close("confirm");
  });
}

function describe(dialog, text) {
  const { keys, missing } = plan(text);
  setText($("[data-count]", dialog), ngettext("%(n)s key press", "%(n)s key presses", keys.length));
  const box = $("[data-missing]", dialog);
  box.hidden = !missing.length;
  setText(
    box,
    missing.length
      ? _("A US keyboard cannot type these, they are left out: %(characters)s", { characters: missing.join(" ") })
      : "",
  );
  $("button[value=confirm]", dialog).disabled = !keys.length;
}

async function run(dialog, keys, signal) {
  const bar = $("progress", dialog);
  const busy = (on) => {
    bar.hidden = !on;
    $("[data-stop]", dialog).hidden = !on;
    $("button[value=confirm]", dialog).disabled = on;
    $("textarea", dialog).readOnly = on;
  };
  bar.max = keys.length;
  bar.value = 0;
  busy(true);
  try {
    await type(keys, dialog.send, {
      delay: Number($("select", dialog).value),
      signal,
      progress: (done) => {
        bar.value = done;
      },
    });
    return true;
  } catch (error) {
    if (error.name !== "AbortError") throw error;
    return false;
  } finally {
    busy(false);
  }
}
