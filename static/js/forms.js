// Forms as JSON, and errors beside their fields.

import { $, $$, h } from "./dom.js";

function fieldValue(field) {
  if (field.type === "checkbox") return field.checked;
  const kind = field.dataset.type ?? (field.type === "number" ? "number" : "text");
  if (kind === "number") return field.value === "" ? null : Number(field.value);
  if (kind === "bool") return field.value === "true" || field.value === "on";
  if (kind === "json") return field.value ? JSON.parse(field.value) : null;
  if (kind === "list") return field.value.split(/[\s,]+/).filter(Boolean);
  return field.value;
}

/** The named fields of a form as an object. Checkboxes are true/false; several of one name with data-type="list" are
 * the list of the ticked values; numbers are numbers; data-type="json|list|bool|number"; empty data-optional is left out. */
export function values(form) {
  const data = {};
  for (const field of form.elements) {
    const own = !field.name || field.name === "csrfmiddlewaretoken" || field.disabled || field.type === "submit";
    if (own || (field.type === "radio" && !field.checked)) continue;
    if (field.type === "checkbox" && field.dataset.type === "list") {
      data[field.name] ??= [];
      if (field.checked) data[field.name].push(field.value);
    } else if (field instanceof HTMLSelectElement && field.multiple) {
      data[field.name] = [...field.selectedOptions].map((option) => option.value);
    } else {
      const value = fieldValue(field);
      if (field.dataset.optional !== undefined && (value === "" || value === null)) continue;
      data[field.name] = value;
    }
  }
  return data;
}

function fieldOf(form, name) {
  const found = form.elements.namedItem(name);
  return found instanceof RadioNodeList ? found[0] : found;
}

function boxFor(form, field, name) {
  const known = $(`[data-error-for="${CSS.escape(name)}"]`, form);
  if (known) return known;
  const box = h("p", { class: "field-error", "data-error-for": name });
  (field.closest(".field") ?? field.parentElement).append(box);
  return box;
}

/** Removes the errors of one field, or of all. */
export function clearErrors(form, name = null) {
  const boxes = name
    ? $$(`[data-error-for="${CSS.escape(name)}"]`, form)
    : $$("[data-error-for], [data-form-errors]", form);
  for (const box of boxes) box.replaceChildren();
  for (const field of form.elements) {
    if (name && field.name !== name) continue;
    field.removeAttribute("aria-invalid");
    field.classList.remove("is-invalid");
  }
}

/** Shows {"field": ["sentence"]}; what belongs to no field goes to [data-form-errors]. Gives the first field. */
export function showErrors(form, errors) {
  let first = null;
  const general = [];
  for (const [name, texts] of Object.entries(errors)) {
    const field = fieldOf(form, name);
    const list = [texts].flat();
    if (!field || field.type === "hidden") {
      general.push(...list);
      continue;
    }
    const box = boxFor(form, field, name);
    box.id ||= `error-${name}-${form.id || "form"}`;
    box.replaceChildren(...list.map((text) => h("span", {}, text)));
    field.setAttribute("aria-invalid", "true");
    const described = new Set((field.getAttribute("aria-describedby") ?? "").split(" ").filter(Boolean));
    field.setAttribute("aria-describedby", [...described.add(box.id)].join(" "));
    field.classList.add("is-invalid");
    first ??= field;
  }
  if (general.length) generalBox(form).replaceChildren(...general.map((text) => h("p", {}, text)));
  return first;
}

function generalBox(form) {
  const known = $("[data-form-errors]", form);
  if (known) return known;
  const box = h("div", { class: "callout callout-error", role: "alert", "data-form-errors": "" });
  form.prepend(box);
  return box;
}
