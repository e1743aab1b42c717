// Says something for a moment: import { toast } from "../../web/js/toast.js". Also heard as the event `beckon:toast`,
// which a response can raise through htmx: HX-Trigger: {"beckon:toast": {"text": "Sent again", "tone": "good"}}.

const STAY_MS = 4_000;

function place() {
  let found = document.querySelector(".toasts");
  if (!found) {
    found = document.createElement("div");
    found.className = "toasts";
    found.setAttribute("aria-live", "polite");
    document.body.append(found);
  }
  return found;
}

export function toast(text, tone = "") {
  const shown = document.createElement("div");
  shown.className = "toast";
  if (tone) shown.dataset.tone = tone;
  shown.textContent = text;
  place().append(shown);
  setTimeout(() => shown.remove(), STAY_MS);
}

document.addEventListener("beckon:toast", (event) => toast(event.detail.text ?? "", event.detail.tone ?? ""));
