// A story plays itself: each step has a caption, lights the part where it happens, and waits for what is to be seen.
// Its steps are the scene's: { where, words, does, before, after }.

import { toast } from "../web/js/toast.js";

const STEP_MS = 2_600;
const PATIENCE_MS = 60_000;
// ?pace=2 tells it half as fast, for a talk.
const PACE = Math.min(10, Math.max(0.05, Number(new URLSearchParams(location.search).get("pace")) || 1));

export class Story {
  constructor(parts) {
    Object.assign(this, parts);
    this.caption = document.querySelector("#caption");
    this.button = document.querySelector("#play");
    this.playing = 0;
    this.button.addEventListener("click", () => (this.playing ? this.stop() : this.play()));
  }

  // Somebody else acts: the page is theirs.
  takenOver() {
    if (!this.playing) return;
    this.stop();
    toast("The story stopped: it is your turn.", "");
  }

  stop() {
    this.playing = 0;
    this.caption.hidden = true;
    document.body.classList.remove("is-playing");
    for (const one of document.querySelectorAll(".is-lit")) one.classList.remove("is-lit");
    this.label("Play", true);
  }

  label(word, whole) {
    this.button.querySelector("b").textContent = word;
    this.button.querySelector(".play-rest").hidden = !whole;
  }

  async play() {
    const turn = (this.playing = Date.now());
    document.body.classList.add("is-playing");
    this.label("Stop", false);
    try {
      await this.act("reset");
      await this.own.before?.(this);
      this.handset.forget();
      this.handset.root.dataset.awake = "no";
      await this.choose(this.own.about);
      for (const step of this.own.steps(this)) {
        this.say(step.words, step.where);
        await this.pause(step.before ?? 900);
        await step.does();
        await this.pause(step.after ?? STEP_MS);
      }
      this.stop();
    } catch {
      // Stopped by a person, or the page is not as the story left it; a newer story goes on.
      if (this.playing === turn) this.takenOver();
    }
  }

  // How many of the story's steps are lit as done.
  done(count) {
    return this.until((seen) => (seen.regions.story.match(/data-state="done"/g) || []).length >= count);
  }

  drag(ms) {
    return this.clock.drag(ms);
  }

  say(words, where) {
    this.caption.textContent = words;
    this.caption.hidden = false;
    for (const one of document.querySelectorAll(".panel")) {
      one.classList.toggle("is-lit", one.dataset.panelName === where);
    }
    if (where && matchMedia("(max-width: 48rem)").matches) this.panel(where);
    else if (where) document.querySelector(`#${where}`)?.scrollIntoView({ block: "nearest", behavior: "smooth" });
  }

  // Rejects when this story was stopped meanwhile: whatever waited goes no further.
  pause(ms) {
    const turn = this.playing;
    return new Promise((resolve, reject) => {
      setTimeout(() => (turn && this.playing === turn ? resolve() : reject(new Error("stopped"))), ms * PACE);
    });
  }

  async press(selector, then) {
    document.querySelector(selector)?.classList.add("is-pressed");
    await this.pause(350);
    return then();
  }

  async tap() {
    // Asked for anew after the pause: the app may be another one by then.
    const button = () => [...document.querySelectorAll(".app:not([hidden]) [data-tap]")].at(-1);
    button()?.classList.add("is-pressed");
    await this.pause(350);
    const loaded = this.loaded();
    button()?.click();
    await loaded;
  }

  loaded() {
    return new Promise((resolve, reject) => {
      this.handset.frame.addEventListener("load", resolve, { once: true });
      setTimeout(() => reject(new Error("nothing came")), PATIENCE_MS);
    });
  }

  get page() {
    return this.handset.frame.contentDocument;
  }

  async forward(selector) {
    await this.pause(700);
    const button = this.page.querySelector(selector);
    button.scrollIntoView({ block: "end" });
    await this.pause(250);
    const loaded = this.loaded();
    button.click();
    await loaded;
  }

  check(selector) {
    const field = this.page.querySelector(selector);
    if (field && !field.checked) field.click();
  }

  async type(selector, words) {
    const field = this.page.querySelector(selector);
    field.value = "";
    for (const letter of words) {
      field.value += letter;
      await this.pause(28);
    }
  }
}
