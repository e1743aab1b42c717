// The demo's page, whatever its scene: one stream says that something changed, one question gets all regions anew, and
// only what differs is put in its place. Acts are posted; their answers come back through the stream like everything else.
// A scene's script calls `begin` with what is its own: how its story goes, and what a click in its part does.

import { released } from "../web/js/pressed.js";
import { listen } from "../web/js/stream.js";
import { toast } from "../web/js/toast.js";
import { Handset } from "./handset.js";
import { Story } from "./story.js";
import { Clock } from "./clock.js";

const csrf = document.querySelector("meta[name=csrf]").content;
const shown = new Map();
const scene = document.body.dataset.scene;
export const state = { who: "", run: "", contact: "", last: null };
const waiters = new Set();

export const $ = (selector, root = document) => root.querySelector(selector);
export const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

// One act after the other, in the order in which they were done: two requests side by side may overtake each other.
let acts = Promise.resolve();

export function act(name, fields = {}) {
  const { who } = state;
  const said = acts.then(() => post(name, { scene, who, ...fields }));
  acts = said.catch(() => {});
  return said;
}

async function post(name, fields) {
  const answer = await fetch(`/sandbox/act/${name}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf },
    body: JSON.stringify(fields),
  });
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    toast(said.detail || said.title || "That didn’t work", "bad");
    throw new Error(said.detail || `HTTP ${answer.status}`);
  }
  soon(0);
  return said;
}

// Looking: at most one question under way, and one more after it when something changed meanwhile.

const RETRY_MS = 3_000;

let asking = false;
let again = false;
let timer = 0;
let due = 0;
// Another customer, another run, a fresh day: an answer that was asked for before is about what was.
let turn = 0;

// The earliest moment counts: what changes without end is shown all the same.
function soon(after = 60) {
  const at = performance.now() + after;
  if (timer && due <= at) return;
  clearTimeout(timer);
  due = at;
  timer = setTimeout(look, after);
}

async function look() {
  clearTimeout(timer);
  timer = 0;
  if (asking) {
    again = true;
    return;
  }
  asking = true;
  try {
    const { who, run } = state;
    const asked = turn;
    const query = new URLSearchParams({ scene, who, run });
    const answer = await fetch(`/sandbox/state?${query}`);
    if (answer.status === 403) {
      location.reload();
      return;
    }
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    const seen = await answer.json();
    await released();
    if (turn === asked) show(seen);
  } catch {
    // The server is gone, or in trouble: what changed is to be seen all the same.
    soon(RETRY_MS);
  } finally {
    asking = false;
    if (again) {
      again = false;
      soon(0);
    }
  }
}

function show(seen) {
  state.who = seen.who;
  state.last = seen;
  for (const [name, html] of Object.entries(seen.regions)) put(name, html);
  if (state.contact !== seen.contact) team(seen.contact);
  $("#customer-name").textContent = seen.name;
  clock.set(seen.now_ms);
  handset.show(seen);
  for (const waiter of [...waiters]) waiter(seen);
}

function put(name, html) {
  if (shown.get(name) === html) return;
  const first = !shown.has(name);
  shown.set(name, html);
  const region = $(`[data-region="${name}"]`);
  // What the page came with isn't replaced by the same.
  if (!region || (first && region.innerHTML === written(html))) return;
  const focused = region.contains(document.activeElement) ? pathTo(document.activeElement) : null;
  const open = $$("details[open]", region).map((one) => one.dataset.mail || one.id);
  const known = new Set($$("[data-id]", region).map((one) => one.dataset.id));
  const drawing = $(".drawing", region);
  const at = drawing ? [drawing.scrollLeft, drawing.scrollTop] : null;
  region.innerHTML = html;
  for (const one of $$("details", region)) if (open.includes(one.dataset.mail || one.id)) one.open = true;
  if (!first) for (const one of $$("[data-id]", region)) if (!known.has(one.dataset.id)) one.classList.add("note-fresh");
  if (region.dataset.scroll === "end") region.scrollTop = region.scrollHeight;
  if (focused) $(focused, region)?.focus({ preventScroll: true });
  if (name === "flow") towardsNow($(".drawing", region), at);
}

function written(html) {
  const page = document.createElement("template");
  page.innerHTML = html;
  return page.innerHTML;
}

function pathTo(element) {
  for (const name of ["data-who", "data-event", "data-item", "data-use", "data-return", "data-has", "data-fault", "data-run", "data-tap"]) {
    const value = element.getAttribute(name);
    if (value) {
      const field = element.dataset.field ? `[data-field="${element.dataset.field}"]` : "";
      return `[${name}="${CSS.escape(value)}"]${field}`;
    }
  }
  return null;
}

// The diagram is taller than its card: what happens now stays in sight.
function towardsNow(drawing, at) {
  if (!drawing) return;
  if (at) drawing.scrollTo(at[0], at[1]);
  const now = $(".is-current", drawing) || $$(".is-taken[data-step]", drawing).at(-1);
  if (!now) return;
  const box = now.getBoundingClientRect();
  const frame = drawing.getBoundingClientRect();
  const smooth = at ? "smooth" : "auto";
  if (box.top < frame.top + 20 || box.bottom > frame.bottom - 20) {
    drawing.scrollBy({ top: box.top - frame.top - frame.height / 2 + box.height / 2, behavior: smooth });
  }
  if (box.left < frame.left + 10 || box.right > frame.right - 10) {
    drawing.scrollBy({ left: box.left - frame.left - frame.width / 2 + box.width / 2, behavior: smooth });
  }
}

function team(contact) {
  state.contact = contact;
  const frame = $("#team-frame");
  frame.hidden = !contact;
  $("#team-empty").hidden = Boolean(contact);
  frame.src = contact ? `/console/conversations/${contact}` : "about:blank";
}

// What was sent to the server last, and its answer: change it and send it again.

export function answered(said) {
  const body = $("#sent-body");
  body.value = said.sent;
  body.scrollTop = 0;
  const badge = document.createElement("span");
  badge.className = "badge";
  const fine = said.fine ?? said.status < 300;
  const twice = Boolean(said.body?.duplicate);
  badge.dataset.tone = !fine ? "bad" : twice ? "warn" : "good";
  badge.textContent = !fine ? `${said.status}: ${said.why ?? said.body?.detail ?? "refused"}` : twice ? `${said.status} · known before` : `${said.status} ${said.status === 202 ? "Accepted" : "OK"}`;
  badge.title = JSON.stringify(said.body);
  $("#sent-answer").replaceChildren(badge);
  for (const id of ["#sent-send", "#sent-new-id"]) $(id).disabled = false;
}

// What a person does ends the story that plays itself; what the story does is not trusted in this sense.
for (const kind of ["click", "change"]) {
  document.addEventListener(kind, (event) => {
    if (event.isTrusted && event.target.closest?.(".business button, .business form, .business select, .app button, [data-has], [data-fault]")) {
      story?.takenOver();
    }
  }, { capture: true });
}

document.addEventListener("click", async (event) => {
  const who = event.target.closest("[data-who]");
  if (who) return choose(who.dataset.who).catch(() => {});
  const run = event.target.closest("[data-run]");
  if (run) {
    state.run = run.dataset.run;
    turn += 1;
    return look();
  }
  const drag = event.target.closest("[data-drag-ms]");
  if (drag) return clock.drag(Number(drag.dataset.dragMs)).catch(() => {});
  const part = event.target.closest("[data-show]");
  if (part) return panel(part.dataset.show);
});

// Resolves when they are to be seen.
export function choose(who) {
  state.who = who;
  state.run = "";
  state.last = null;
  turn += 1;
  handset.forget();
  look();
  return until(() => true);
}

document.addEventListener("change", (event) => {
  const { has, fault, field } = event.target.dataset;
  if (has) {
    handset.forget();
    act("has", { channel: has, on: event.target.checked }).catch(() => {});
  }
  if (fault) act("fault", { provider: fault, field, value: event.target.value }).catch(() => {});
});

$("#sent").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    (own.told ?? answered)(await act("send", { body: $("#sent-body").value }));
  } catch {
    // The toast has said it.
  }
});

$("#sent-new-id").addEventListener("click", () => {
  const body = $("#sent-body");
  try {
    const written = JSON.parse(body.value);
    own.newId(written);
    body.value = JSON.stringify(written, null, 2);
  } catch {
    toast("This is no JSON", "bad");
  }
});

$("#reset").addEventListener("click", async () => {
  story.stop();
  try {
    await act("reset");
  } catch {
    return; // The toast has said it.
  }
  handset.forget();
  shown.clear();
  state.run = "";
  $("#sent-body").value = "";
  $("#sent-answer").replaceChildren();
  for (const id of ["#sent-send", "#sent-new-id"]) $(id).disabled = true;
  await choose("").catch(() => {});
});

// One part at a time on a phone.

export function panel(name) {
  document.body.dataset.panel = name;
  for (const one of $$(".dock > [data-show]")) {
    if (one.dataset.show === name) {
      one.setAttribute("aria-current", "true");
      $(".dock-dot", one).hidden = true;
    } else one.removeAttribute("aria-current");
  }
  scrollTo({ top: 0 });
  if (name === "customer") handset.looked();
}

let touched = null;
const order = $$(".dock > [data-show]").map((one) => one.dataset.show);
$("#stage").addEventListener("touchstart", (event) => {
  const inside = event.target.closest(".drawing, input, select, textarea, iframe, .app-body");
  touched = event.touches.length === 1 && !inside ? event.touches[0] : null;
}, { passive: true });
$("#stage").addEventListener("touchend", (event) => {
  if (!touched || !matchMedia("(max-width: 48rem)").matches) return;
  const moved = event.changedTouches[0];
  const across = moved.clientX - touched.clientX;
  if (Math.abs(across) < 70 || Math.abs(moved.clientY - touched.clientY) > 50) return;
  const next = order[order.indexOf(document.body.dataset.panel) + (across < 0 ? 1 : -1)];
  if (next) panel(next);
}, { passive: true });

// What the story needs: to wait until something is to be seen.

export function until(holds, patience_ms = 30_000) {
  return new Promise((resolve, reject) => {
    const giveUp = setTimeout(() => done(new Error("nothing happened")), patience_ms);
    function done(error) {
      clearTimeout(giveUp);
      waiters.delete(check);
      if (error) reject(error);
      else resolve();
    }
    function check(seen) {
      if (holds(seen)) done();
    }
    waiters.add(check);
    if (state.last && holds(state.last)) done();
  });
}

const clock = new Clock(act);
export const handset = new Handset(act, () => state);
let story;
let own;

// What is the scene's own: `steps(story)`, who the story is about, `newId(request)`, and what happens on `shown(seen)`.
export function begin(parts) {
  own = parts;
  story = new Story({ act, choose, clock, handset, panel, until, own });
  if (own.shown) waiters.add(own.shown);
  listen("/sandbox/live", { change: () => soon(), refresh: () => soon(), hello: () => soon(0) });
  // What is pressed before somebody listens would be lost.
  for (const part of $$("[data-until-begun]")) part.inert = false;
}

for (const region of $$("[data-region]")) if (region.dataset.scroll === "end") region.scrollTop = region.scrollHeight;
