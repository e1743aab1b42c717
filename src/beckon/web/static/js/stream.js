// A page's stream of server-sent events, for as long as somebody sees the page: a browser keeps six connections to one
// server for all its tabs, and tabs in the background would take them from the one that is looked at.
//
//   listen("/console/live?topic=conversations", { change: (event) => …, refresh: () => … });
//
// What happened meanwhile is told when the page is seen again: it asks from the last mark that it heard.

/** A look at another tab and back costs no new connection. */
const HIDDEN_MS = 5_000;
/** The browser gives up after an answer that isn't a stream (signed out, too many tabs): try again, slowly. */
const RETRY_MS = 10_000;

export function listen(url, heard) {
  let source = null;
  let mark = "";
  let timer = 0;

  function open() {
    clearTimeout(timer);
    if (source) return;
    const address = new URL(url, location.href);
    if (mark) address.searchParams.set("at", mark);
    source = new EventSource(address);
    for (const [name, does] of Object.entries(heard)) {
      source.addEventListener(name, (event) => {
        mark = event.lastEventId || mark;
        does(event);
      });
    }
    source.addEventListener("error", () => {
      if (source?.readyState !== EventSource.CLOSED) return;
      close();
      if (!document.hidden) timer = setTimeout(open, RETRY_MS);
    });
  }

  function close() {
    clearTimeout(timer);
    source?.close();
    source = null;
  }

  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (document.hidden) timer = setTimeout(close, HIDDEN_MS);
    else open();
  });
  addEventListener("pagehide", close);
  if (!document.hidden) open();
}
