// The list's search form: what is typed or chosen becomes the address and is fetched; a wrong search leaves the rows.

import { $, $$ } from "./dom.js";
import { showError } from "./operations.js";
import { refresh } from "./refresh.js";
import { quoted, unfinished } from "./search_words.js";

const TYPING_MS = 250;
const PARTS = ["guest-list", "search-error"];

const wrong = (page) => Boolean($("#search-error", page)?.dataset.wrong);

/** Fetches the list anew; a search that cannot be read brings its error and nothing else. */
export async function renew(url = location.href) {
  try {
    await refresh(PARTS, url, { leave: (fresh) => (wrong(fresh) ? ["guest-list"] : []) });
  } catch (error) {
    if (error.name !== "AbortError") showError(error);
  }
  $("[data-filters] [name=q]")?.setAttribute("aria-invalid", String(wrong(document)));
}

/** The search with another host in place of what it says of hosts. */
function onHost(text, name) {
  const rest = text.replace(/(^|\s)-?host:("(\\.|[^"\\])*"|[^\s",]|,)*/gi, "").trim();
  return name ? `${rest} host:${quoted(name)}`.trim() : rest;
}

/** Follows the form; the address says what is searched for, so that it can be kept and passed on. */
export function followSearch(form) {
  const box = form.elements.namedItem("q");
  let typing = 0;
  const search = () => {
    clearTimeout(typing);
    const fields = [...new FormData(form)].filter(([name, value]) => value && name !== "host");
    const query = new URLSearchParams(fields);
    const url = `${form.getAttribute("action")}${query.size ? `?${query}` : ""}`;
    if (url === location.pathname + location.search) return;
    history.replaceState(null, "", url);
    for (const field of $$("[data-back] [name=next]")) field.value = url;
    renew(url);
  };
  form.addEventListener("input", (event) => {
    clearTimeout(typing);
    if (event.target === box && !unfinished(box.value, box.selectionStart)) typing = setTimeout(search, TYPING_MS);
  });
  form.addEventListener("change", (event) => {
    if (!event.target.matches("[data-host-filter]")) return;
    const chosen = event.target.selectedOptions[0];
    box.value = onHost(box.value, chosen.value ? chosen.text : "");
    search();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    search();
  });
}
