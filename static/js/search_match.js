// Whether a guest's live row fits a search: evaluates the tree that dashboard/guests/search.py makes, as the database does.
// true, false, or null where the row does not say it (its owner, its jobs): then the server must be asked.

const lower = (text) => text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());

const STATES = ["running", "paused", "shutoff", "saved", "crashed", "suspended"]; // dashboard/guests/words.FILTERS

/** The state under which the list files a guest. */
export function filedState(row) {
  const shown = row.state === "shutoff" && row.saved ? "saved" : row.state === "stopping" ? "running" : row.state;
  return STATES.includes(shown) ? shown : "unknown";
}

/** Whether a text consists of these parts with anything between them: ["db", ""] is db*. */
function alike(text, parts) {
  const given = lower(text);
  const [first, ...rest] = parts;
  if (!rest.length) return given === first;
  const last = rest.pop();
  if (given.length < first.length + last.length || !given.startsWith(first) || !given.endsWith(last)) return false;
  const inside = given.slice(first.length, given.length - last.length);
  let at = 0;
  for (const part of rest) {
    const found = inside.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return true;
}

const TEXTS = {
  name: (row) => [row.name],
  title: (row) => [row.title],
  host: (row) => [row.host_name],
  os: (row) => [row.os],
  tag: (row) => row.tags,
  ip: (row) => row.addresses,
  uuid: (row) => [row.uuid],
};

const NUMBERS = {
  mem: (row) => row.memory_kib,
  vcpus: (row) => row.vcpus,
  uptime: (row, now) => (row.since === null || row.since === undefined ? null : (now - row.since) / 1000),
};

const COMPARE = {
  ">": (one, other) => one > other,
  ">=": (one, other) => one >= other,
  "<": (one, other) => one < other,
  "<=": (one, other) => one <= other,
  "=": (one, other) => one === other,
};

const WORDS = {
  state: (row, word) => filedState(row) === word,
  autostart: (row, word) => row.autostart === word,
  agent: (row, word) => row.agent === word,
  display: (row, word) => row.display === word,
};

function leaf(node, row, now) {
  if ("like" in node) {
    const texts = TEXTS[node.f]?.(row);
    return texts === undefined || texts.includes(undefined) ? null : texts.some((text) => alike(text, node.like));
  }
  if ("cmp" in node) {
    const number = NUMBERS[node.f]?.(row, now);
    if (number === undefined) return null;
    return number !== null && node.cmp.every(([operator, bound]) => COMPARE[operator](number, bound));
  }
  return WORDS[node.f]?.(row, node.is) ?? null;
}

/** Whether a row fits a tree. */
export function fits(node, row, now = Date.now()) {
  if (node.all) return every(node.all.map((one) => fits(one, row, now)));
  if (node.any) return not(every(node.any.map((one) => not(fits(one, row, now)))));
  if (node.not) return not(fits(node.not, row, now));
  return leaf(node, row, now);
}

const not = (answer) => (answer === null ? null : !answer);

function every(answers) {
  if (answers.includes(false)) return false;
  return answers.includes(null) ? null : true;
}
