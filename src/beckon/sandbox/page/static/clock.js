// The sandbox's clock: runs by itself between two looks, and is dragged forward by buttons or the slider.

const zone = document.body.dataset.zone;
const TIME = new Intl.DateTimeFormat("en-GB", { timeZone: zone, hour: "2-digit", minute: "2-digit" });
const DAY = new Intl.DateTimeFormat("en-GB", { timeZone: zone, weekday: "short", day: "numeric", month: "short" });

export class Clock {
  constructor(act) {
    this.act = act;
    this.ahead = Number(document.body.dataset.nowMs) - Date.now();
    this.slider = document.querySelector("#clock-slider");
    this.output = document.querySelector("#clock-ahead");
    this.slider.addEventListener("input", () => this.preview());
    this.slider.addEventListener("change", () => this.release());
    setInterval(() => this.tick(), 1_000);
    this.tick();
  }

  set(now_ms) {
    this.ahead = now_ms - Date.now();
    this.tick();
  }

  tick() {
    const now = new Date(Date.now() + this.ahead);
    document.querySelector("#clock-time").textContent = TIME.format(now);
    document.querySelector("#clock-day").textContent = DAY.format(now);
    document.querySelector("#handset-time").textContent = TIME.format(now);
  }

  preview() {
    const hours = Number(this.slider.value);
    this.output.textContent = !hours ? "" : hours % 24 || hours < 72 ? `+${hours} h` : `+${hours / 24} d`;
  }

  async release() {
    const hours = Number(this.slider.value);
    this.slider.value = 0;
    this.preview();
    if (hours) await this.drag(hours * 3_600_000).catch(() => {});
  }

  async drag(ms) {
    document.body.classList.remove("is-dragged");
    const said = await this.act("drag", { ms });
    this.set(said.now_ms);
    document.body.classList.add("is-dragged");
  }
}
