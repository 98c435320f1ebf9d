// A small picture of the last five minutes: live streams, and those of them that nobody
// is connected to.
import { el, plural } from "./dom.js";

const seconds = 300;
const height = 130, left = 34, bottom = 20, top = 8;

export class Chart {
  samples = []; // {live, orphaned}, a second apart

  constructor(host) {
    this.svg = el("svg", { height, role: "img" });
    const mark = (name) => el("svg", { viewBox: "0 0 10 10", "aria-hidden": "true" }, el("rect", { width: 10, height: 10, class: `fill-${name}` }));
    this.host = host;
    host.append(this.svg, el("ul", { class: "legend" },
      el("li", {}, mark("live"), "live streams"), el("li", {}, mark("orphaned"), "of them orphaned: nobody is connected")));
    new ResizeObserver(() => this.draw()).observe(host);
  }

  add(live, orphaned) {
    this.samples.push({ live, orphaned });
    if (this.samples.length > seconds + 1) this.samples.shift();
    this.draw();
  }

  draw() {
    const width = Math.max(200, this.host.clientWidth);
    const most = Math.max(...this.samples.map((s) => s.live), 0);
    const ceiling = niceAbove(most);
    const right = width - 8, floor = height - bottom;
    const x = (i) => right - ((this.samples.length - 1 - i) * (right - left)) / seconds;
    const y = (n) => floor - (n * (floor - top)) / ceiling;
    const parts = [];
    for (const n of [0, ceiling / 2, ceiling]) {
      parts.push(el("line", { x1: left, x2: right, y1: y(n), y2: y(n), class: "rule" }));
      if (Number.isInteger(n)) parts.push(el("text", { x: left - 6, y: y(n) + 4, "text-anchor": "end" }, String(n)));
    }
    for (const minutes of width < 500 ? [5, 3, 1] : [5, 4, 3, 2, 1]) {
      const at = right - (minutes * 60 * (right - left)) / seconds;
      parts.push(el("text", { x: at, y: height - 4, "text-anchor": minutes === 5 ? "start" : "middle" }, `−${minutes} min`));
    }
    parts.push(el("text", { x: right, y: height - 4, "text-anchor": "end" }, "now"));
    if (this.samples.length > 0) {
      for (const name of ["live", "orphaned"]) {
        const line = this.samples.map((s, i) => `${x(i).toFixed(1)} ${y(s[name]).toFixed(1)}`).join("L");
        parts.push(el("path", { d: `M${x(0).toFixed(1)} ${floor}L${line}L${right} ${floor}Z`, class: `area fill-${name}` }));
        parts.push(el("path", { d: `M${line}`, class: `stroke-${name}` }));
      }
    }
    const now = this.samples.at(-1) ?? { live: 0, orphaned: 0 };
    this.svg.setAttribute("aria-label", `${plural(now.live, "live stream")} now, ${now.orphaned} of them orphaned; at most ${most} live in the last five minutes.`);
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.replaceChildren(...parts);
  }
}

// niceAbove is what the scale goes to: a round number with a whole half.
const niceAbove = (n) => [2, 4, 10, 20, 40, 100, 200, 400, 1000, 2000, 4000, 10_000].find((c) => c >= n) ?? 2 * n;
