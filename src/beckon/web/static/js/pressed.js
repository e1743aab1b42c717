// What is pressed stays where it is: a button that is replaced or moved between the press and the release is never clicked,
// or worse, is another one by then. What changes a page by itself waits for `released()`.

/** A touch's click follows its release, on a slow phone by a good moment. */
const CLICK_MS = 350;
/** A release that nobody tells us of: a menu of the browser's own, a finger that slid out of the window. */
const PRESS_MS_MAX = 60_000;

let pressed = false;
let timer = 0;
let waiting = [];

function press() {
  clearTimeout(timer);
  pressed = true;
  timer = setTimeout(letGo, PRESS_MS_MAX);
}

function letGo() {
  clearTimeout(timer);
  pressed = false;
  const works = waiting;
  waiting = [];
  for (const work of works) work();
}

function soon(after_ms) {
  if (!pressed) return;
  clearTimeout(timer);
  timer = setTimeout(letGo, after_ms);
}

// A mouse's click comes with its release, and a key's; a finger's comes by itself.
const up = (event) => soon(event.pointerType === "touch" ? CLICK_MS : 0);
const space = (does) => (event) => event.key === " " && does(event);
const heard = {
  pointerdown: (event) => event.button === 0 && press(),
  pointerup: up,
  pointercancel: () => soon(0),
  // The button went up where this page couldn't hear it.
  pointermove: (event) => event.pointerType === "mouse" && !event.buttons && soon(0),
  click: () => soon(0),
  contextmenu: () => soon(0),
  keydown: space(press),
  keyup: space(() => soon(0)),
};
for (const [kind, does] of Object.entries(heard)) document.addEventListener(kind, does, { capture: true, passive: true });
addEventListener("blur", () => soon(0));

/** Done at once, or as soon as nothing is pressed any more. */
export function released() {
  return pressed ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve();
}
