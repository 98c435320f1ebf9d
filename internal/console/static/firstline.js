// What must be read within ten seconds: the first line of the dashboards, with its words
// and its limits.
import { byId, cards, clock, count, money, plural } from "./dom.js";
import { now } from "./gateway.js";

const aMinute = 60; // a rate over less says nothing

const seconds = (span) => (now() - new Date(span.since)) / 1000;

// over says what time a figure is of: all of its window, or what the gateway remembers.
function over(span) {
  if (seconds(span) < span.window_seconds) return `since ${clock(span.since)} UTC`;
  if (span.window_seconds > 3600) return `last ${span.window_seconds / 3600} h`;
  return `last ${Math.round(seconds(span) / 6) / 10} min`; // totals are remembered by the minute, so it is up to one more
}

const above = (n, warn, bad) => (n >= bad ? "bad" : n >= warn ? "warn" : "good");
const below = (n, bad, warn) => (n < bad ? "bad" : n < warn ? "warn" : "good");
const percent = (share) => `${(share * 100).toFixed(1)} %`;

function losing({ lately }) {
  const more = `${money(lately.for_nothing_usd)} wasted and lost, ${over(lately)}`;
  if (seconds(lately) < aMinute) return ["–", `${more}: a rate takes a minute`, ""];
  const rate = (Number(lately.for_nothing_usd) * 3600) / seconds(lately);
  return [money(String(rate)), more, above(rate, 1, 10)];
}

function atRisk(_, o) {
  const { usd, output_tokens } = o.figures.at_risk;
  return [money(usd), `${Number(usd) === 0 ? "nothing at risk" : `${plural(output_tokens, "token")} nobody is connected to`}; ${plural(o.orphaned, "orphaned stream")}`, above(Number(usd), 1, 10)];
}

function resumed({ day }) {
  const share = day.resumed / day.breaks;
  const missed = day.missed > 0 ? "warn" : "good";
  const more = `${count(day.resumed)} of ${plural(day.breaks, "break")} to the end; ${count(day.missed)} missed, ${over(day)}`;
  if (day.breaks === 0) return [day.resumed === 0 ? "no breaks" : "–", more, missed];
  const level = below(share, 0.5, 0.8);
  return [percent(share), more, level === "good" ? missed : level];
}

const net = ({ day }) => [money(day.net_usd), `avoided (an estimate) less caused, ${over(day)}`, Number(day.net_usd) < 0 ? "bad" : "good"];

function books({ balance, day }) {
  const off = [];
  if (balance.imbalance_tokens > 0) off.push(`${plural(balance.imbalance_tokens, "token")} off`);
  if (day.unpriced_attempts > 0) off.push(`${count(day.unpriced_attempts)} unpriced`);
  if (Number(balance.unexplained_usd ?? 0) >= 0.005) off.push(`${money(balance.unexplained_usd)} unexplained`);
  const bill = balance.unexplained_usd === undefined ? "no bill compared" : `unexplained ${money(balance.unexplained_usd)}`;
  return [off.join(", ") || "0", `imbalance ${plural(balance.imbalance_tokens, "token")}; unpriced ${plural(day.unpriced_attempts, "attempt")}, ${over(day)}; ${bill}`, off.length > 0 ? "bad" : "good"];
}

function log({ log: { full, hours_left: hours, ...span } }) {
  if (hours === undefined) return [percent(full), "hours left: known in a minute", above(full, 0.7, 0.9)];
  const levels = [above(full, 0.7, 0.9), below(hours, 2, 8)];
  return [percent(full), hours >= 8760 ? `not filling, ${over(span)}` : `${hours < 100 ? hours.toFixed(1) : count(Math.round(hours))} h left; pace: ${over(span)}`,
    ["bad", "warn"].find((l) => levels.includes(l)) ?? "good"];
}

const panels = [
  ["Losing now, per hour", losing, true], ["At risk", atRisk, true], ["Breaks resumed, and missed", resumed, false],
  ["Net of 24 h", net, true], ["Books: all must be 0", books, true], ["Log full, and hours left", log, false],
];
const words = { warn: "Worth a look: ", bad: "Act on it: " };

// showFirstLine shows it as it is now: what is per hour changes though nothing happens.
export function showFirstLine(o) {
  const shown = panels.filter(([, , ofBooks]) => o.figures || !ofBooks);
  cards(byId("first-line"), shown.map(([name, read]) => {
    const [value, more, level] = read(o.first_line, o);
    return { name, value, more, kind: level, word: words[level] ?? "" };
  }));
}
