// Starts operations: buttons with data-operation, forms with data-operation-form. Asks first, posts, shows the job.

import * as dialog from "./dialog.js";
import { $ } from "./dom.js";
import { followJob, showJob } from "./drawer.js";
import { clearErrors, showErrors, values } from "./forms.js";
import { _ } from "./i18n.js";
import { postJSON, RequestError } from "./net.js";
import { toast } from "./toast.js";

/** Submits an operation; gives the job's row. `target` is { kind, key, host }. Throws RequestError. */
export async function submit(operation, target = {}, params = {}, { key = uuid(), quiet = false } = {}) {
  const body = { kind: target.kind ?? "none", key: target.key ?? "", params };
  if (target.host) body.host = Number(target.host);
  const { job } = await postJSON(`/operations/${operation}/`, body, { "Idempotency-Key": key });
  if (quiet) followJob(job, { quiet: true });
  else showJob(job);
  return job;
}

/** crypto.randomUUID needs https or localhost; getRandomValues does not. */
export function uuid() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Says what went wrong in a toast, with a link to the job that is in the way. */
export function showError(error) {
  if (!(error instanceof RequestError)) throw error;
  const { job, errors } = error.data;
  const lines = errors ? Object.values(errors).flat().join(" ") : error.message;
  toast(lines, { kind: "error", link: job?.url ? { href: job.url, text: _("Show that job") } : null });
}

const targetOf = (element) => ({
  kind: element.dataset.kind,
  key: element.dataset.key,
  host: element.dataset.host,
});

/** Asks what has to be asked. Gives the parameters to send, or null when the person said no. */
async function consent(button, params) {
  const { confirm: id, confirmText, confirmName, confirmTitle, confirmYes } = button.dataset;
  if (id) {
    const box = document.getElementById(id);
    const data = await dialog.ask(box);
    return data && { ...params, ...values($("form", box)) };
  }
  if (!confirmText && !confirmName) return params;
  const label = button.dataset.label || button.textContent.trim();
  const yes = await dialog.confirm({
    title: confirmTitle || label,
    text: confirmText || "",
    yes: confirmYes || label,
    name: confirmName,
    danger: "danger" in button.dataset || button.classList.contains("btn-danger"),
  });
  return yes ? params : null;
}

async function press(button) {
  if (button.getAttribute("aria-disabled") === "true" || button.getAttribute("aria-busy") === "true") return;
  const params = await consent(button, JSON.parse(button.dataset.params || "{}"));
  if (!params) return;
  button.setAttribute("aria-busy", "true");
  try {
    const job = await submit(button.dataset.operation, targetOf(button), params, { quiet: "quiet" in button.dataset });
    button.dispatchEvent(new CustomEvent("kvmweb:submitted", { bubbles: true, detail: job }));
    if (button.dataset.next) go(button.dataset.next, job);
  } catch (error) {
    showError(error);
  } finally {
    button.removeAttribute("aria-busy");
  }
}

function go(next, job) {
  location.assign(next === "job" ? job.url : next);
}

async function send(form, submitter) {
  if (form.getAttribute("aria-busy") === "true") return;
  clearErrors(form);
  const params = submitter ? await consent(submitter, values(form)) : values(form);
  if (!params) return;
  form.setAttribute("aria-busy", "true");
  // One key for one content: pressing twice makes one job, changing a field makes another.
  const content = JSON.stringify(params);
  if (form.dataset.keyFor !== content) {
    form.dataset.keyFor = content;
    form.dataset.key_ = uuid();
  }
  try {
    const quiet = "quiet" in form.dataset;
    const job = await submit(form.dataset.operationForm, targetOf(form), params, { key: form.dataset.key_, quiet });
    delete form.dataset.keyFor;
    form.closest("dialog")?.close("confirm");
    form.dispatchEvent(new CustomEvent("kvmweb:submitted", { bubbles: true, detail: job }));
    if (form.dataset.next) go(form.dataset.next, job);
  } catch (error) {
    // No answer says nothing about whether the job was made: the next try carries the same key.
    if (error.status && error.status < 500) delete form.dataset.keyFor;
    if (error instanceof RequestError && error.data.errors) showErrors(form, error.data.errors)?.focus();
    else showError(error);
  } finally {
    form.removeAttribute("aria-busy");
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-operation]");
  if (button) press(button);
});

document.addEventListener("submit", (event) => {
  const form = event.target.closest("form[data-operation-form]");
  if (!form) return;
  event.preventDefault();
  send(form, event.submitter);
});
