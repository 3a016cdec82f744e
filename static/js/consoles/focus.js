// The way out of a console that takes every key: Ctrl+Alt+Shift together gives the keyboard back to the page.

const CHORD = ["Control", "Alt", "Shift"];

/** Calls `leave()` when the chord is pressed inside `stage`, before the console sees its last key. */
export function onLeaveChord(stage, leave) {
  const held = new Set();
  stage.addEventListener(
    "keydown",
    (event) => {
      if (CHORD.includes(event.key)) held.add(event.key);
      const others = !CHORD.includes(event.key);
      if (
        others ||
        !(event.ctrlKey || held.has("Control")) ||
        !(event.altKey || held.has("Alt")) ||
        !(event.shiftKey || held.has("Shift"))
      )
        return;
      event.preventDefault();
      event.stopPropagation();
      held.clear();
      leave();
    },
    { capture: true },
  );
  stage.addEventListener("keyup", (event) => held.delete(event.key), { capture: true });
  stage.addEventListener("focusout", () => held.clear());
}
