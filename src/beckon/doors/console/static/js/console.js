// The console's few scripts: filters that apply by themselves, Ctrl+Enter, menus that close, a list's arrow keys.
// Every page works without them.

import { turn } from "../../web/js/live.js";

document.documentElement.dataset.script = "on";

let waiting = 0;

function apply(form) {
  const url = new URL(form.action || location.href, location.href);
  url.search = "";
  for (const [name, value] of new FormData(form)) if (value) url.searchParams.set(name, value);
  if (url.href === location.href) return;
  if (!window.htmx) {
    location.assign(url);
    return;
  }
  history.replaceState(history.state, "", url);
  turn(document.querySelector("#page"), url.pathname + url.search);
}

document.addEventListener("input", (event) => {
  const form = event.target.closest("form[data-auto]");
  if (!form) return;
  clearTimeout(waiting);
  waiting = setTimeout(() => apply(form), event.target.type === "search" ? 250 : 0);
});

document.addEventListener("submit", (event) => {
  if (!event.target.matches("form[data-auto]")) return;
  event.preventDefault();
  clearTimeout(waiting);
  apply(event.target);
});

// What is typed while the words before it are on their way stays in the box.
let typed = null;
document.addEventListener("htmx:before:swap", ({ detail: { ctx } }) => {
  const box = ctx.target?.id === "composer" && ctx.target.querySelector("#write-text");
  if (!box) return;
  const sent = String(ctx.request.body?.get?.("text") ?? "").replaceAll("\r\n", "\n");
  if (box.value === sent) return;
  const fine = ctx.response.status < 400;
  typed = fine && box.value.startsWith(sent) ? box.value.slice(sent.length).trimStart() : box.value;
});
document.addEventListener("htmx:after:swap", () => {
  const box = typed === null ? null : document.querySelector("#write-text");
  if (box) box.value = typed;
  typed = null;
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.matches("#write-text")) {
    event.preventDefault();
    event.target.form.requestSubmit(event.target.form.querySelector("[data-send]"));
  }
  if (event.key === "Escape") for (const menu of document.querySelectorAll("details.menu[open]")) menu.open = false;
  if (event.key === "ArrowDown" || event.key === "ArrowUp") along(event);
});

function along(event) {
  const list = event.target.closest?.(".threads");
  if (!list) return;
  const links = [...list.querySelectorAll("a")];
  const next = links[links.indexOf(event.target) + (event.key === "ArrowDown" ? 1 : -1)];
  if (!next) return;
  event.preventDefault();
  next.focus();
}

document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});
