// The demo's page: one stream says that something changed, one question gets all regions anew, and only what differs is
// put in its place. Acts are posted; their answers come back through the stream like everything else.

import { toast } from "../web/js/toast.js";
import { Handset } from "./handset.js";
import { Story } from "./story.js";
import { Clock } from "./clock.js";

const csrf = document.querySelector("meta[name=csrf]").content;
const shown = new Map();
const state = { visit: "", run: "", contact: "", last: null };
const waiters = new Set();

export const $ = (selector, root = document) => root.querySelector(selector);
export const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

async function act(name, fields = {}) {
  const answer = await fetch(`/sandbox/act/${name}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf },
    body: JSON.stringify({ visit: state.visit, ...fields }),
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

let asking = false;
let again = false;
let timer = 0;

function soon(after = 60) {
  clearTimeout(timer);
  timer = setTimeout(look, after);
}

async function look() {
  if (asking) {
    again = true;
    return;
  }
  asking = true;
  try {
    const { visit, run } = state;
    const query = new URLSearchParams({ visit, run });
    const answer = await fetch(`/sandbox/state?${query}`);
    if (answer.status === 403) {
      location.reload();
      return;
    }
    const seen = answer.ok ? await answer.json() : null;
    // Another visit was chosen while this answer was on its way: it is about the one before.
    if (seen && state.visit === visit && state.run === run) show(seen);
  } catch {
    // The server is gone: the stream comes back when it does, and asks again.
  } finally {
    asking = false;
    if (again) {
      again = false;
      soon(0);
    }
  }
}

function show(seen) {
  state.visit = seen.visit;
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

function pathTo(element) {
  for (const name of ["data-visit", "data-event", "data-has", "data-fault", "data-run", "data-tap"]) {
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

// The business system.

function answered(said) {
  const body = $("#sent-body");
  body.value = said.sent;
  body.scrollTop = 0;
  const badge = document.createElement("span");
  badge.className = "badge";
  const fine = said.status < 300;
  const twice = Boolean(said.body?.duplicate);
  badge.dataset.tone = !fine ? "bad" : twice ? "warn" : "good";
  badge.textContent = !fine ? `${said.status}: ${said.body?.detail ?? "refused"}` : twice ? `${said.status} · known before` : `${said.status} Accepted`;
  badge.title = JSON.stringify(said.body);
  $("#sent-answer").replaceChildren(badge);
  for (const id of ["#sent-send", "#sent-new-id"]) $(id).disabled = false;
}

async function send(event) {
  answered(await act("event", { event }));
}

// What a person does ends the story that plays itself; what the story does is not trusted in this sense.
for (const kind of ["click", "change"]) {
  document.addEventListener(kind, (event) => {
    if (event.isTrusted && event.target.closest?.("[data-visit], [data-event], [data-has], [data-tap], [data-fault], #sent")) {
      story.takenOver();
    }
  }, { capture: true });
}

document.addEventListener("click", async (event) => {
  const visit = event.target.closest("[data-visit]");
  if (visit) return choose(visit.dataset.visit);
  const button = event.target.closest("[data-event]");
  if (button) {
    button.classList.add("is-pressed");
    return send(button.dataset.event).catch(() => {});
  }
  const run = event.target.closest("[data-run]");
  if (run) {
    state.run = run.dataset.run;
    return look();
  }
  const drag = event.target.closest("[data-drag-ms]");
  if (drag) return clock.drag(Number(drag.dataset.dragMs));
  const part = event.target.closest("[data-show]");
  if (part) return panel(part.dataset.show);
});

function choose(visit) {
  state.visit = visit;
  state.run = "";
  handset.forget();
  return look();
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
    answered(await act("send", { body: $("#sent-body").value }));
  } catch {
    // The toast has said it.
  }
});

$("#sent-new-id").addEventListener("click", () => {
  const body = $("#sent-body");
  try {
    const written = JSON.parse(body.value);
    written.id = `evt_${crypto.randomUUID().replaceAll("-", "").slice(0, 20)}`;
    body.value = JSON.stringify(written, null, 2);
  } catch {
    toast("This is no JSON", "bad");
  }
});

$("#reset").addEventListener("click", async () => {
  story.stop();
  await act("reset");
  handset.forget();
  shown.clear();
  state.run = "";
  $("#sent-body").value = "";
  $("#sent-answer").replaceChildren();
  for (const id of ["#sent-send", "#sent-new-id"]) $(id).disabled = true;
  await choose("");
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
const handset = new Handset(act, () => state);
const story = new Story({ act, choose, handset, panel, until, state, send });

function listen() {
  const source = new EventSource("/sandbox/live");
  source.addEventListener("change", () => soon());
  source.addEventListener("refresh", () => soon());
  source.addEventListener("hello", () => soon(0));
  addEventListener("pagehide", () => source.close(), { once: true });
}

for (const region of $$("[data-region]")) if (region.dataset.scroll === "end") region.scrollTop = region.scrollHeight;
listen();
