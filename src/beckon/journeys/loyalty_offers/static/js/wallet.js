// While a code is shown, the till may redeem it: then the page looks again. Everything works without this.

import { released } from "../../web/js/pressed.js";

const LOOK_MS = 4_000;
const FAILED_MAX = 30;

const voucher = document.querySelector("[data-watch]");
let failed = 0;

async function look() {
  if (!document.hidden) {
    try {
      const answer = await fetch(voucher.dataset.watch, { cache: "no-store" });
      if (!answer.ok) throw new Error(String(answer.status));
      failed = 0;
      if ((await answer.text()) !== voucher.dataset.state) {
        const url = new URL(location.href);
        url.searchParams.delete("said");
        await released();
        location.replace(url);
        return;
      }
    } catch {
      failed += 1;
    }
  }
  if (failed < FAILED_MAX) setTimeout(look, LOOK_MS * Math.min(1 + failed, 8));
}

if (voucher) setTimeout(look, LOOK_MS);

// A page out of the browser's back/forward store may show what was used meanwhile.
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});
