// The service worker of our customers' pages: shows what was pushed to this browser, opens what is tapped.
// What comes is {title, body, tag, lang, url, image, actions: [{action, title, url}]} (providers/web_push/payloads.py).

// Where this browser says that its subscription changed: the page that asked for it leaves its address here.
const NOTES = "beckon-push";

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("push", (event) => {
  const said = read(event.data);
  // A push without a notification would cost the site its permission: whatever came, something is shown.
  event.waitUntil(
    self.registration.showNotification(said.title || self.location.hostname, {
      body: said.body ?? "",
      // The same message again takes the place of the first, without a second sound.
      tag: said.tag ?? "",
      lang: said.lang ?? "",
      image: web(said.image) || undefined,
      actions: list(said.actions).map(({ action, title }) => ({ action, title })),
      data: {
        url: web(said.url),
        actions: Object.fromEntries(list(said.actions).map(({ action, url }) => [action, web(url)])),
      },
    }),
  );
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  const { url = "", actions = {} } = event.notification.data ?? {};
  const wanted = actions[event.action] || url;
  if (wanted) event.waitUntil(self.clients.openWindow(wanted));
});

self.addEventListener("pushsubscriptionchange", (event) => event.waitUntil(changed(event)));

async function changed(event) {
  const known = await (await caches.open(NOTES)).match("/push/address");
  if (!known) return;
  const address = await known.text();
  const old = event.oldSubscription;
  const fresh = event.newSubscription ?? (old && (await self.registration.pushManager.subscribe(old.options)));
  if (fresh) await say("POST", address, fresh);
  if (old) await say("DELETE", address, old);
}

function say(method, address, subscription) {
  return fetch(address, {
    method,
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(subscription),
  });
}

function read(data) {
  try {
    const said = data?.json();
    return said && typeof said === "object" ? said : {};
  } catch {
    return {};
  }
}

function list(value) {
  return Array.isArray(value) ? value.filter((one) => one && typeof one === "object").slice(0, 4) : [];
}

function web(url) {
  return typeof url === "string" && /^https?:\/\//.test(url) ? url : "";
}
