/* Copies an allow-list of the packages in node_modules to static/vendor, and builds the icon sprite.

   static/vendor/<name>/… is what templates and the import map name. Files keep their upstream names; lines that point
   to source maps go, because the maps are not shipped and collectstatic would look for them. The sprite
   (icons/sprite.svg) holds only the icons whose names stand in templates, scripts or Python code, so that using a new
   icon needs no list to be kept: write its name, run `make vendor`. Nothing is written that has not changed. */

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..");
const PACKAGES = join(ROOT, "node_modules");
const TARGET = join(ROOT, "static", "vendor");

/* [package, file or folder in it, place below static/vendor] */
const COPY = [
  ["bootstrap", "dist/css/bootstrap.min.css", "bootstrap/bootstrap.min.css"],
  ["bootstrap", "dist/js/bootstrap.bundle.min.js", "bootstrap/bootstrap.bundle.min.js"],
  ["bootstrap", "LICENSE", "bootstrap/LICENSE"],
  ["@novnc/novnc", "core", "novnc/core"],
  ["@novnc/novnc", "vendor", "novnc/vendor"],
  ["@novnc/novnc", "LICENSE.txt", "novnc/LICENSE.txt"],
  ["@xterm/xterm", "lib/xterm.mjs", "xterm/xterm.mjs"],
  ["@xterm/xterm", "css/xterm.css", "xterm/xterm.css"],
  ["@xterm/xterm", "LICENSE", "xterm/LICENSE"],
  ["@xterm/addon-fit", "lib/addon-fit.mjs", "xterm/addon-fit.mjs"],
  ["uplot", "dist/uPlot.esm.js", "uplot/uPlot.esm.js"],
  ["uplot", "dist/uPlot.min.css", "uplot/uPlot.min.css"],
  ["uplot", "LICENSE", "uplot/LICENSE"],
  ["htmx.org", "dist/htmx.min.js", "htmx/htmx.min.js"],
  ["htmx.org", "dist/htmx.esm.min.js", "htmx/htmx.esm.min.js"],
  ["htmx.org", "LICENSE", "htmx/LICENSE"],
  ["bootstrap-icons", "LICENSE", "icons/LICENSE"],
];

/* Bootstrap's ES build wants Popper as sixty modules; its bundle is one file but exports nothing. This joins the two. */
const BOOTSTRAP_MODULE = `import "./bootstrap.bundle.min.js";

export const {
  Alert, Button, Carousel, Collapse, Dropdown, Modal, Offcanvas, Popover, ScrollSpy, Tab, Toast, Tooltip,
} = globalThis.bootstrap;
`;

const SOURCE_MAP = /^[ \t]*(?:\/\/[#@]|\/\*[#@])[ \t]*sourceMappingURL=.*$\n?/gm;
const TEXT = /\.(?:m?js|css)$/;
const written = new Set();

function put(place, content) {
  const path = join(TARGET, place);
  written.add(path);
  const fresh = Buffer.from(content);
  if (existsSync(path) && readFileSync(path).equals(fresh)) return;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, fresh);
}

function files(folder, wanted = () => true) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return entry.name === "vendor" && folder.endsWith("static") ? [] : files(path, wanted);
    return wanted(path) ? [path] : [];
  });
}

function copy(from, place) {
  if (statSync(from).isDirectory()) {
    for (const path of files(from, (name) => TEXT.test(name) || /LICENSE/.test(name)))
      copy(path, join(place, relative(from, path)));
    return;
  }
  put(place, TEXT.test(from) ? readFileSync(from, "utf8").replace(SOURCE_MAP, "") : readFileSync(from));
}

function sprite() {
  const all = new Map(
    [
      ...readFileSync(join(PACKAGES, "bootstrap-icons", "bootstrap-icons.svg"), "utf8").matchAll(
        /<symbol[^>]*viewBox="([^"]+)"[^>]*id="([^"]+)"[^>]*>(.*?)<\/symbol>/gs,
      ),
    ].map(([, box, name, shape]) => [name, `<symbol id="${name}" viewBox="${box}">${shape}</symbol>`]),
  );
  const used = new Set();
  const sources = ["templates", "static", "dashboard"].flatMap((folder) =>
    files(join(ROOT, folder), (name) => /\.(?:html|svg|js|py)$/.test(name)),
  );
  for (const path of sources)
    for (const [, name] of readFileSync(path, "utf8").matchAll(/["'#`]([a-z0-9][a-z0-9-]*)["'`]/g))
      if (all.has(name)) used.add(name);
  const symbols = [...used].sort().map((name) => all.get(name));
  put("icons/sprite.svg", `<svg xmlns="http://www.w3.org/2000/svg">\n${symbols.join("\n")}\n</svg>\n`);
}

for (const [name, from, place] of COPY) {
  const path = join(PACKAGES, ...name.split("/"), from);
  if (!existsSync(path)) {
    console.error(`vendor: ${relative(ROOT, path)} is not there; run \`make setup\` first`);
    process.exit(1);
  }
  copy(path, place);
}
put("bootstrap/bootstrap.js", BOOTSTRAP_MODULE);
sprite();
for (const path of files(TARGET)) if (!written.has(path)) rmSync(path);
