// Requests to our own server: JSON with the CSRF token, and one kind of error for all that can go wrong.

import { _ } from "./i18n.js";

export class RequestError extends Error {
  constructor(message, status = 0, data = {}) {
    super(message);
    this.status = status;
    this.data = data;
  }
}

export function csrfToken() {
  const field = document.querySelector("input[name=csrfmiddlewaretoken]");
  if (field) return field.value;
  return document.cookie.match(/(?:^|; )(?:__Host-)?kvmweb-csrf=([^;]+)/)?.[1] ?? "";
}

function sentence(status, data) {
  if (data.error) return data.error;
  if (status === 401) return _("You have been signed out. Sign in again.");
  if (status === 403) return _("You may not do that.");
  if (status === 404) return _("This no longer exists, or you may not see it.");
  if (status === 429) return _("Too many requests. Wait a moment and try again.");
  return _("The server could not do that (HTTP %(status)s).", { status });
}

async function send(url, options) {
  let response;
  try {
    response = await fetch(url, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new RequestError(_("kvmweb does not answer. Check your connection and try again."));
  }
  const json = response.headers.get("Content-Type")?.includes("json");
  const data = json ? await response.json() : {};
  if (!response.ok) throw new RequestError(sentence(response.status, data), response.status, data);
  if (response.redirected && !json) throw new RequestError(sentence(401, {}), 401);
  return data;
}

export const getJSON = (url, options = {}) => send(url, { headers: { Accept: "application/json" }, ...options });

export const postJSON = (url, body = {}, headers = {}) =>
  send(url, {
    method: "POST",
    headers: {
      Accept: "application/json",
      "Content-Type": "application/json",
      "X-CSRFToken": csrfToken(),
      ...headers,
    },
    body: JSON.stringify(body),
  });

/** Posts a form's fields as a browser would; used where a view takes forms only. */
export const postForm = (url, fields) =>
  fetch(url, {
    method: "POST",
    credentials: "same-origin",
    headers: { "X-CSRFToken": csrfToken() },
    body: new URLSearchParams(fields),
  });
