// The customer's phone: which app is open, what is new, the browser over it.

import { released } from "../web/js/pressed.js";

const STAYS_MS = 8_000;
const small = matchMedia("(max-width: 48rem)");

export class Handset {
  constructor(act, state) {
    this.act = act;
    this.state = state;
    this.root = document.querySelector("#handset");
    this.note = document.querySelector("#notification");
    this.browser = document.querySelector("#browser");
    this.frame = document.querySelector("#browser-frame");
    this.app = this.root.dataset.app;
    this.told = "";
    this.toldMs = 0;
    this.unseen = {};
    this.root.addEventListener("click", (event) => this.clicked(event));
    this.root.addEventListener("submit", (event) => this.wrote(event));
    this.frame.addEventListener("load", () => this.loaded());
    this.root.addEventListener("load", (event) => this.mailLoaded(event), true);
  }

  // Another customer, or the same with another set of apps: nothing was seen yet.
  forget() {
    this.told = "";
    this.toldMs = 0;
    this.close();
    this.note.hidden = true;
  }

  show(seen) {
    this.unseen = seen.unseen;
    for (const button of this.root.querySelectorAll("[data-open-app]")) {
      const app = button.dataset.openApp;
      const count = button.querySelector(".app-count");
      count.hidden = !seen.unseen[app];
      count.textContent = seen.unseen[app] ?? "";
      button.toggleAttribute("data-off", !seen.has.includes(app) && !button.hasAttribute("data-own"));
    }
    const news = seen.news;
    if (!news) {
      this.note.hidden = true;
      return;
    }
    if (this.looking(news.app)) {
      this.looked();
    } else if (news.id !== this.told && news.at_ms >= this.toldMs) {
      // An older one that was left unread is no news.
      this.told = news.id;
      this.toldMs = news.at_ms;
      this.notify(news);
    }
  }

  // Whether the customer is looking at this app at this moment.
  looking(app) {
    const here = !small.matches || document.body.dataset.panel === "customer";
    return here && this.awake && app === this.app && this.browser.hidden;
  }

  get awake() {
    // At first the phone lies on the table: the first message is a notification, whatever app was left open.
    return this.root.dataset.awake === "yes";
  }

  notify(news) {
    const icon = this.root.querySelector(`[data-open-app="${news.app}"] .app-icon`).cloneNode(true);
    icon.querySelector(".app-count")?.remove();
    const [title, when, text] = ["b", "small", "span"].map((name) => document.createElement(name));
    title.textContent = news.title;
    when.textContent = "now";
    text.textContent = news.text;
    this.note.replaceChildren(icon, title, when, text);
    this.note.dataset.app = "";
    this.note.dataset.opens = news.app;
    this.note.hidden = false;
    // On a phone that is in use it goes by itself; the count on the app stays.
    clearTimeout(this.fades);
    if (this.awake) this.fades = setTimeout(() => this.fade(news.id), STAYS_MS);
    const dot = document.querySelector('.dock [data-show="customer"] .dock-dot');
    if (document.body.dataset.panel !== "customer") dot.hidden = false;
  }

  // Not under the finger that is just about to tap it.
  async fade(id) {
    await released();
    if (this.told === id) this.note.hidden = true;
  }

  open(app) {
    this.app = app;
    this.root.dataset.app = app;
    this.root.dataset.awake = "yes";
    for (const one of this.root.querySelectorAll(".app")) one.hidden = one.dataset.app !== app;
    for (const button of this.root.querySelectorAll("[data-open-app]")) {
      if (button.dataset.openApp === app) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    }
    const body = this.root.querySelector(`.app[data-app="${app}"] .app-body`);
    if (body.dataset.scroll === "end") body.scrollTop = body.scrollHeight;
    this.note.hidden = true;
    this.looked();
  }

  looked() {
    if (this.unseen[this.app] && this.awake) {
      delete this.unseen[this.app];
      this.act("read", { channel: this.app }).catch(() => {});
    }
  }

  async clicked(event) {
    const opener = event.target.closest("[data-open-app]");
    if (opener) {
      this.close();
      return this.open(opener.dataset.openApp);
    }
    if (event.target.closest("#notification")) {
      this.close();
      return this.open(this.note.dataset.opens);
    }
    if (event.target.closest("#browser-close")) return this.close();
    const tapped = event.target.closest("[data-tap]");
    if (tapped) {
      const { tap, index, channel } = tapped.dataset;
      const said = await this.act("tap", { message: tap, index: Number(index), channel }).catch(() => ({}));
      if (said.url) this.visit(said.url);
      return;
    }
    const word = event.target.closest("[data-word]");
    if (word) return this.write(word.form.dataset.channel, word.dataset.word);
    const link = event.target.closest(".app a[href]");
    if (link) {
      event.preventDefault();
      this.visit(link.href);
    }
  }

  wrote(event) {
    const form = event.target.closest(".app-write");
    if (!form) return;
    event.preventDefault();
    const text = form.elements.text.value.trim();
    form.reset();
    if (text) this.write(form.dataset.channel, text);
  }

  write(channel, text) {
    this.root.dataset.awake = "yes";
    this.act("write", { channel, text }).catch(() => {});
  }

  // A link was tapped: the browser slides over the app.
  visit(url) {
    if (new URL(url, location.href).origin !== location.origin) {
      window.open(url, "_blank", "noopener");
      return;
    }
    this.browser.hidden = false;
    this.frame.src = url;
  }

  close() {
    if (this.browser.hidden) return;
    this.browser.hidden = true;
    this.frame.src = "about:blank";
    this.looked();
  }

  loaded() {
    const page = this.frame.contentDocument;
    const title = page?.title || "";
    document.querySelector("#browser-host").textContent = title.includes("·") ? title.split("·").at(-1).trim() : "check-in";
  }

  // A mail is a page of its own without scripts; its links open in the phone's browser.
  mailLoaded(event) {
    if (!event.target.matches?.(".mail iframe")) return;
    const page = event.target.contentDocument;
    if (!page) return;
    event.target.style.blockSize = `${Math.min(700, page.documentElement.scrollHeight)}px`;
    page.addEventListener("click", (click) => {
      const link = click.target.closest?.("a[href]");
      if (!link) return;
      click.preventDefault();
      this.visit(link.href);
    });
  }
}
