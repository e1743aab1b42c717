// Live regions: one stream for each tab says what changed; every region that shows it asks again for itself.
//
//   <body data-live="/console/live?topic=conversations">
//   <section data-live-on="conversations contact:con_1" hx-get="…" hx-trigger="live" hx-swap="outerMorph">
//
// A region hears the event `live` when one of its topics changed, and on every `refresh` (after a break). Without htmx a
// region with data-live-src is fetched and replaced by this module. Tabs that aren't seen wait until they are.

const QUIET_MS = 120;

const changed = new Set();
let everything = false;
let timer = 0;

function regions() {
  return document.querySelectorAll("[data-live-on]");
}

function concerns(region) {
  return everything || region.dataset.liveOn.split(/\s+/).some((topic) => topic === "*" || changed.has(topic));
}

function flush() {
  timer = 0;
  if (document.hidden) return;
  for (const region of regions()) {
    if (concerns(region)) {
      region.dispatchEvent(new CustomEvent("live", { bubbles: false }));
      if (!window.htmx && region.dataset.liveSrc) replace(region);
    }
  }
  document.dispatchEvent(new CustomEvent("beckon:live", { detail: { topics: [...changed], everything } }));
  changed.clear();
  everything = false;
}

async function replace(region) {
  const answer = await fetch(region.dataset.liveSrc, { headers: { "HX-Request": "true" } });
  if (answer.ok) region.innerHTML = await answer.text();
}

function soon() {
  if (!timer) timer = setTimeout(flush, QUIET_MS);
}

function show(state) {
  for (const dot of document.querySelectorAll(".live-dot")) {
    dot.dataset.liveState = state;
    dot.title = state === "on" ? "Live" : "Reconnecting …";
  }
}

function open(url) {
  const source = new EventSource(url);
  source.addEventListener("open", () => show("on"));
  source.addEventListener("error", () => {
    show("off");
    // The browser gives up after an answer that isn't a stream (signed out, too many tabs): try again, slowly.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => open(url), 10_000);
  });
  source.addEventListener("change", (event) => {
    changed.add(event.data);
    soon();
  });
  source.addEventListener("refresh", () => {
    everything = true;
    soon();
  });
  addEventListener("pagehide", () => source.close(), { once: true });
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
if (url) open(at ? `${url}${url.includes("?") ? "&" : "?"}at=${at}` : url);
