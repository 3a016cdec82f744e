// Rows of the list: one made from the page's template for a guest that appears, its place in the order, its one operation.

import { $, $$, setIcon, setText } from "./dom.js";
import { shownState } from "./guest_parts.js";
import { patch } from "./rows.js";

export const keyOf = (row) => `guest/${row.host}/${row.uuid}`;

export const nameOf = (element) => $('[data-f="name"]', element).textContent;

/** The one operation that a row offers, by its state. */
export function offer(element, row, words) {
  const button = $("[data-primary]", element);
  if (!button) return;
  const primary = words.primary[shownState(row)];
  button.hidden = !primary;
  if (!primary) return;
  button.dataset.operation = primary.operation;
  setIcon($("svg", button), primary.icon);
  setText($("span", button), primary.label);
  if (primary.confirm) button.dataset.confirmText = primary.confirm;
  else delete button.dataset.confirmText;
  button.toggleAttribute("data-danger", Boolean(primary.danger));
}

/** A new row (or card) for a guest, from the page's template. */
export function made(template, row, words) {
  const element = template.content.firstElementChild.cloneNode(true);
  element.dataset.row = keyOf(row);
  const place = `/guests/${row.uuid}/`;
  for (const link of $$("[data-guest-link]", element)) link.href = `${place}${link.dataset.guestLink}?host=${row.host}`;
  const menu = $("[data-guest-menu]", element);
  if (menu) menu.dataset.guestMenu = `${place}menu/?host=${row.host}`;
  const host = $("[data-host-name]", element);
  if (host) {
    if (host.hasAttribute("href")) host.href = `/hosts/${row.host}/`; // without: the person sees guests there, not the host
    setText(host, row.host_name);
  }
  const primary = $("[data-primary]", element);
  if (primary) Object.assign(primary.dataset, { key: row.uuid, host: String(row.host) });
  patch(element, row);
  element.dataset.shown = shownState(row);
  offer(element, row, words);
  element.classList.add("g-new");
  return element;
}

/** Puts a row where the page's order wants it; what orders by figures gets it at the end. */
export function place(body, element, sort) {
  const name = nameOf(element);
  const after = (one) => (sort === "-name" ? nameOf(one) < name : nameOf(one) > name);
  const next = sort === "name" || sort === "-name" ? [...body.children].find(after) : null;
  body.insertBefore(element, next ?? null);
}

/** Whether the names still stand in the page's order around a row. */
export function inOrder(element, sort) {
  if (sort !== "name" && sort !== "-name") return true;
  const names = [element.previousElementSibling, element, element.nextElementSibling].map((one) => one && nameOf(one));
  if (sort === "-name") names.reverse();
  const [before, name, after] = names;
  return (before === null || before <= name) && (after === null || name <= after);
}
