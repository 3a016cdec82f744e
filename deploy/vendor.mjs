/* Copies an allow-list of the packages in node_modules to static/vendor, and builds the icon sprite.

   static/vendor/<name>/… is what templates and the import map name. Files keep their upstream names; lines that point
   to source maps go, because the maps are not shipped and collectstatic would look for them. The sprite
   (icons/sprite.svg) holds our own symbols (static/icons/own.svg) and those icons of Lucide whose names stand in
   templates, scripts or Python code, so that using a new icon needs no list to be kept: write its name, run
   `make vendor`. Nothing is written that has not changed. */

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..");
const PACKAGES = join(ROOT, "node_modules");
const TARGET = join(ROOT, "static", "vendor");

/* [package, file or folder in it, place below static/vendor] */
const COPY = [
  ["bootstrap", "dist/css/bootstrap.min.css", "bootstrap/bootstrap.min.css"],
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
  ["lucide-static", "LICENSE", "icons/LICENSE"],
];

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

const DRAWN = 'fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round"';

function symbol(name) {
  const drawing = readFileSync(join(PACKAGES, "lucide-static", "icons", `${name}.svg`), "utf8");
  const shapes = drawing.slice(drawing.indexOf(">", drawing.indexOf("<svg")) + 1, drawing.lastIndexOf("</svg>"));
  return `<symbol id="${name}" viewBox="0 0 24 24" ${DRAWN}>${shapes.replace(/\s+/g, " ").trim()}</symbol>`;
}

function sprite() {
  const all = new Set(
    readdirSync(join(PACKAGES, "lucide-static", "icons"))
      .filter((name) => name.endsWith(".svg"))
      .map((name) => name.slice(0, -4)),
  );
  const used = new Set();
  const sources = ["templates", "static", "dashboard"].flatMap((folder) =>
    files(join(ROOT, folder), (name) => /\.(?:html|js|py)$/.test(name)),
  );
  for (const path of sources)
    for (const [, name] of readFileSync(path, "utf8").matchAll(/["'#`}]([a-z0-9][a-z0-9-]*)["'`]/g))
      if (all.has(name)) used.add(name);
  const own = readFileSync(join(ROOT, "static", "icons", "own.svg"), "utf8").match(/<symbol[\s\S]*?<\/symbol>/g);
  const symbols = [...own, ...[...used].sort().map(symbol)];
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
sprite();
for (const path of files(TARGET)) if (!written.has(path)) rmSync(path);
