// The story of a stream, and its cancel.
import { announce, confirmCancel, guarded, problem } from "./dialogs.js";
import { byId, clock, count, duration, el, money, plural, stamp, tags } from "./dom.js";
import { getJSON, post, Refused } from "./gateway.js";

const dialog = byId("story");
let shown = ""; // the id
let latest = null; // what was told last of it
let asked = 0; // when, to ask no more often than it pays

export const via = { first: "the call", id: "by id", key: "by key", retry: "as a retry", auto: "as an equal call", admin: "by the operator" };
export const leftBecause = { client: "the client's connection broke", gateway: "the gateway ended the connection", slow_reader: "the client read too slowly" };
export const stoppedBecause = {
  cancelled: "somebody said so", grace: "nobody came back", disconnect: "the client left, and nobody could have come back", cap: "too many streams without a client",
  unclaimed: "nobody came back, or could have", superseded: "a new call replaced it", shutdown: "the gateway was shut down", upstream: "the provider failed", unreachable: "the provider could not be reached",
  crash: "the gateway was killed", damaged: "the stored answer is damaged", disk_full: "the disk is full",
};

// told is a chapter in words, and whether it is a good or a bad one.
function told(c) {
  switch (c.what) {
    case "accepted": return ["accepted", ""];
    case "connected": return [c.observes ? "somebody looks on" : `connected${c.via ? `: ${via[c.via] ?? c.via}` : ""}${c.event ? `, from event ${count(c.event)}` : ""}`, c.observes ? "" : "good"];
    case "left": return [`left with what there was, at event ${count(c.event ?? 0)}`, ""];
    case "broke": return [`broke off: ${leftBecause[c.cause] ?? c.cause ?? ""}${c.event ? `, at event ${count(c.event)}` : ""}`, "bad"];
    case "cancelled": return [`cancelled${c.cause ? `: ${stoppedBecause[c.cause] ?? c.cause}` : ""}`, "bad"];
    case "gateway_killed": return ["the gateway was killed", "bad"];
    case "gateway_stopped": return ["the gateway stopped", "bad"];
    case "ended": return [`the answer ended${c.state ? `: ${c.state}` : ""}${c.cause ? `, ${stoppedBecause[c.cause] ?? c.cause}` : ""}`, c.state === "completed" ? "good" : c.state ? "bad" : ""];
  }
  return [c.what, ""];
}

const outcomes = { delivered: "delivered", wasted: "unusable", lost: "never received" };

function inBooks(books) {
  if (!books) return [el("p", { class: "note" }, "Nothing is billed for it, or no books are kept.")];
  const row = (name, cause, tokens, usd) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, cause), el("td", { class: "n" }, tokens), el("td", { class: "n", title: `$${usd}` }, money(usd)));
  const rows = [row("input", books.input.basis, count(books.input.tokens), books.input.usd), row("output", books.output.basis, count(books.output.tokens), books.output.usd)];
  for (const o of books.outcomes) rows.push(row(`  ${outcomes[o.outcome] ?? o.outcome}`, o.cause, count(o.tokens), o.usd));
  for (const o of books.overhead) rows.push(row("  caused by the gateway", o.kind, count(o.tokens), o.usd));
  if (books.pending_tokens > 0) rows.push(el("tr", {}, el("th", { scope: "row" }, "  no outcome yet"), el("td", {}, ""), el("td", { class: "n" }, count(books.pending_tokens)), el("td", {}, "")));
  return [el("h3", {}, books.settled ? "In the books" : "As it stands, not settled"), el("table", {},
    el("caption", { class: "unseen" }, "Tokens and money of this stream"),
    el("thead", {}, el("tr", {}, ...["what", "basis or cause"].map((t) => el("th", { scope: "col" }, t)), ...["tokens", "US dollars"].map((t) => el("th", { scope: "col", class: "n" }, t)))),
    el("tbody", {}, ...rows),
    el("tfoot", {}, row("bill", books.settled ? "" : "so far", "", books.bill_usd))),
  ...(books.price.unpriced ? [el("p", { class: "note" }, `Some or all of it is unpriced (${books.price.unpriced}): it costs more than that.`)] : [])];
}

function draw(s) {
  latest = s;
  byId("story-title").textContent = `Stream ${s.id}`;
  byId("story-cancel").hidden = s.state !== "streaming";
  const facts = [["State", s.kept ? s.state : "in the books only: its answer is no longer kept"], ["Model", el("bdi", {}, s.model || "unknown model"), ` at ${s.provider}`], ["Accepted", `${stamp(s.accepted)} UTC`]];
  if (s.ended) facts.push(["Ended", `${stamp(s.ended)} UTC, after ${duration((new Date(s.ended) - new Date(s.accepted)) / 1000)}`]);
  if (s.events) facts.push(["Stored", plural(s.events, "event")]);
  const list = el("dl", { class: "facts" }, ...facts.flatMap(([name, ...text]) => [el("dt", {}, name), el("dd", {}, ...text)]));
  const own = tags(s.tags);
  if (own.length > 0) list.append(el("dt", {}, "Tags"), el("dd", {}, ...own));
  byId("story-body").replaceChildren(list, el("h3", {}, "What happened"), el("ol", { class: "told" }, ...s.story.map((c) => {
    const [text, kind] = told(c);
    return el("li", { class: kind }, el("time", { datetime: c.at, title: `${stamp(c.at)} UTC` }, clock(c.at)), text);
  })), ...inBooks(s.books));
}

async function load(id) {
  asked = performance.now();
  const s = await guarded(() => getJSON(`/api/v1/streams/${encodeURIComponent(id)}/story`));
  if (id === shown) draw(s);
}

export async function openStory(id) {
  shown = id;
  latest = null;
  byId("story-title").textContent = `Stream ${id}`;
  byId("story-cancel").hidden = true;
  byId("story-body").replaceChildren(el("p", {}, "Loading…"));
  if (!dialog.open) dialog.showModal();
  try {
    await load(id);
  } catch (e) {
    if (id === shown) byId("story-body").replaceChildren(el("p", {}, e.message));
  }
}

// happenedTo brings the open story up to date, if it is this one's.
export function happenedTo(id) {
  if (dialog.open && id === shown) load(id).catch(() => {}); // it stands as it was
}

// goesOn brings the open story up to date while its stream is answered.
export function goesOn() {
  if (latest?.state === "streaming" && performance.now() - asked > 2000) happenedTo(latest.id);
}

// cancel asks, and then stops a stream.
export async function cancel(id, { model, provider }) {
  if (!(await confirmCancel(id, model, provider))) return;
  try {
    const s = await guarded(() => post(`/api/v1/streams/${encodeURIComponent(id)}/cancel`));
    announce(`The stream is ${s.state}.`);
    problem();
    happenedTo(id);
  } catch (e) {
    problem(`The stream could not be cancelled: ${e.message}${e instanceof Refused && e.status === 404 ? " It may have ended." : ""}`);
    dialog.close();
    byId("problem").scrollIntoView({ block: "center" });
  }
}

byId("story-cancel").addEventListener("click", () => cancel(shown, latest));
