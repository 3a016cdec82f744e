// Theme and language switches: at once in the page; kept in the person's preferences, or in the browser before sign-in.

import { $, $$, setIcon, setText } from "kvmweb/dom";
import { _ } from "kvmweb/i18n";
import { postForm } from "kvmweb/net";

const THEMES = ["", "light", "dark"];
const ICONS = { "": "sun-moon", light: "sun", dark: "moon" };
const root = document.documentElement;

const nameOf = (theme) => ({ "": _("As the system"), light: _("Light"), dark: _("Dark") })[theme];

function chosen() {
  if (root.dataset.theme !== undefined) return root.dataset.theme;
  try {
    return localStorage.getItem("kvmweb-theme") ?? "";
  } catch {
    return "";
  }
}

function show(element, theme) {
  const button = $("[data-theme-cycle]", element);
  setIcon($("svg", button), ICONS[theme]);
  setText($("[data-theme-name]", button), nameOf(theme));
}

function setTheme(theme) {
  root.dataset.theme = theme;
  try {
    if (theme) localStorage.setItem("kvmweb-theme", theme);
    else localStorage.removeItem("kvmweb-theme");
  } catch {
    // private windows may forbid it; the choice then lasts for this page
  }
  root.dispatchEvent(new CustomEvent("kvmweb:theme"));
  document.dispatchEvent(new CustomEvent("kvmweb:theme"));
}

export default function appearance(element) {
  const save = element.dataset.save;
  show(element, chosen());
  $("[data-theme-cycle]", element).addEventListener("click", () => {
    const theme = THEMES[(THEMES.indexOf(chosen()) + 1) % THEMES.length];
    setTheme(theme);
    show(element, theme);
    if (save) postForm(save, { theme });
  });
  for (const choice of $$("[data-language]", element)) {
    choice.addEventListener("click", async () => {
      const wanted = choice.dataset.language;
      if (save) await postForm(save, { language: wanted });
      // biome-ignore lint/suspicious/noDocumentCookie: the cookie store API needs https
      else document.cookie = `django_language=${wanted}; path=/; max-age=31536000; samesite=lax`;
      location.reload();
    });
  }
}
