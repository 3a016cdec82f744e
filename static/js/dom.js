// Small helpers to build and find elements. Text is always text: nothing here takes HTML.

const SVG = "http://www.w3.org/2000/svg";

export const $ = (selector, root = document) => root.querySelector(selector);
export const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

/** An element: h("button", { class: "btn", type: "button", onclick: f }, "Text", child). */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const address = (name) => `${document.body.dataset.icons}#${name}`;

/** An icon of the sprite, as the template tag makes it. */
export function icon(name, size = 16) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("width", size);
  svg.setAttribute("height", size);
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", address(name));
  svg.append(use);
  return svg;
}

/** Shows another icon in an <svg class="icon"> that exists; does nothing when it is that already. */
export function setIcon(svg, name) {
  const use = svg?.querySelector("use");
  if (use && use.getAttribute("href") !== address(name)) use.setAttribute("href", address(name));
}

/** Writes text only when it differs, so that nothing is laid out or read aloud for nothing. */
export function setText(element, text) {
  const next = text === null || text === undefined ? "" : String(text);
  if (element && element.textContent !== next) element.textContent = next;
}

let pending = 0;

/** Says a sentence to screen readers, politely. */
export function announce(text) {
  const region = document.getElementById("announcer");
  if (!region) return;
  clearTimeout(pending);
  region.textContent = "";
  pending = setTimeout(() => {
    region.textContent = text;
  }, 60);
}
