// The check-in app is complete without this. It keeps what was typed while somebody types (so that a closed tab loses
// nothing), says that a form is on its way, and closes the language list.

const form = document.getElementById("step");

if (form) {
  let timer = 0;
  let leaving = false;

  const keep = () => {
    timer = 0;
    if (leaving) return;
    const body = new URLSearchParams(new FormData(form));
    body.set("go", "keep");
    body.set("written", Date.now());
    fetch(form.action, { method: "POST", body, keepalive: true }).catch(() => {});
  };

  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(keep, 800);
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden && timer) {
      clearTimeout(timer);
      keep();
    }
  });

  form.addEventListener("submit", (event) => {
    clearTimeout(timer);
    if (leaving) {
      event.preventDefault();
      return;
    }
    leaving = true;
    // What is being kept may arrive after this: it is older, and says so.
    const written = form.elements.written ?? document.createElement("input");
    Object.assign(written, { type: "hidden", name: "written", value: Date.now() });
    form.append(written);
    const button = event.submitter;
    button?.setAttribute("aria-busy", "true");
    const label = button?.querySelector("span");
    if (button?.dataset.sending && label) label.textContent = button.dataset.sending;
  });

  // Back from the next page: the form must be usable again.
  addEventListener("pageshow", () => {
    leaving = false;
    for (const button of form.querySelectorAll("[aria-busy]")) button.removeAttribute("aria-busy");
  });

  document.getElementById("wrong")?.focus({ preventScroll: true });
}

const menu = document.querySelector(".wvp-language");
if (menu) {
  document.addEventListener("click", (event) => {
    if (!menu.contains(event.target)) menu.open = false;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && menu.open) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });
}
