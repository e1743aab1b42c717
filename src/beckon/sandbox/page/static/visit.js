// The service visit: what its buttons say to Beckon, and how its story goes.

import { act, answered, begin } from "./demo.js";

async function send(event) {
  answered(await act("event", { event }));
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-event]");
  if (!button) return;
  button.classList.add("is-pressed");
  send(button.dataset.event).catch(() => {});
});

// Anna types and taps, as anybody would.
async function fillIn(story) {
  await story.forward("a.button[data-kind=primary]");
  await story.forward("[name=go][value=next]");
  await story.type("[name=mileage]", "45 300");
  await story.forward("[name=go][value=next]");
  story.check("[name=wish][value=wash]");
  story.check("[name=wish][value=noise]");
  await story.type("[name=note]", "A rattle at the front, above 80 km/h.");
  await story.forward("[name=go][value=next]");
  story.check("[name=key_drop][value=box]");
  await story.forward("[name=go][value=next]");
  story.check("[name=terms]");
  story.check("[name=updates]");
  await story.forward("[name=go][value=next]");
  await story.forward("[name=go][value=next]");
}

begin({
  about: "v1",
  newId: (written) => (written.id = `evt_${crypto.randomUUID().replaceAll("-", "").slice(0, 20)}`),
  steps: (story) => [
    { where: "business", words: "A · The workshop’s system says checkin.start: one event, posted to Beckon.", does: () => story.press('[data-event="checkin"]', () => send("checkin")) },
    { where: "line", words: "B · The maker’s app is the first channel that can reach Anna. Each choice keeps its reason.", does: () => story.done(2) },
    { where: "customer", words: "C · Anna’s phone is notified.", does: () => story.done(3), after: 1_800 },
    { where: "customer", words: "D · She opens the message: the invitation, with its button.", does: async () => { story.handset.open("oem_app"); await story.done(4); } },
    { where: "customer", words: "E · The button opens the check-in app of the workshop.", does: () => story.tap(), after: 1_600 },
    { where: "customer", words: "F · Two minutes: contact, mileage, wishes, key, consent.", does: () => fillIn(story), after: 1_800 },
    { where: "team", words: "G · checkin.finished comes home: the results stand in the conversation.", does: () => story.done(7) },
    { where: "team", words: "H · The service advisors’ inbox is told. Now it is your turn: take the app away, or break a provider.", does: () => story.done(8), after: 5_000 },
  ],
});
