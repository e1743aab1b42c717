// What is pressed stays where it is: a button that is replaced between the press and the release is never clicked.

// A touch's click follows its release by a moment.
const CLICK_MS = 60;

let pressed = false;
let release = 0;
let waiting = null;

function press() {
  clearTimeout(release);
  pressed = true;
}

function letGo() {
  pressed = false;
  const work = waiting;
  waiting = null;
  work?.();
}

function soon() {
  clearTimeout(release);
  if (pressed) release = setTimeout(letGo, CLICK_MS);
}

const space = (does) => (event) => event.key === " " && does();
for (const [kind, does] of [["pointerdown", press], ["pointerup", soon], ["pointercancel", soon], ["keydown", space(press)], ["keyup", space(soon)]]) {
  document.addEventListener(kind, does, { capture: true, passive: true });
}
addEventListener("blur", soon);

// At once, or as soon as nothing is pressed any more; the last work counts.
export function whenReleased(work) {
  if (pressed) waiting = work;
  else work();
}
