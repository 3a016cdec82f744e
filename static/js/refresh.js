// Fetches the page again and replaces parts of it by id: after a gap in the live stream, or when structure changed.

import { $$ } from "./dom.js";

let controller = null;

/** Replaces the elements with these ids by the server's fresh ones; [data-refresh] elements when none are named. */
export async function refresh(ids = null, url = location.href) {
  controller?.abort();
  controller = new AbortController();
  const response = await fetch(url, { credentials: "same-origin", signal: controller.signal });
  if (!response.ok) return false;
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  const names = ids ?? $$("[data-refresh][id]").map((element) => element.id);
  for (const id of names) {
    const old = document.getElementById(id);
    const next = fresh.getElementById(id);
    if (old && next) swap(old, document.adoptNode(next));
  }
  return true;
}

function swap(old, next) {
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  const again = focused?.id ? `#${CSS.escape(focused.id)}` : null;
  old.replaceWith(next);
  if (again) next.querySelector(again)?.focus({ preventScroll: true });
  document.dispatchEvent(new CustomEvent("kvmweb:content", { detail: { element: next } }));
}

document.addEventListener("kvmweb:resync", () => {
  if (document.querySelector("[data-refresh][id]"))
    refresh().catch((error) => {
      if (error.name !== "AbortError") console.warn("refresh", error);
    });
});
