// Opens the console of a gateway that is at work, as its operator does, and prints what
// is wrong: what doesn't change by itself, what can't be reached, accessibility as axe
// sees it, requests to elsewhere, errors, a page wider than its window.
//
//   node check.js CHROMIUM DIRECTORY ADMIN_URL TOKEN GUARDED_URL GUARDED_TOKEN
//
// The streams that it cancels have the tag cancel=me. In DIRECTORY it leaves pictures.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { chromium } from "playwright-core";

const [executablePath, out, admin, token, guarded, guardedToken] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"] });
const wrong = [];

async function open(name, url, width, colorScheme, expected = /status of 401/) {
  const say = (text) => wrong.push(`${name}: ${text}`);
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  const own = new URL(url).origin;
  page.on("request", (r) => {
    const u = new URL(r.url());
    if (u.protocol !== "blob:" && u.origin !== own) say(`asks for ${r.url()}`);
    if (u.href.includes(token) || u.href.includes(guardedToken)) say(`a token is in the URL ${u.pathname}`);
  });
  page.on("pageerror", (e) => say(`error: ${e}`));
  page.on("console", (m) => m.type() === "error" && !expected.test(m.text()) && say(`console: ${m.text()}`));
  page.on("dialog", (d) => say(`a script ran: ${d.message()}`) && d.dismiss());
  await page.goto(`${url}/console/`);
  const look = async (what, full = true) => {
    const over = await page.evaluate(() => Math.max(document.documentElement.scrollWidth - window.innerWidth, ...[...document.querySelectorAll("dialog[open]")].map((d) => d.scrollWidth - d.clientWidth)));
    if (over > 0) say(`${what}: ${over} pixels wider than the window`);
    await page.screenshot({ path: join(out, `${name}-${what}.png`), fullPage: full });
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
    for (const v of violations) say(`${what}: axe: ${v.id} (${v.impact}): ${v.help}: ${v.nodes.map((n) => `${n.target} ${n.failureSummary}`).slice(0, 2).join(" ")}`);
  };
  const expect = (ok, text) => ok || say(text);
  return { context, page, look, expect };
}

const live = (page) => page.getByRole("status").filter({ hasText: "Live" }).waitFor();

// walk goes through all that an operator does.
async function walk(width, scheme) {
  const { context, page, look, expect } = await open(`${scheme}-${width}`, admin, width, scheme);
  await live(page);
  const mine = page.locator("#streams tr", { hasText: "cancel=me" }).filter({ hasText: `for=${scheme}-${width}` });
  await mine.waitFor();

  // What changes does so by itself.
  const tokens = mine.locator("td").nth(2), before = await tokens.textContent();
  await page.waitForFunction(([row, was]) => row.cells[3].textContent !== was, [await mine.elementHandle(), before]);
  await page.locator("#happened .state.break").first().waitFor();
  await page.locator("#happened .state.resume").first().waitFor();
  await page.locator("#figures dd").first().waitFor();
  await page.waitForFunction(() => document.querySelectorAll("#incidents tr").length > 0);
  await page.waitForFunction(() => !/^\$0\.00$/.test(document.querySelector("#figures dd").textContent));
  const line = await page.locator("#first-line dt").allTextContents();
  expect(line.join("; ") === "Losing now, per hour; At risk; Breaks resumed, and missed; Net of 24 h; Books: all must be 0; Log full, and hours left", `the first line is ${line}`);
  expect(await page.locator("#first-line .more", { hasText: /since \d\d:\d\d:\d\d/ }).count() >= 4, "the first line doesn't say since when it is");
  expect(await page.locator("#streams", { hasText: "<img src=x onerror=alert(1)>" }).count() === 1, "the text of a tag is not shown as it is");
  expect(await page.locator("#streams img").count() === 0, "a tag became an element");
  await page.waitForTimeout(process.env.RECOUP_BROWSER_OUT ? 8000 : 500); // for the picture
  await look("page");
  await look("top", false);

  // A stream's story, by keyboard.
  await mine.getByRole("button").first().focus();
  await page.keyboard.press("Enter");
  const story = page.getByRole("dialog", { name: /^Stream / });
  await story.getByText("connected: the call").waitFor();
  await look("story", false);
  const stored = story.getByText(/^[\d,]+ events$/), had = await stored.textContent();
  await page.waitForFunction((was) => document.querySelector("#story-body .facts").textContent.includes(was) === false, had); // it goes on
  await page.keyboard.press("Escape");
  await story.waitFor({ state: "hidden" });

  // Cancel: not at once, and only with the token.
  const told = width < 640 && scheme === "dark"; // from the story
  const cancel = async () => {
    if (told) await mine.getByRole("button").first().click();
    await (told ? story : mine).getByRole("button", { name: /^Cancel/ }).click();
  };
  await cancel();
  const confirm = page.getByRole("dialog", { name: "Cancel this stream?" });
  expect(await confirm.getByRole("button", { name: "Let it run" }).evaluate((b) => b === document.activeElement), "the focus is not on the harmless button");
  await look("confirm", false);
  await confirm.getByRole("button", { name: "Let it run" }).click();
  expect(await mine.count() === 1, "it was cancelled without a confirmation");
  if (told) await story.getByRole("button", { name: "Close" }).click();
  if (scheme === "dark" && !told) { // by keyboard alone
    await mine.getByRole("button", { name: /^Cancel/ }).focus();
    for (const key of ["Enter", "Tab", "Enter"]) await page.keyboard.press(key);
  } else {
    await cancel();
    await confirm.getByRole("button", { name: "Cancel the stream" }).click();
  }
  const ask = page.getByRole("dialog", { name: "Admin token" });
  await ask.getByLabel("Token").fill("wrong");
  await ask.getByRole("button", { name: "Use it" }).click();
  await ask.getByText("doesn't take the token").waitFor();
  await look("token", false);
  await ask.getByLabel("Token").fill(token);
  await page.keyboard.press("Enter");
  await mine.waitFor({ state: "detached" });
  await page.locator("#happened .state.cancelled").first().waitFor();
  if (told) {
    await story.getByText("somebody said so").first().waitFor();
    await story.getByRole("button", { name: "Close" }).click();
  }

  // From an incident to its audit, and on to a story.
  await page.locator("#incidents").getByRole("button", { name: /^Audit of incident/ }).first().click();
  const audit = page.getByRole("dialog", { name: /^Audit/ });
  await audit.getByText("What it cost").waitFor();
  expect(await audit.locator("svg").count() > 0 || (await audit.getByText("No attempts").count()) > 0, "the audit has no picture");
  await look("audit", false);
  await audit.getByRole("button", { name: "Close" }).click();
  await page.getByRole("button", { name: "Audit of 24 hours" }).click();
  await audit.getByText("What it cost").waitFor();
  const download = page.waitForEvent("download");
  await audit.getByRole("button", { name: "Save" }).click();
  expect((await download).suggestedFilename() === "audit-24h.html", "the audit is not saved");
  await audit.locator("#audit-stories button").first().click();
  await page.getByRole("dialog", { name: /^Stream / }).getByText("What happened").waitFor();
  await look("audit-story", false);
  await context.close();
}

// rate waits until there is a rate of what is being lost: a gateway that has just begun has none.
async function rate() {
  const { context, page } = await open("rate", admin, 1280, "light");
  await page.waitForFunction(() => /^\$\d/.test(document.querySelector("#first-line dd")?.textContent) && /left|not filling/.test(document.querySelector("#first-line > :last-child").textContent), null, { timeout: 90_000 });
  await context.close();
}

// away is the page of a gateway that can't be reached for a while: what leads to it is cut.
async function away() {
  const sockets = new Set();
  let cut = false;
  const way = createServer((client) => {
    if (cut) return client.destroy();
    const gateway = connect(new URL(admin).port, new URL(admin).hostname);
    for (const [from, to] of [[client, gateway], [gateway, client]]) {
      sockets.add(from);
      from.on("error", () => {}).on("close", () => to.destroy()).pipe(to);
    }
  });
  await new Promise((listening) => way.listen(0, "127.0.0.1", listening));
  const { context, page, look, expect } = await open("away", `http://127.0.0.1:${way.address().port}`, 390, "light", /net::ERR_/);
  await live(page);
  await page.locator("#streams tr").first().waitFor();
  cut = true;
  for (const s of sockets) s.destroy();
  await page.getByRole("status").filter({ hasText: /^Not connected; trying again. This is as of \d/ }).waitFor();
  expect(await page.locator("#chart svg").first().getAttribute("aria-label") === "Not connected.", "the chart says nothing of it");
  const ages = page.locator("#streams tr:last-child td.n"), before = await ages.first().textContent();
  await page.evaluate(() => window.scrollTo(0, 1200));
  expect(await page.locator("#connection").evaluate((e) => e.getBoundingClientRect().top >= 0), "that the connection is lost goes out of sight");
  await look("lost", false);
  expect(await ages.first().textContent() === before, "ages go on without the gateway");
  cut = false;
  await live(page);
  await context.close();
  way.close();
}

// late opens an audit while the one before is still being made, which then comes too late.
async function late() {
  const { context, page, expect } = await open("late", admin, 1280, "light");
  await live(page);
  let release;
  const held = new Promise((go) => (release = go));
  await page.route(/format=json&incident=/, (route) => held.then(() => route.continue()));
  await page.locator("#incidents").getByRole("button", { name: /^Audit of incident/ }).first().click();
  const audit = page.getByRole("dialog", { name: /^Audit/ });
  await audit.getByText("Reading the books").waitFor();
  await audit.getByRole("button", { name: "Close" }).click();
  await page.getByRole("button", { name: "Audit of 24 hours" }).click();
  await audit.getByText("What it cost").waitFor();
  const shown = await page.locator("#audit-body > div").elementHandle();
  const came = page.waitForResponse(/format=json&incident=/);
  release();
  await (await came).finished();
  await page.evaluate(() => fetch("/api/v1/incidents").then((r) => r.text())); // by then it has been read
  expect(await shown.evaluate((e) => e.isConnected), "an audit that came late is in the place of the one that is open");
  await context.close();
}

// rows has a table of the page changed, which moves no row that need not be.
async function rows() {
  const { context, page, expect } = await open("rows", admin, 1280, "light");
  const moved = await page.evaluate(async () => {
    const { el, fill } = await import("./dom.js");
    const body = el("tbody");
    document.body.append(el("table", {}, body));
    const show = (names) => fill(body, [...names], (n) => n, (n) => el("tr", {}, el("td", {}, el("button", {}, n))));
    show("abcdefgh");
    const at = (n) => body.querySelector(`[data-key=${n}] button`);
    const seen = new MutationObserver(() => {});
    seen.observe(body, { childList: true });
    const steps = [];
    for (const [focus, names] of [["d", "acdefgh"], ["d", "xacdefgh"], ["h", "hxacdefg"], ["h", "xacdefgh"], ["h", "xacdefg"]]) {
      at(focus).focus();
      const lost = show(names);
      steps.push([body.textContent, seen.takeRecords().length, lost, document.activeElement === at(focus)].join(" "));
    }
    return steps.join("\n");
  });
  const want = ["acdefgh 1 false true", "xacdefgh 1 false true", "hxacdefg 2 false true", "xacdefgh 2 false true", "xacdefg 1 true false"].join("\n");
  expect(moved === want, `rows: ${moved}`);
  await context.close();
}

// line has the first line say what a gateway of some days says, good and bad.
async function line() {
  const { context, page, expect } = await open("line", admin, 1280, "light");
  await live(page);
  const said = await page.evaluate(async () => {
    const { showFirstLine } = await import("./firstline.js");
    const span = (seconds, window_seconds) => ({ since: new Date(Date.now() - seconds * 1000).toISOString(), window_seconds });
    const say = (lost, day, balance, log, usd) => {
      showFirstLine({
        orphaned: 1, figures: { at_risk: { usd, output_tokens: 7 } },
        first_line: { lately: { ...span(360, 300), for_nothing_usd: lost }, day: { ...span(86_430, 86_400), ...day }, balance, log: { ...span(3630, 3600), ...log } },
      });
      return [...document.querySelectorAll("#first-line > div")].map((d) => [d.className, ...[...d.querySelectorAll("dd")].map((e) => e.textContent)].join(" | "));
    };
    return [
      ...say("0", { net_usd: "0.5", breaks: 0, resumed: 0, missed: 0, unpriced_attempts: 0 }, { imbalance_tokens: 0 }, { full: 0.1, hours_left: 8760 }, "0"),
      ...say("0.12", { net_usd: "-0.00001", breaks: 10, resumed: 9, missed: 1, unpriced_attempts: 0 }, { imbalance_tokens: 0, unexplained_usd: "0.001" }, { full: 0.71, hours_left: 9 }, "1.5"),
      ...say("1.2", { net_usd: "0", breaks: 10, resumed: 4, missed: 0, unpriced_attempts: 2 }, { imbalance_tokens: 1, unexplained_usd: "1" }, { full: 0.1, hours_left: 1.5 }, "10"),
    ];
  });
  const want = [
    "good | $0.00 | $0.00 wasted and lost, last 6 min", "good | $0.00 | nothing at risk; 1 orphaned stream", "good | no breaks | 0 of 0 breaks to the end; 0 missed, last 24 h",
    "good | $0.5000 | avoided (an estimate) less caused, last 24 h", "good | 0 | imbalance 0 tokens; unpriced 0 attempts, last 24 h; no bill compared", "good | 10.0 % | not filling, last 60.5 min",
    "warn | $1.20 | Worth a look: $0.1200 wasted and lost, last 6 min", "warn | $1.5000 | Worth a look: 7 tokens nobody is connected to; 1 orphaned stream", "warn | 90.0 % | Worth a look: 9 of 10 breaks to the end; 1 missed, last 24 h",
    "bad | >−$0.0001 | Act on it: avoided (an estimate) less caused, last 24 h", "good | 0 | imbalance 0 tokens; unpriced 0 attempts, last 24 h; unexplained $0.0010", "warn | 71.0 % | Worth a look: 9.0 h left; pace: last 60.5 min",
    "bad | $12.00 | Act on it: $1.2000 wasted and lost, last 6 min", "bad | $10.0000 | Act on it: 7 tokens nobody is connected to; 1 orphaned stream", "bad | 40.0 % | Act on it: 4 of 10 breaks to the end; 0 missed, last 24 h",
    "good | $0.00 | avoided (an estimate) less caused, last 24 h", "bad | 1 token off, 2 unpriced, $1.0000 unexplained | Act on it: imbalance 1 token; unpriced 2 attempts, last 24 h; unexplained $1.0000", "bad | 10.0 % | Act on it: 1.5 h left; pace: last 60.5 min",
  ];
  const rounded = said.map((s) => s.replace(/^(\w+ \| \$)(\d+\.\d{4})( \| (?:Act on it|Worth a look): \$)/, (_, a, n, b) => a + Number(n).toFixed(2) + b)); // the clock goes on
  want.forEach((w, i) => expect(rounded[i] === w, `the first line says "${rounded[i]}", want "${w}"`));
  await context.close();
}

// guard is the page of a gateway that asks for its token at once.
async function guard() {
  const { context, page, look, expect } = await open("guarded", guarded, 1280, "light");
  const ask = page.getByRole("dialog", { name: "Admin token" });
  await ask.waitFor();
  await ask.getByRole("button", { name: "Not now" }).click();
  await page.getByText("the gateway asks for its token").first().waitFor();
  expect(await page.locator("#figures dd").count() === 0, "figures without the token");
  await look("refused");
  await page.getByRole("button", { name: "Token" }).click();
  await ask.getByLabel("Token").fill(guardedToken);
  await ask.getByRole("button", { name: "Use it" }).click();
  await live(page);
  await page.locator("#figures dd").first().waitFor();
  await page.reload();
  await live(page); // the tab keeps it
  await context.close();
}

const attempt = (what, does) => does().catch((e) => wrong.push(`${what}: ${e}`));
for (const width of [1280, 390]) {
  for (const scheme of ["light", "dark"]) await attempt(`${scheme}-${width}`, () => walk(width, scheme));
}
for (const [what, does] of Object.entries({ guarded: guard, rate, away, late, rows, line })) await attempt(what, does);
await browser.close();
for (const w of wrong) console.log(w);
process.exit(wrong.length > 0 ? 1 : 0);
