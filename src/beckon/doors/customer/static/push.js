// <push-switch data-code="…" data-key="…">: switches notifications on this device on and off. Any page of ours may have it;
// data-code is a signed link's code, data-key our public key. Inside are a button[data-act] and a [data-when] for each state.

const NOTES = "beckon-push";
const WORKER = "/push/worker.js";

class PushSwitch extends HTMLElement {
  connectedCallback() {
    this.address = `/push/${this.dataset.code}`;
    this.addEventListener("click", (event) => {
      const act = event.target.closest("[data-act]")?.dataset.act;
      if (act === "on") this.turn(() => this.on());
      if (act === "off") this.turn(() => this.off());
    });
    this.turn(() => this.look());
  }

  // One act at a time; what it gives is the state that is shown.
  async turn(act) {
    if (this.hasAttribute("aria-busy")) return;
    this.setAttribute("aria-busy", "true");
    try {
      this.show(await act());
    } catch (error) {
      console.warn("notifications could not be switched", error);
      this.show("failed");
    } finally {
      this.removeAttribute("aria-busy");
    }
  }

  show(state) {
    this.dataset.state = state;
    for (const one of this.querySelectorAll("[data-when]")) one.hidden = !one.dataset.when.split(" ").includes(state);
  }

  async look() {
    if (!("serviceWorker" in navigator)) return "unsupported";
    // On an iPhone only a page that was put on the home screen may push.
    if (!("PushManager" in window)) return /iPhone|iPad/.test(navigator.userAgent) ? "install" : "unsupported";
    if (Notification.permission === "denied") return "denied";
    const registration = await navigator.serviceWorker.getRegistration("/push/");
    const subscription = await registration?.pushManager.getSubscription();
    if (!subscription || Notification.permission !== "granted") return "off";
    // Said again at every visit: it may have been forgotten, or belong to whoever used this device before.
    await this.say("POST", subscription);
    return "on";
  }

  async on() {
    if ((await Notification.requestPermission()) !== "granted") return "denied";
    await navigator.serviceWorker.register(WORKER, { scope: "/push/" });
    const registration = await ready();
    const key = bytes(this.dataset.key);
    let subscription = await registration.pushManager.getSubscription();
    if (subscription && !same(subscription.options.applicationServerKey, key)) {
      // Subscribed to a key that is ours no more.
      await subscription.unsubscribe();
      subscription = null;
    }
    subscription ??= await registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
    await this.say("POST", subscription);
    await (await caches.open(NOTES)).put("/push/address", new Response(this.address));
    return "on";
  }

  async off() {
    const registration = await navigator.serviceWorker.getRegistration("/push/");
    const subscription = await registration?.pushManager.getSubscription();
    if (subscription) {
      await this.say("DELETE", subscription);
      await subscription.unsubscribe();
    }
    return "off";
  }

  async say(method, subscription) {
    const answer = await fetch(this.address, {
      method,
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(subscription),
    });
    if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
  }
}

// `serviceWorker.ready` is about the page's own scope, and a page elsewhere on this site is in none of ours.
async function ready() {
  const registration = await navigator.serviceWorker.getRegistration("/push/");
  const worker = registration.installing ?? registration.waiting;
  if (registration.active || !worker) return registration;
  await new Promise((done, failed) => {
    worker.addEventListener("statechange", () => {
      if (worker.state === "activated") done();
      if (worker.state === "redundant") failed(new Error("the worker was not installed"));
    });
  });
  return registration;
}

function bytes(text) {
  const plain = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(plain, (letter) => letter.charCodeAt(0));
}

function same(buffer, key) {
  const other = new Uint8Array(buffer ?? new ArrayBuffer(0));
  return other.length === key.length && other.every((octet, place) => octet === key[place]);
}

customElements.define("push-switch", PushSwitch);
