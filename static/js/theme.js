// Sets light or dark before the first paint; the only script that blocks. appearance.js changes it later.
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const stored = () => {
    try {
      return localStorage.getItem("kvmweb-theme");
    } catch {
      return null;
    }
  };
  const apply = () => {
    const choice = root.dataset.theme ?? stored() ?? "";
    root.dataset.bsTheme = choice || (dark.matches ? "dark" : "light");
  };
  apply();
  dark.addEventListener("change", apply);
  root.addEventListener("kvmweb:theme", apply);
})();
