// Text of the page's language, from Django's catalogue (/jsi18n/). Placeholders are named: %(name)s.

const fill = (text, values) =>
  values ? text.replace(/%\((\w+)\)[sd]/g, (_all, key) => String(values[key] ?? "")) : text;

export const _ = (text, values) => fill(globalThis.gettext ? globalThis.gettext(text) : text, values);

export const ngettext = (one, many, count, values) =>
  fill(globalThis.ngettext ? globalThis.ngettext(one, many, count) : count === 1 ? one : many, {
    n: count,
    ...values,
  });
