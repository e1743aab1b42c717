// Loyalty: the till, the shop's app, and how their story goes.

import { $, $$, act, answered, begin, handset } from "./demo.js";

const app = $('.app[data-app="offers"]');
const frame = $("#offers-frame");
let page = "";

async function say(name, fields) {
  const said = await act(name, fields);
  if (said.sent) told(said);
  return said;
}

function told(said) {
  answered(said);
  $("#sent-to").textContent = said.to;
  $("#sent-reply").value = said.reply;
}

// The app: campaigns are asked for by the app itself, the wallet is the server's own page.

function tab(name) {
  app.dataset.tab = name;
  for (const one of $$("[data-tab]", app)) one.setAttribute("aria-pressed", String(one.dataset.tab === name));
  $(".app-body", app).hidden = name === "wallet";
  frame.hidden = name !== "wallet";
}

// The page is opened anew when the wallet is another one: somebody else's, or with something more or less in it.
function shown() {
  const now = $("[data-page]", app);
  const explored = Boolean(now) && !$("[data-explore]", app);
  $(".app-tabs", app).hidden = !explored;
  if (!explored && app.dataset.tab === "wallet") tab("campaigns");
  const wanted = now ? `${now.dataset.page}#${now.dataset.mark}` : "";
  if (wanted === page) return;
  page = wanted;
  frame.src = now ? now.dataset.page : "about:blank";
}

document.addEventListener("click", (event) => {
  const on = (selector) => event.target.closest(selector);
  const item = on("[data-item]");
  if (item) return say("item", { ware: item.dataset.item, less: item.dataset.less === "yes" }).catch(() => {});
  const use = on("[data-use]");
  if (use) return say("use", { offer: use.dataset.use }).catch(() => {});
  if (on("[data-pay]")) return say("pay").catch(() => {});
  const back = on("[data-return]");
  if (back) return say("give_back", { ware: back.dataset.return }).catch(() => {});
  if (on("[data-explore]")) return say("explore").catch(() => {});
  const part = on("[data-tab]");
  if (part && part !== app) return tab(part.dataset.tab);
  const side = on("[data-side]");
  if (side) {
    for (const one of $$("[data-side]")) one.setAttribute("aria-pressed", String(one === side));
    $("#sent-body").hidden = side.dataset.side !== "body";
    $("#sent-reply").hidden = side.dataset.side !== "reply";
  }
});

$("#reset").addEventListener("click", () => {
  $("#sent-reply").value = "";
});

document.addEventListener("submit", (event) => {
  const form = event.target;
  const { join, scan, promo } = form.dataset;
  if (join === undefined && scan === undefined && promo === undefined) return;
  event.preventDefault();
  if (join !== undefined) {
    handset.root.dataset.awake = "yes";
    return say("join", { consent: form.elements.consent.checked }).catch(() => {});
  }
  const code = form.elements.code.value.trim();
  form.reset();
  if (code) say(scan === undefined ? "code" : "scan", { code }).catch(() => {});
});

begin({
  about: "m1",
  before: async (story) => story.clock.set((await act("morning")).now_ms),
  newId: (written) => (written.request_id = `req_${crypto.randomUUID().replaceAll("-", "").slice(0, 20)}`),
  told,
  shown,
  steps: (story) => {
    const press = (selector) => story.press(selector, () => $(selector)?.click());
    return [
      { where: "customer", words: "1 · Amanda signs up for the Fancy Fries programme in the app.", does: async () => { handset.open("offers"); await story.until(() => $(".join")); await story.pause(700); await press(".join button"); await story.done(1); } },
      { where: "customer", words: "2 · She receives the welcome email.", does: async () => { await story.done(2); handset.open("email"); } },
      { where: "customer", words: "3 · She looks at the campaigns and offers that are there for her.", does: async () => { handset.open("offers"); await story.pause(500); await press("[data-explore]"); await story.done(3); } },
      { where: "business", words: "4 · She buys two kinds of fries for $18, pulled pork and curly. That completes a campaign.", does: async () => { await press('[data-item="pulled-pork-fries"]:not([data-less])'); await story.pause(500); await press('[data-item="curly-fries"]:not([data-less])'); await story.until((seen) => seen.regions.business.includes("$18.00")); await story.pause(500); await press("[data-pay]"); await story.done(4); } },
      { where: "customer", words: "5 · The offer is in her wallet.", does: async () => { await story.done(5); handset.open("offers"); tab("wallet"); } },
      { where: "customer", words: "6 · Her phone is notified of the offer.", does: async () => { await story.done(6); handset.open("web_push"); } },
      { where: "customer", words: "7 · Ten days later: the offer is about to expire, and she is told, once. Now it is your turn: use it at the till, or take consent away.", does: async () => { await story.drag(10 * 24 * 3_600_000); await story.done(7); handset.open("web_push"); }, after: 5_000 },
    ];
  },
});
