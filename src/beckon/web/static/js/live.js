// Live regions: one stream for each tab says what changed; every region that shows it asks again for itself.
//
//   <body data-live="/console/live?topic=conversations">
//   <section id="thread" data-live-on="conversations contact:con_1" data-live-src="…">
//
// A region asks one question at a time and never more than one a second; what changed meanwhile is asked for afterwards, so
// that no answer is older than the one before it. What comes is put in with htmx's morph (the part of it with the region's
// id, if it has one), and not while somebody presses a button. Tabs that aren't seen wait until they are (stream.js).

import { released } from "./pressed.js";
import { listen } from "./stream.js";

const QUIET_MS = 120;
const BREATH_MS = 1_000;
/** After an answer that was none: the double each time, up to a minute. */
const RETRY_MS = 2_000;
const RETRY_MS_MAX = 60_000;

const changed = new Set();
let everything = false;
let timer = 0;

function concerns(region) {
  return everything || region.dataset.liveOn.split(/\s+/).some((topic) => topic === "*" || changed.has(topic));
}

function flush() {
  timer = 0;
  if (document.hidden) return;
  for (const region of document.querySelectorAll("[data-live-on]")) if (concerns(region)) askerOf(region).ask();
  document.dispatchEvent(new CustomEvent("beckon:live", { detail: { topics: [...changed], everything } }));
  changed.clear();
  everything = false;
}

function soon() {
  if (!timer) timer = setTimeout(flush, QUIET_MS);
}

const askers = new WeakMap();

function askerOf(region) {
  if (!askers.has(region)) askers.set(region, new Asker(region));
  return askers.get(region);
}

class Asker {
  constructor(region) {
    this.region = region;
    this.timer = 0;
    this.next = 0;
    this.failed = 0;
    this.again = false;
    this.question = null;
  }

  ask() {
    if (this.question) this.again = true;
    else if (!this.timer) this.timer = setTimeout(() => this.go(), Math.max(0, this.next - performance.now()));
  }

  // Another address: what is on its way is about the one before.
  turn(src) {
    this.region.dataset.liveSrc = src;
    this.question?.abort();
    clearTimeout(this.timer);
    this.timer = 0;
    return this.go();
  }

  async go() {
    this.timer = 0;
    this.again = false;
    const question = (this.question = new AbortController());
    this.next = performance.now() + BREATH_MS;
    try {
      const answer = await fetch(this.region.dataset.liveSrc, {
        headers: { "HX-Request": "true", Accept: "text/html" },
        signal: question.signal,
      });
      const elsewhere = answer.headers.get("HX-Redirect");
      if (elsewhere) return void location.assign(elsewhere);
      if (answer.status >= 500) throw new Error(`the server answered ${answer.status}`);
      const text = await answer.text();
      await released();
      if (this.question !== question) return;
      this.failed = 0;
      if (this.region.isConnected) put(this.region, text);
    } catch {
      if (this.question !== question) return;
      this.failed += 1;
      this.again = true;
      this.next = performance.now() + Math.min(RETRY_MS_MAX, RETRY_MS * 2 ** (this.failed - 1));
    } finally {
      if (this.question === question) {
        this.question = null;
        if (this.again && this.region.isConnected) this.ask();
      }
    }
  }
}

function put(region, text) {
  const select = region.id ? `#${CSS.escape(region.id)}` : null;
  // An answer without the region (it is gone, or not ours any more) leaves it as it was.
  if (select && !text.includes(`id="${region.id}"`)) return;
  if (window.htmx) {
    window.htmx.swap({ text, sourceElement: region, target: region, swap: "outerMorph", select });
    return;
  }
  const page = new DOMParser().parseFromString(text, "text/html");
  const found = (select && page.querySelector(select)) || page.body.firstElementChild;
  if (found) region.replaceChildren(...found.childNodes);
}

/** Show another address in a region, now; whatever it is asked later, it asks there. */
export function turn(region, src) {
  return askerOf(region).turn(src);
}

// What htmx asks by itself is put in when nothing is pressed, too.
document.addEventListener("htmx:before:request", ({ detail: { ctx } }) => {
  const plain = ctx.fetch;
  ctx.fetch = async (url, request) => {
    const answer = await plain(url, request);
    const text = await answer.text();
    await released();
    return { status: answer.status, ok: answer.ok, headers: answer.headers, text: async () => text };
  };
});

function show(state) {
  for (const dot of document.querySelectorAll(".live-dot")) {
    dot.dataset.liveState = state;
    dot.title = state === "on" ? "Live" : "Reconnecting …";
  }
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden && (everything || changed.size)) soon();
});

// A page out of the browser's back/forward store has missed what happened meanwhile.
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});

const url = document.body.dataset.live;
// What this page has seen already: what changed since then comes as one refresh.
const at = document.documentElement.dataset.liveAt;
if (url) {
  listen(at ? `${url}${url.includes("?") ? "&" : "?"}at=${encodeURIComponent(at)}` : url, {
    open: () => show("on"),
    error: () => show("off"),
    change: (event) => {
      changed.add(event.data);
      soon();
    },
    refresh: () => {
      everything = true;
      soon();
    },
    hello: () => {},
  });
}
