// Tells the server, at most once a minute, that somebody works here: whoever works on a screen for hours is not idle.

import { csrfToken } from "./net.js";

const PAUSE = 60_000;
let told = Date.now();

function tell() {
  if (!document.body.dataset.user || Date.now() - told < PAUSE) return;
  told = Date.now();
  fetch("/security/seen/", {
    method: "POST",
    credentials: "same-origin",
    headers: { Accept: "application/json", "X-CSRFToken": csrfToken() },
  }).catch(() => {
    // The next key or click tells it again.
  });
}

for (const kind of ["keydown", "pointerdown", "wheel"]) addEventListener(kind, tell, { capture: true, passive: true });
