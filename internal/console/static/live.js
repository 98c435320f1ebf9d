// What changes by itself: figures, live streams, breaks and resumes.
import { announce, linkButton } from "./dialogs.js";
import { byId, cards, clock, count, duration, el, fill, mark, money, none, plural, setText, short, stamp, tags } from "./dom.js";
import { showFirstLine } from "./firstline.js";
import { now } from "./gateway.js";
import { cancel, leftBecause, openStory, stoppedBecause, via } from "./story.js";

// Each figure: its name, its class, and what it says.
const amount = (of) => (f) => [money(f[of].usd), `${count(f[of].output_tokens)} output tokens`, f[of].usd];
const figures = [
  ["Paid", "", (f) => [money(f.paid_usd), "delivered + unusable + never received", f.paid_usd]],
  ["Delivered", "delivered", amount("delivered")],
  ["Unusable", "unusable", amount("unusable")],
  ["Never received", "lost", amount("never_received")],
  ["Avoided by resumes", "", (f) => [money(f.avoided.usd), `estimate; ${count(f.avoided.output_tokens)} tokens`, f.avoided.usd]],
  ["Caused by the gateway", "", (f) => [money(f.caused_by_gateway.usd), `part of the losses; ${count(f.caused_by_gateway.output_tokens)} tokens`, f.caused_by_gateway.usd]],
  ["Net", "", (f) => [money(f.net_usd), "avoided less caused", f.net_usd]],
];

export function showOverview(o) {
  byId("all").hidden = false;
  byId("money").hidden = byId("found").hidden = !o.figures; // no books are kept
  showFirstLine(o);
  if (o.figures) {
    cards(byId("figures"), figures.map(([name, kind, read]) => {
      const [value, more, exact] = read(o.figures);
      return { name, kind, value, more, exact };
    }));
    share(o.figures);
  }
  showStreams(o);
}

// share is what was paid, as a bar of its three parts.
function share(f) {
  const parts = [["delivered", "delivered", f.delivered.usd], ["unusable", "unusable", f.unusable.usd], ["lost", "never received", f.never_received.usd]];
  const sum = parts.reduce((n, p) => n + Number(p[2]), 0);
  if (sum <= 0) return byId("share").replaceChildren();
  let x = 0;
  const rects = [], legend = [];
  for (const [kind, name, usd] of parts) {
    const width = (Number(usd) / sum) * 1000;
    rects.push(el("rect", { x, y: 0, width, height: 10, class: `fill-${kind}` }));
    x += width;
    legend.push(el("li", {}, mark(kind), `${name} ${((Number(usd) / sum) * 100).toFixed(1)} %`));
  }
  byId("share").replaceChildren(el("div", { class: "share" }, el("svg", { viewBox: "0 0 1000 10", preserveAspectRatio: "none", "aria-hidden": "true" }, ...rects)), el("ul", { class: "legend", "aria-label": "Shares of what was paid" }, ...legend));
}

// named is the cell of a stream's name, which opens its story.
const named = (s, id) => el("th", { scope: "row", role: "rowheader" }, linkButton(s.model || "unknown model", `Open the story of ${id}`, () => openStory(id)),
  el("span", { class: "under" }, `${s.provider} ${short(id)}`), ...tags(s.tags));

function streamRow(s) {
  const cell = () => el("td", { class: "n", role: "cell" });
  return el("tr", { class: "new", role: "row", "data-accepted": s.accepted }, named(s, s.id), el("td", { role: "cell" }, el("span")), cell(), cell(), cell(), cell(),
    el("td", { class: "act", role: "cell" }, el("button", { type: "button", class: "danger", "aria-label": `Cancel stream ${short(s.id)} of ${s.model}`, click: () => cancel(s.id, s) }, "Cancel…")));
}

function updateStream(row, s) {
  const state = row.cells[1].firstChild, name = s.orphaned ? "orphaned" : "attached";
  state.className = `state ${name}`;
  setText(state, name);
  setText(row.cells[3], count(s.output_tokens));
  const cost = s.unpriced ? "unpriced" : money(s.usd);
  setText(row.cells[4], cost);
  setText(row.cells[5], s.orphaned ? cost : "–");
}

function showStreams(o) {
  if (fill(byId("streams"), o.streams, (s) => s.id, streamRow, updateStream) && !document.querySelector("dialog[open]")) byId("streams-title").focus();
  none("streams", o.streams.length === 0);
  const more = byId("streams-more");
  more.hidden = o.live <= o.streams.length;
  setText(more, `${count(o.live - o.streams.length)} more are not shown.`);
  showAges();
}

export function showAges() {
  for (const row of byId("streams").rows) setText(row.cells[2], duration((now() - new Date(row.dataset.accepted)) / 1000));
}

const kept = 100;
let happenings = [];

function happenedRow(h) {
  const what = h.what === "end" ? h.state : h.what;
  const why = h.what === "resume" ? `${via[h.via] ?? h.via}${h.gap_seconds ? `, after ${duration(h.gap_seconds)}` : ""}` : (h.what === "break" ? leftBecause : stoppedBecause)[h.cause] ?? h.cause ?? "";
  return el("tr", { class: "new", role: "row" }, el("td", { class: "t", role: "cell" }, el("time", { datetime: h.at, title: `${stamp(h.at)} UTC` }, clock(h.at))),
    el("td", { role: "cell" }, el("span", { class: `state ${what}` }, what)), named(h, h.stream), el("td", { role: "cell" }, why));
}

const unsaid = { break: 0, resume: 0 };
let saying = null;

// showHappened adds what has happened. What is said of it is said at most every five
// seconds, in one sentence. fresh: not what there was before the page was opened.
export function showHappened(list, fresh) {
  const news = list.filter((h) => h.what !== "end" || h.state !== "completed");
  happenings = [...news.toReversed(), ...happenings].slice(0, kept);
  fill(byId("happened"), happenings, (h) => `${h.seq} ${h.at}`, happenedRow);
  none("happened", happenings.length === 0);
  if (!fresh) return;
  for (const h of news) if (h.what in unsaid) unsaid[h.what]++;
  saying ??= setTimeout(() => {
    saying = null;
    const parts = [];
    if (unsaid.break > 0) parts.push(plural(unsaid.break, "break"));
    if (unsaid.resume > 0) parts.push(plural(unsaid.resume, "resume"));
    unsaid.break = unsaid.resume = 0;
    if (parts.length > 0) announce(`${parts.join(", ")}.`);
  }, 5000);
}
