// Starts every page: the parts all pages share, then the modules that elements ask for, then the live stream.

import "./alive.js";
import "./copy.js";
import "./freshness.js";
import "./keys.js";
import "./nav.js";
import "./operations.js";
import "./refresh.js";
import "./rows.js";
import "./tabs.js";
import "./tip.js";
import { $$ } from "./dom.js";
import { connect } from "./live.js";
import { prepareMenus } from "./menu.js";

const started = new WeakMap();

/** Starts data-module="one two" of an element and below: each module's default export is called with the element. */
export async function start(root = document) {
  prepareMenus(root);
  const elements = root.matches?.("[data-module]") ? [root, ...$$("[data-module]", root)] : $$("[data-module]", root);
  await Promise.all(elements.flatMap((element) => element.dataset.module.split(" ").map((name) => run(element, name))));
}

async function run(element, name) {
  const done = started.get(element) ?? new Set();
  if (!name || done.has(name)) return;
  started.set(element, done.add(name));
  try {
    const module = await import(`kvmweb/modules/${name}`);
    await module.default(element);
  } catch (error) {
    console.error(`module ${name}`, error);
  }
}

document.addEventListener("kvmweb:content", (event) => start(event.detail.element));

await start();
connect();
