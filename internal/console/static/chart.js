// A small picture of the last five minutes: live streams, and those of them that nobody
// is connected to.
import { count, el, mark, plural, setText } from "./dom.js";

const seconds = 300;
const height = 130, left = 34, bottom = 20, top = 8;

export class Chart {
  samples = []; // {at, live, orphaned}: so it is until the next one; live is undefined where nobody knows

  constructor(host) {
    this.svg = el("svg", { height, role: "img" });
    this.host = host;
    this.counts = [el("b"), el("b")];
    host.append(this.svg, el("ul", { class: "legend" },
      el("li", {}, mark("live"), "live streams: ", this.counts[0]), el("li", {}, mark("orphaned"), "of them orphaned, nobody is connected: ", this.counts[1])));
    new ResizeObserver(() => this.draw()).observe(host);
  }

  // add says how it is from now on.
  add(live, orphaned) {
    this.samples.push({ at: performance.now(), live, orphaned });
    this.draw();
  }

  // gap says that nobody knows from now on.
  gap() {
    if (this.samples.at(-1)?.live !== undefined) this.add();
  }

  draw() {
    const now = performance.now(), from = now - seconds * 1000;
    while (this.samples.length > 1 && this.samples[1].at <= from) this.samples.shift();
    const width = Math.max(200, this.host.clientWidth);
    const most = Math.max(...this.samples.map((s) => s.live ?? 0), 0);
    const ceiling = niceAbove(most);
    const right = width - 8, floor = height - bottom;
    const x = (at) => (right - ((now - Math.max(at, from)) * (right - left)) / (seconds * 1000)).toFixed(1);
    const y = (n) => (floor - (n * (floor - top)) / ceiling).toFixed(1);
    const parts = [];
    for (const n of [0, ceiling / 2, ceiling]) {
      parts.push(el("line", { x1: left, x2: right, y1: y(n), y2: y(n), class: "rule" }));
      if (Number.isInteger(n)) parts.push(el("text", { x: left - 6, y: Number(y(n)) + 4, "text-anchor": "end" }, String(n)));
    }
    for (const minutes of width < 500 ? [5, 3, 1] : [5, 4, 3, 2, 1]) {
      const at = right - (minutes * 60 * (right - left)) / seconds;
      parts.push(el("text", { x: at, y: height - 4, "text-anchor": minutes === 5 ? "start" : "middle" }, `−${minutes} min`));
    }
    parts.push(el("text", { x: right, y: height - 4, "text-anchor": "end" }, "now"));
    for (const name of ["live", "orphaned"]) {
      for (const run of this.runs(now)) {
        const line = run.map((s) => `V${y(s[name])}H${x(s.to)}`).join("");
        const start = x(run[0].at);
        parts.push(el("path", { d: `M${start} ${floor}${line}V${floor}Z`, class: `area fill-${name}` }));
        parts.push(el("path", { d: `M${start} ${y(run[0][name])}${line}`, class: `stroke-${name}` }));
      }
    }
    const last = this.samples.at(-1) ?? {};
    setText(this.counts[0], last.live === undefined ? "unknown" : count(last.live));
    setText(this.counts[1], last.live === undefined ? "unknown" : count(last.orphaned));
    this.svg.setAttribute("aria-label", last.live === undefined ? "Not connected." : `${plural(last.live, "live stream")} now, ${last.orphaned} of them orphaned; at most ${most} live in the last five minutes.`);
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.replaceChildren(...parts);
  }

  // runs are the times of which it is known, as steps.
  runs(now) {
    const all = [];
    let open = false;
    this.samples.forEach((s, i) => {
      if (s.live === undefined) return (open = false);
      if (!open) all.push([]);
      open = true;
      all.at(-1).push({ ...s, to: this.samples[i + 1]?.at ?? now });
    });
    return all;
  }
}

// niceAbove is what the scale goes to: a round number with a whole half.
const niceAbove = (n) => [2, 4, 10, 20, 40, 100, 200, 400, 1000, 2000, 4000, 10_000].find((c) => c >= n) ?? 2 * n;
