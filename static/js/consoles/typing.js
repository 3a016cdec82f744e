// Text as keystrokes on a US keyboard: which key and shift make a character, and pressing them one after another.

const SHIFT = { keysym: 0xffe1, code: "ShiftLeft" };
const PLAIN = {
  "`": "Backquote",
  "-": "Minus",
  "=": "Equal",
  "[": "BracketLeft",
  "]": "BracketRight",
  "\\": "Backslash",
  ";": "Semicolon",
  "'": "Quote",
  ",": "Comma",
  ".": "Period",
  "/": "Slash",
  " ": "Space",
};
const SHIFTED = {
  "~": "Backquote",
  _: "Minus",
  "+": "Equal",
  "{": "BracketLeft",
  "}": "BracketRight",
  "|": "Backslash",
  ":": "Semicolon",
  '"': "Quote",
  "<": "Comma",
  ">": "Period",
  "?": "Slash",
  "!": "Digit1",
  "@": "Digit2",
  "#": "Digit3",
  $: "Digit4",
  "%": "Digit5",
  "^": "Digit6",
  "&": "Digit7",
  "*": "Digit8",
  "(": "Digit9",
  ")": "Digit0",
};
const CONTROL = { "\n": [0xff0d, "Enter"], "\t": [0xff09, "Tab"] };

/** The key for a character, or null where a US keyboard has none: { keysym, code, shift }. */
export function keyFor(character) {
  if (CONTROL[character]) return { keysym: CONTROL[character][0], code: CONTROL[character][1], shift: false };
  const keysym = character.codePointAt(0);
  if (/^[a-z]$/.test(character)) return { keysym, code: `Key${character.toUpperCase()}`, shift: false };
  if (/^[A-Z]$/.test(character)) return { keysym, code: `Key${character}`, shift: true };
  if (/^[0-9]$/.test(character)) return { keysym, code: `Digit${character}`, shift: false };
  if (Object.hasOwn(PLAIN, character)) return { keysym, code: PLAIN[character], shift: false };
  if (Object.hasOwn(SHIFTED, character)) return { keysym, code: SHIFTED[character], shift: true };
  return null;
}

/** What a text is as keys, and the different characters in it that cannot be typed. */
export function plan(text) {
  const keys = [];
  const missing = new Set();
  for (const character of text.replace(/\r\n?/g, "\n")) {
    const key = keyFor(character);
    if (key) keys.push(key);
    else missing.add(character);
  }
  return { keys, missing: [...missing] };
}

const pause = (ms, signal) =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener(
      "abort",
      () => {
        clearTimeout(timer);
        reject(new DOMException("typing stopped", "AbortError"));
      },
      { once: true },
    );
  });

/** Presses the keys through `send(keysym, code, down)`, `delay` ms apart; tells `progress(done)`. */
export async function type(keys, send, { delay, signal, progress }) {
  for (const [index, { keysym, code, shift }] of keys.entries()) {
    signal.throwIfAborted();
    if (shift) send(SHIFT.keysym, SHIFT.code, true);
    send(keysym, code, true);
    send(keysym, code, false);
    if (shift) send(SHIFT.keysym, SHIFT.code, false);
    progress(index + 1);
    await pause(delay, signal);
  }
}
