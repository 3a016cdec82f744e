// What the guests' pages share: how a guest's own fields are written, its menu that is fetched when wanted, its dialogs.

import { $, $$, h, setText } from "./dom.js";
import { _ } from "./i18n.js";
import { openMenu } from "./menu.js";
import { RequestError } from "./net.js";
import { showError } from "./operations.js";
import { formatter, writeState } from "./rows.js";

const FRESH_MS = 4000;
const SHOWN_TAGS = 4;

let words = { reasons: {}, primary: {} };

/** Reads the page's words: reasons beside states, and the operation offered first in each state. */
export function readWords(id) {
  const element = document.getElementById(id);
  if (element) words = JSON.parse(element.textContent);
  return words;
}

/** The state under which a guest is shown: off with its memory kept is "saved". */
export const shownState = (row) => (row.state === "shutoff" && row.saved ? "saved" : row.state);

function reasonOf(row) {
  const key = (row.reason ?? "").toLowerCase().replace(/[^a-z0-9]/g, "");
  return words.reasons[row.state]?.[key] ?? "";
}

function writeAddresses(element, addresses) {
  const [first = "", ...more] = addresses ?? [];
  element.hidden = !first;
  setText($("[data-ip]", element), first);
  const button = $("[data-copy]", element);
  if (button) button.dataset.copy = first;
  setText($("[data-more]", element), more.join(" "));
}

function writeTags(element, tags) {
  const wanted = (tags ?? []).join("\n");
  if (element.dataset.value === wanted) return;
  element.dataset.value = wanted;
  const shown = (tags ?? []).slice(0, SHOWN_TAGS);
  const link = (tag) => h("a", { class: "g-tag", href: `/guests/?tag=${encodeURIComponent(tag)}` }, tag);
  const rest = (tags ?? []).length - shown.length;
  element.replaceChildren(...shown.map(link), ...(rest > 0 ? [h("span", { class: "g-tag" }, `+${rest}`)] : []));
}

formatter("guest_state", (element, _value, row) => writeState(element, shownState(row)));
formatter("shown", writeState);
formatter("guest_reason", (element, _value, row) => {
  element.dataset.reason = reasonOf(row);
  setText(element, element.dataset.busy || element.dataset.reason);
});
formatter("guest_addresses", writeAddresses);
formatter("guest_tags", writeTags);

/** Shows beside the state what is being done to the guest, or its reason again. */
export function showBusy(root, label) {
  for (const element of $$('[data-fmt="guest_reason"]', root)) {
    element.dataset.reason ??= element.textContent;
    element.dataset.busy = label ? `${label}…` : "";
    setText(element, element.dataset.busy || element.dataset.reason);
  }
}

async function fragment(url) {
  const response = await fetch(url, { credentials: "same-origin" });
  if (response.status === 404) throw new RequestError(_("This no longer exists, or you may not see it."), 404);
  if (!response.ok || response.redirected)
    throw new RequestError(
      _("The server could not do that (HTTP %(status)s).", { status: response.status }),
      response.status,
    );
  return new DOMParser().parseFromString(await response.text(), "text/html").body;
}

const panelOf = (button) => button.nextElementSibling;
const fresh = (panel) => panel.childElementCount && Date.now() - Number(panel.dataset.at ?? 0) < FRESH_MS;
const loading = new WeakMap();

/** Fetches the menu's entries; they carry the reason why they do not fit now. */
function load(button) {
  const panel = panelOf(button);
  if (!loading.has(panel)) {
    const done = fragment(button.dataset.guestMenu)
      .then((body) => {
        panel.replaceChildren(...body.childNodes);
        panel.dataset.at = String(Date.now());
      })
      .finally(() => loading.delete(panel));
    loading.set(panel, done);
  }
  return loading.get(panel);
}

/** What the menus say is old now: a state has changed. One that is open is fetched anew, and keeps its place. */
export function renewMenus(root) {
  for (const button of $$("[data-guest-menu]", root)) {
    const panel = panelOf(button);
    delete panel.dataset.at;
    if (!panel.matches(":popover-open")) continue;
    const name = document.activeElement?.dataset.name;
    load(button).then(() => name && $(`[data-name="${name}"]`, panel)?.focus(), showError);
  }
}

async function openFetched(button) {
  try {
    await load(button);
    // What held the button may have been fetched anew meanwhile: the menu opens at the button that is there now.
    if (button.isConnected) openMenu(button);
    else $(`[data-guest-menu="${CSS.escape(button.dataset.guestMenu)}"]`)?.click();
  } catch (error) {
    showError(error);
  }
}

async function openDialog(url) {
  try {
    const dialog = document.adoptNode($("dialog", await fragment(url)));
    document.body.append(dialog);
    dialog.addEventListener("close", () => dialog.remove());
    prepareDelete(dialog);
    // Not main.js's start(): whoever imports main.js from a module that main.js is starting waits for himself.
    document.dispatchEvent(new CustomEvent("kvmweb:content", { detail: { element: dialog } }));
    dialog.showModal();
    const first = $("[autofocus]", dialog);
    first?.focus();
    first?.select?.();
  } catch (error) {
    showError(error);
  }
}

/** Deleting: the button works once the name is typed, and each disk says whether it goes or stays. */
function prepareDelete(dialog) {
  const form = $("form[data-delete-name]", dialog);
  if (!form) return;
  const button = $("[data-go]", form);
  const name = form.elements.namedItem("name");
  const tell = () => {
    button.disabled = name.value.trim() !== form.dataset.deleteName.trim();
    for (const box of $$("[data-fate]:not(:disabled)", form)) {
      const line = box.closest("li");
      $("[data-stays]", line).hidden = box.checked;
      $("[data-goes]", line).hidden = !box.checked;
    }
  };
  form.addEventListener("input", tell);
  tell();
}

// Before the click reaches menu.js, the entries must be there.
document.addEventListener(
  "click",
  (event) => {
    const button = event.target.closest?.("[data-guest-menu]");
    if (
      button &&
      !panelOf(button).matches(":popover-open") &&
      !fresh(panelOf(button)) &&
      !panelOf(button).dataset.closing
    ) {
      event.stopPropagation();
      openFetched(button);
    }
  },
  { capture: true },
);
document.addEventListener(
  "keydown",
  (event) => {
    const button = event.target.closest?.("[data-guest-menu]");
    if (!button || !["ArrowDown", "ArrowUp"].includes(event.key) || fresh(panelOf(button))) return;
    event.preventDefault();
    event.stopPropagation();
    openFetched(button);
  },
  { capture: true },
);
document.addEventListener("pointerover", (event) => {
  const button = event.target.closest?.("[data-guest-menu]");
  if (button && !fresh(panelOf(button))) load(button).catch(() => {});
});
document.addEventListener("click", (event) => {
  const opener = event.target.closest?.("[data-guest-dialog]:not([aria-disabled=true])");
  if (opener) openDialog(opener.dataset.guestDialog);
});
