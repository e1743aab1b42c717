// Calls: two phones, the wire to the store's system, and how the courier's story goes.

import { $, $$, act, begin, handset } from "./demo.js";

const played = new Set();
const queue = [];
let playing = null;
let heard = "";

// What the caller's phone hears is heard here too, one after the other; a browser that may not play sound shows it only.
function next() {
  if (playing || !queue.length) return;
  const { id, url } = queue.shift();
  playing = new Audio(url);
  light(id);
  const over = () => {
    light("");
    playing = null;
    next();
  };
  playing.addEventListener("ended", over);
  playing.addEventListener("error", over);
  playing.play().catch(over);
}

// The line that is spoken now; the page may put it there anew meanwhile.
function light(id) {
  heard = id;
  for (const line of $$(".is-heard")) if (line.id !== id) line.classList.remove("is-heard");
  if (id) document.getElementById(id)?.classList.add("is-heard");
}

function silence() {
  light("");
  queue.length = 0;
  playing?.pause();
  playing = null;
}

let inCall = false;
let newest;
let above = 0;

// Whoever scrolled back stays there when the page is put there anew.
document.addEventListener("scroll", (event) => {
  if (event.target.matches?.(".said-lines")) above = event.target.scrollTop;
}, { capture: true, passive: true });

function shown() {
  const calls = Boolean($("[data-end]"));
  if (inCall && !calls) silence();
  inCall = calls;
  light(heard);
  const said = $('[data-region="app-calls"] > .said-lines');
  if (said && said.lastElementChild?.id !== newest) {
    newest = said.lastElementChild?.id;
    said.scrollTop = said.scrollHeight;
  } else if (said) said.scrollTop = above;
  for (const line of $$("[data-say]")) {
    if (played.has(line.id)) continue;
    played.add(line.id);
    if (calls) queue.push({ id: line.id, url: line.dataset.say });
  }
  next();
}

document.addEventListener("click", (event) => {
  const on = (selector) => event.target.closest(selector);
  const key = on("[data-key]");
  if (key) {
    silence();
    return act("key", { key: key.dataset.key }).catch(() => {});
  }
  if (on("[data-call]")) {
    handset.root.dataset.awake = "yes";
    return act("call").catch(() => {});
  }
  if (on("[data-end]")) return act("hang_up").catch(() => {});
  const lift = on("[data-lift]");
  if (lift) return act("lift", { number: lift.dataset.lift }).catch(() => {});
  const down = on("[data-down]");
  if (down) return act("put_down", { number: down.dataset.down }).catch(() => {});
});

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-fate]")) act("fate", { fate: event.target.value }).catch(() => {});
  if (event.target.matches("[data-wire]")) act("wire", { fault: event.target.value }).catch(() => {});
});

const says = (name, words) => (seen) => seen.regions[name].includes(words);

begin({
  about: "c1",
  newId: () => {},
  shown,
  steps: (story) => {
    const press = (selector) => story.press(selector, () => $(selector)?.click());
    const type = async (keys) => {
      for (const key of keys) {
        await act("key", { key });
        await story.pause(260);
      }
    };
    return [
      { where: "customer", words: "1 · Bo, a courier, calls the store instead of the customer.", does: async () => { handset.open("calls"); await press("[data-call]"); await story.done(1); } },
      { where: "business", words: "2 · The switch asks the store’s system what to do with this number. It knows him.", does: () => story.until(says("app-calls", "type the order number"), 30_000) },
      { where: "customer", words: "3 · He types the order’s number.", does: async () => { await type("4711#"); await story.done(3); } },
      { where: "business", words: "4 · Ann’s phone rings. It shows the store’s number, not Bo’s.", does: () => story.until(says("business", "data-lift"), 30_000) },
      { where: "business", words: "5 · She answers, and hears who calls before they are connected.", does: async () => { await press("[data-lift]"); await story.until(says("business", "A courier of the store"), 30_000); } },
      { where: "customer", words: "6 · They talk. Neither has learned the other’s number; the conversation is recorded.", does: () => story.until(says("app-calls", "See you in a minute"), 60_000), after: 3_500 },
      { where: "team", words: "7 · Afterwards the call stands in the conversation: each decision, its reason, and the recording. Now it is your turn: break the wire.", does: async () => { await act("hang_up"); await story.done(7); }, after: 5_000 },
    ];
  },
});
