// What changes by itself: figures, live streams, breaks and resumes.
import { announce, linkButton } from "./dialogs.js";
import { byId, clock, count, duration, el, fill, money, plural, setText, short, tags } from "./dom.js";
import { cancel, leftBecause, openStory, stoppedBecause } from "./story.js";

// Each figure: its name, its class, and what it says of an overview.
const amount = (of) => (f) => [money(f[of].usd), `${count(f[of].output_tokens)} output tokens`, f[of].usd];
const figures = [
  ["Paid", "", (f) => [money(f.paid_usd), "delivered + unusable + never received", f.paid_usd]],
  ["Delivered", "delivered", amount("delivered")],
  ["Unusable", "unusable", amount("unusable")],
  ["Never received", "lost", amount("never_received")],
  ["Avoided by resumes", "", (f) => [money(f.avoided.usd), `estimate; ${count(f.avoided.output_tokens)} tokens`, f.avoided.usd]],
  ["Caused by the gateway", "", (f) => [money(f.caused_by_gateway.usd), `part of the losses; ${count(f.caused_by_gateway.output_tokens)} tokens`, f.caused_by_gateway.usd]],
  ["Net", "", (f) => [money(f.net_usd), "avoided less caused", f.net_usd]],
  ["At risk", "risk", (f) => [money(f.at_risk.usd), `${count(f.at_risk.output_tokens)} tokens nobody is connected to`, f.at_risk.usd]],
];

export function showOverview(o) {
  const cards = o.figures ? figures.map(([name, kind, read]) => [name, kind, ...read(o.figures)]) : [];
  cards.push(["Live streams", "", count(o.live), o.draining ? "the gateway drains" : "the provider still answers"], ["Orphaned streams", "", count(o.orphaned), "live, nobody is connected"]);
  const list = byId("figures");
  if (list.children.length !== cards.length) {
    list.replaceChildren(...cards.map(([name, kind]) => el("div", { class: kind }, el("dt", {}, name), el("dd", { class: "value" }), el("dd", { class: "more" }))));
  }
  cards.forEach(([, , value, more, exact], i) => {
    const [, dd, under] = list.children[i].children;
    setText(dd, value);
    setText(under, more);
    if (exact !== undefined) dd.title = `$${exact}`;
  });
  byId("money-note").hidden = !o.figures;
  if (o.figures) share(o.figures);
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
    legend.push(el("li", {}, el("svg", { viewBox: "0 0 10 10", "aria-hidden": "true" }, el("rect", { width: 10, height: 10, class: `fill-${kind}` })), `${name} ${((Number(usd) / sum) * 100).toFixed(1)} %`));
  }
  byId("share").replaceChildren(el("div", { class: "share" }, el("svg", { viewBox: "0 0 1000 10", preserveAspectRatio: "none", "aria-hidden": "true" }, ...rects)), el("ul", { class: "legend", "aria-label": "Shares of what was paid" }, ...legend));
}

let ahead = 0; // of the reader's clock before the gateway's, in ms
export const setClock = (now) => (ahead = Date.now() - new Date(now));

function streamRow(s) {
  const name = el("th", { scope: "row" }, linkButton(s.model || "unknown model", `Open the story of ${s.id}`, () => openStory(s.id)), el("span", { class: "under" }, `${s.provider} ${short(s.id)}`), ...tags(s.tags));
  const cell = (kind = "n") => el("td", { class: kind });
  return el("tr", { class: "new", "data-accepted": s.accepted }, name, el("td", {}, el("span")), cell(), cell(), cell(), cell("n wide"),
    el("td", { class: "act wide" }, el("button", { type: "button", class: "danger", "aria-label": `Cancel stream ${short(s.id)} of ${s.model}`, click: () => cancel(s.id, `${s.model} at ${s.provider}`) }, "Cancel…")));
}

function updateStream(row, s) {
  const state = row.cells[1].firstChild, name = s.orphaned ? "orphaned" : "attached";
  state.className = `state ${name}`;
  setText(state, name);
  setText(row.cells[3], count(s.output_tokens));
  setText(row.cells[4], money(s.usd));
  setText(row.cells[5], s.orphaned ? money(s.usd) : "–");
}

function showStreams(o) {
  if (fill(byId("streams"), o.streams, (s) => s.id, streamRow, updateStream) && !document.querySelector("dialog[open]")) byId("streams-title").focus();
  byId("streams-none").hidden = o.live > 0;
  const more = byId("streams-more");
  more.hidden = o.live <= o.streams.length;
  setText(more, `${count(o.live - o.streams.length)} more are not shown.`);
  showAges();
}

export function showAges() {
  for (const row of byId("streams").rows) setText(row.cells[2], duration((Date.now() - ahead - new Date(row.dataset.accepted)) / 1000));
}

const vias = { id: "by id", key: "by key", retry: "as a retry", auto: "as an equal call", admin: "by the operator" };
const kept = 100;
let happenings = [];

function happenedRow(h) {
  const what = h.what === "end" ? h.state : h.what;
  const why = h.what === "resume" ? `${vias[h.via] ?? h.via}${h.gap_seconds ? `, after ${duration(h.gap_seconds)}` : ""}` : (h.what === "break" ? leftBecause : stoppedBecause)[h.cause] ?? h.cause ?? "";
  return el("tr", { class: "new" }, el("td", { class: "t" }, el("time", { datetime: h.at }, clock(h.at))), el("td", {}, el("span", { class: `state ${what}` }, what)),
    el("th", { scope: "row" }, linkButton(h.model || "unknown model", `Open the story of ${h.stream}`, () => openStory(h.stream)), el("span", { class: "under" }, `${h.provider} ${short(h.stream)}`), ...tags(h.tags)),
    el("td", {}, why));
}

const unsaid = { break: 0, resume: 0 };
let saying = null;

// showHappened adds what has happened. What is said of it is said at most every five
// seconds, in one sentence. fresh: not what there was before the page was opened.
export function showHappened(list, fresh) {
  const news = list.filter((h) => h.what !== "end" || h.state !== "completed");
  happenings = [...news.toReversed(), ...happenings].slice(0, kept);
  fill(byId("happened"), happenings, (h) => `${h.seq} ${h.at}`, happenedRow);
  byId("happened-none").hidden = happenings.length > 0;
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
