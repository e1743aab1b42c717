// Keeps relative times true: <time datetime="…" data-ago>3 min ago</time>.

const UNITS = [
  [86_400_000, "day", "days"],
  [3_600_000, "h", "h"],
  [60_000, "min", "min"],
  [1_000, "s", "s"],
];

// The page's clock may be ahead of this machine's (a dragged one): <body data-now-ms="…"> says by how much.
const ahead = Number(document.body.dataset.nowMs || Date.now()) - Date.now();

function words(at) {
  const distance = Date.now() + ahead - at;
  const away = Math.abs(distance);
  if (away < 10_000) return "now";
  const [size, one, many] = UNITS.find(([unit]) => away >= unit);
  const count = Math.floor(away / size);
  const text = `${count} ${count === 1 ? one : many}`;
  return distance >= 0 ? `${text} ago` : `in ${text}`;
}

function tick() {
  for (const time of document.querySelectorAll("time[data-ago]")) {
    const text = words(Date.parse(time.dateTime));
    if (time.textContent !== text) time.textContent = text;
  }
}

setInterval(tick, 15_000);
