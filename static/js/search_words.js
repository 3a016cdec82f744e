// What the search box offers at a place in its text: keys, and behind a colon the values there are. No page in here.

const MOST = 12;
const QUOTE = /[\s,"<>=*\\]/;

const lower = (text) => text.toLowerCase();

/** A value as one types it: in quotes where it has signs that mean something. */
export const quoted = (value) =>
  value === "" || QUOTE.test(value) ? `"${value.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"` : value;

/** The condition around a place: where it starts, and from where its last value goes. */
export function around(text, caret) {
  let start = 0;
  let value = 0;
  let inside = false;
  for (let at = 0; at < caret; at += 1) {
    const sign = text[at];
    if (inside && sign === "\\") at += 1;
    else if (sign === '"') inside = !inside;
    else if (!inside && /\s/.test(sign)) start = value = at + 1;
    else if (!inside && sign === ",") value = at + 1;
  }
  const negative = text[start] === "-" ? 1 : 0;
  const [, key = ""] = text.slice(start + negative, caret).match(/^([A-Za-z]+):/) ?? [];
  if (key) value = Math.max(value, start + negative + key.length + 1);
  let end = caret;
  while (end < text.length && !/[\s,]/.test(text[end])) end += 1;
  return { start: start + negative, value: key ? value : start + negative, end, key: lower(key), open: inside };
}

/** Whether what is typed there wants more before it can be searched for: "mem:", an open quotation. */
export function unfinished(text, caret) {
  const place = around(text, caret);
  return place.open || (place.key !== "" && place.value === caret && caret === place.end);
}

function values(entry, typed) {
  const wanted = lower(typed.replace(/^(>=|<=|[<>=])?"?/, ""));
  const all = [...entry.values, ...entry.samples];
  const starting = all.filter((value) => lower(value).startsWith(wanted));
  const holding = all.filter((value) => !lower(value).startsWith(wanted) && lower(value).includes(wanted));
  return [...starting, ...holding];
}

/** What fits at the caret: { from, to, options: [{ text, label, insert }] }. `keys` as /guests/words.json tells them. */
export function suggest(keys, text, caret) {
  const place = around(text, caret);
  const typed = text.slice(place.value, caret);
  const entry = keys.find((one) => one.key === place.key);
  const range = { from: place.value, to: place.end };
  if (place.key) {
    const found = entry ? values(entry, typed) : [];
    const written = (value) => (entry.samples.includes(value) ? value : quoted(value));
    const options = found.map((value) => ({ text: value, label: "", insert: `${written(value)} ` }));
    return { ...range, options: options.slice(0, MOST) };
  }
  const wanted = lower(typed);
  const named = keys.filter((one) => one.key.startsWith(wanted));
  const options = named.map((one) => ({ text: `${one.key}:`, label: one.label, insert: `${one.key}:` }));
  if (wanted.length > 1) {
    for (const one of keys) {
      for (const value of one.values.filter((value) => lower(value).startsWith(wanted)).slice(0, 4))
        options.push({ text: `${one.key}:${value}`, label: one.label, insert: `${one.key}:${quoted(value)} ` });
    }
  }
  return { ...range, options: options.slice(0, keys.length) };
}
