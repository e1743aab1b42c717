// <call-player src peaks seconds comments form label left right>: a recording with its waveform, two sides one above the other.
// Space plays, the arrows seek (with shift by a second), up and down change the speed, C comments. Without this file the
// browser's own player is shown.

const SPEEDS = [0.75, 1, 1.25, 1.5, 2];
const STEP_S = 5;
/** One bar of the waveform with the gap after it. */
const BAR_PX = 3;

const PLAY = "M8 5v14l11-7z";
const PAUSE = "M7 5h4v14H7zM13 5h4v14h-4z";

export const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

/** "1:23", "83" or "83.5" as seconds; NaN for anything else. */
export function moment(text) {
  const found = /^(?:(\d{1,3}):)?(\d{1,5}(?:\.\d+)?)$/.exec(text.trim());
  return found ? Number(found[1] || 0) * 60 + Number(found[2]) : NaN;
}

/** Places in thousandths of the width: rules of a sheet, since the page's policy allows no style on an element. */
const places = new CSSStyleSheet();
const placed = new Set();
document.adoptedStyleSheets.push(places);

function place(element, part) {
  const at = String(Math.round(Math.min(1, Math.max(0, part)) * 1000));
  if (!placed.has(at)) places.insertRule(`.player-mark[data-at="${at}"] { inset-inline-start: ${at / 10}%; }`);
  placed.add(at);
  element.dataset.at = at;
}

function make(name, attributes = {}, ...inside) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...inside);
  return element;
}

function shape(path) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const drawn = document.createElementNS("http://www.w3.org/2000/svg", "path");
  drawn.setAttribute("d", path);
  drawn.setAttribute("fill", "currentColor");
  svg.append(drawn);
  return svg;
}

class CallPlayer extends HTMLElement {
  #audio;
  #wave;
  #canvas;
  #time;
  #button;
  #said;
  #peaks = [];
  #length = 0;
  #ends = new AbortController();
  #frame = 0;
  #playing;

  connectedCallback() {
    if (this.#audio) return;
    const signal = this.#ends.signal;
    this.#length = Number(this.getAttribute("seconds")) || 0;
    this.#audio = this.querySelector("audio") ?? make("audio", { src: this.getAttribute("src"), preload: "none" });
    this.#audio.removeAttribute("controls");
    this.#audio.preservesPitch = true;
    this.#build();
    for (const name of ["play", "pause", "ended", "ratechange", "seeked", "timeupdate"])
      this.#audio.addEventListener(name, () => this.#show(), { signal });
    this.#audio.addEventListener("loadedmetadata", () => this.#learn(this.#audio.duration), { signal });
    this.#audio.addEventListener("error", () => this.#say("This recording can't be played just now."), { signal });
    this.addEventListener("keydown", (event) => this.#key(event), { signal });
    new ResizeObserver(() => this.#draw()).observe(this.#wave);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#draw(), { signal });
    this.#follow();
    this.#form();
    this.#load();
    this.#show();
  }

  disconnectedCallback() {
    this.#audio?.pause();
  }

  #build() {
    this.setAttribute("role", "group");
    this.setAttribute("aria-label", this.getAttribute("label") ?? "Recording");
    this.#canvas = make("canvas", { "aria-hidden": "true" });
    this.#wave = make("div", { class: "player-wave", role: "slider", tabindex: "0", "aria-label": "Position", "aria-valuemin": "0" }, this.#canvas);
    this.#button = make("button", { type: "button", class: "icon-button player-play" });
    const speed = make("select", { class: "select", "aria-label": "Speed", "data-size": "small" });
    for (const one of SPEEDS) speed.append(new Option(`${one} ×`, one, one === 1, one === 1));
    this.#time = make("span", { class: "player-time" });
    this.#said = make("p", { class: "player-said small", role: "status" });
    this.replaceChildren(this.#wave, make("div", { class: "player-bar" }, this.#button, this.#time, speed), this.#said, this.#audio);
    this.#button.addEventListener("click", () => this.toggle());
    speed.addEventListener("change", () => (this.#audio.playbackRate = Number(speed.value)));
    this.#audio.addEventListener("ratechange", () => (speed.value = String(this.#audio.playbackRate)));
    let held = false;
    this.#wave.addEventListener("pointerdown", (event) => {
      if (event.target.closest(".player-mark")) return;
      held = true;
      this.#wave.setPointerCapture(event.pointerId);
      this.#point(event);
    });
    this.#wave.addEventListener("pointermove", (event) => held && this.#point(event));
    for (const name of ["pointerup", "pointercancel"]) this.#wave.addEventListener(name, () => (held = false));
  }

  async #load() {
    try {
      const answer = await fetch(this.getAttribute("peaks"), { credentials: "same-origin" });
      if (!answer.ok) throw new Error(answer.status);
      const known = await answer.json();
      this.#peaks = known.channels;
      this.#learn(known.seconds);
      const sides = [this.getAttribute("left"), this.getAttribute("right")];
      if (this.#peaks.length === 2) for (const side of sides) if (side) this.#wave.append(make("span", { class: "player-side" }, side));
      this.dataset.ready = "";
    } catch {
      this.#say("The waveform can't be shown just now; the recording can be played all the same.");
    }
    this.#draw();
  }

  /** Play, or pause. */
  toggle() {
    if (this.#audio.paused) this.#audio.play().catch(() => this.#say("This recording can't be played just now."));
    else this.#audio.pause();
  }

  /** Go to a moment, in seconds. */
  seek(seconds) {
    this.#audio.currentTime = Math.min(Math.max(0, seconds), this.#length || seconds);
    this.#show();
  }

  get position() {
    return this.#audio.currentTime;
  }

  #learn(seconds) {
    if (Number.isFinite(seconds) && seconds > 0) this.#length = seconds;
    this.#marks();
    this.#show();
  }

  #point(event) {
    const box = this.#wave.getBoundingClientRect();
    this.seek(((event.clientX - box.left) / box.width) * this.#length);
  }

  #key(event) {
    if (event.target.matches("select, button") || event.ctrlKey || event.metaKey || event.altKey) return;
    const by = event.shiftKey ? 1 : STEP_S;
    const speed = SPEEDS.indexOf(this.#audio.playbackRate);
    const acts = {
      " ": () => this.toggle(),
      Enter: () => this.toggle(),
      ArrowRight: () => this.seek(this.position + by),
      ArrowLeft: () => this.seek(this.position - by),
      ArrowUp: () => (this.#audio.playbackRate = SPEEDS[Math.min(SPEEDS.length - 1, speed + 1)]),
      ArrowDown: () => (this.#audio.playbackRate = SPEEDS[Math.max(0, speed - 1)]),
      Home: () => this.seek(0),
      End: () => this.seek(this.#length),
      c: () => this.#write(),
    };
    const act = acts[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  #show() {
    const playing = !this.#audio.paused && !this.#audio.ended;
    if (playing !== this.#playing) {
      // Not at each frame: a finger that is down on the button must find it there when it is lifted.
      this.#playing = playing;
      this.#button.replaceChildren(shape(playing ? PAUSE : PLAY));
      this.#button.setAttribute("aria-label", playing ? "Pause" : "Play");
    }
    this.#time.textContent = `${clock(this.position)} / ${clock(this.#length)}`;
    this.#wave.setAttribute("aria-valuemax", String(Math.round(this.#length)));
    this.#wave.setAttribute("aria-valuenow", String(Math.round(this.position)));
    this.#wave.setAttribute("aria-valuetext", `${clock(this.position)} of ${clock(this.#length)}`);
    const field = this.#formOf()?.elements.moment;
    if (field && document.activeElement !== field && !field.form.elements.text.value) field.value = clock(this.position);
    this.#draw();
    cancelAnimationFrame(this.#frame);
    if (playing) this.#frame = requestAnimationFrame(() => this.#show());
  }

  #draw() {
    const { clientWidth: width, clientHeight: height } = this.#wave;
    if (!width || !height) return;
    const ratio = Math.min(3, devicePixelRatio || 1);
    if (this.#canvas.width !== Math.round(width * ratio)) this.#canvas.width = Math.round(width * ratio);
    if (this.#canvas.height !== Math.round(height * ratio)) this.#canvas.height = Math.round(height * ratio);
    const paper = this.#canvas.getContext("2d");
    const style = getComputedStyle(this);
    const colour = (name) => style.getPropertyValue(name).trim();
    paper.setTransform(ratio, 0, 0, ratio, 0, 0);
    paper.clearRect(0, 0, width, height);
    const at = this.#length ? this.position / this.#length : 0;
    const rows = this.#peaks.length || 1;
    const band = height / rows;
    const bars = Math.floor(width / BAR_PX);
    this.#peaks.forEach((columns, row) => {
      const middle = band * (row + 0.5);
      for (let bar = 0; bar < bars; bar++) {
        const first = Math.floor((bar / bars) * columns.length);
        const peak = Math.max(...columns.slice(first, Math.max(first + 1, Math.floor(((bar + 1) / bars) * columns.length))));
        const half = Math.max(0.5, (Math.sqrt(peak / 100) * band * 0.9) / 2);
        paper.fillStyle = bar / bars < at ? colour(row ? "--good" : "--accent") : colour("--line-strong");
        paper.fillRect(bar * BAR_PX, middle - half, BAR_PX - 1, half * 2);
      }
    });
    paper.fillStyle = colour("--text");
    paper.fillRect(Math.min(width - 1.5, at * width), 0, 1.5, height);
  }

  // Comments: the page's own list is the truth; marks on the waveform follow it.

  #follow() {
    const list = document.getElementById(this.getAttribute("comments"));
    if (!list) return;
    new MutationObserver(() => this.#marks()).observe(list, { childList: true, subtree: true });
    list.addEventListener("click", (event) => {
      const line = event.target.closest(".comment-at")?.closest("[data-moment]");
      if (line) this.seek(Number(line.dataset.moment));
    });
  }

  #marks() {
    const list = document.getElementById(this.getAttribute("comments"));
    for (const old of this.#wave.querySelectorAll(".player-mark")) old.remove();
    if (!list || !this.#length) return;
    for (const line of list.querySelectorAll("[data-moment]")) {
      const at = Number(line.dataset.moment);
      const text = line.querySelector(".comment-text")?.textContent ?? "";
      const mark = make("button", { type: "button", class: "player-mark", title: `${clock(at)} ${text}`, "aria-label": `Comment at ${clock(at)}: ${text}` });
      place(mark, at / this.#length);
      mark.addEventListener("click", () => this.seek(at));
      this.#wave.append(mark);
    }
  }

  #formOf() {
    return document.getElementById(this.getAttribute("form"));
  }

  #write() {
    const form = this.#formOf();
    if (!form) return;
    form.elements.moment.value = clock(this.position);
    form.elements.text.focus();
  }

  #form() {
    const form = this.#formOf();
    if (!form) return;
    const said = form.querySelector(".form-said");
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (Number.isNaN(moment(form.elements.moment.value))) {
        said.textContent = "A moment is written like 1:23.";
        return;
      }
      const button = form.querySelector("button");
      button.disabled = true;
      try {
        const answer = await fetch(form.action, {
          method: "POST",
          body: new URLSearchParams(new FormData(form)),
          headers: { "X-Requested-With": "call-player" },
        });
        if (answer.status !== 204) throw new Error(answer.status);
        said.textContent = "";
        this.#put(moment(form.elements.moment.value), form.elements.text.value);
        form.elements.text.value = "";
        form.elements.once.value = crypto.randomUUID?.() ?? String(Math.random()).slice(2);
        this.#wave.focus();
      } catch {
        said.textContent = "The comment was not kept. Please try again.";
      } finally {
        button.disabled = false;
      }
    });
  }

  /** Show a comment at once; the page's next look puts the server's own in its place. */
  #put(at, text) {
    const list = document.getElementById(this.getAttribute("comments"));
    const words = make("span", { class: "comment-text" }, text);
    list?.append(make("li", { "data-moment": String(at) }, make("span", { class: "mono tiny comment-at" }, clock(at)), make("span", {}, make("b", { class: "small" }, "You "), words)));
  }

  #say(text) {
    this.#said.textContent = text;
  }
}

// A wide script begins where the call does, not at its left edge.
for (const drawing of document.querySelectorAll(".drawing")) {
  const first = drawing.querySelector(".bf-pill text");
  if (!first) continue;
  const box = first.getBoundingClientRect();
  const shown = drawing.getBoundingClientRect();
  drawing.scrollLeft += box.left + box.width / 2 - (shown.left + shown.width / 2);
}

customElements.define("call-player", CallPlayer);
