// Opens pages as a reader does, at the width of a desk and of a phone, light and dark,
// and prints what is wrong with them: accessibility, as axe sees it, any request to
// elsewhere, errors, a page wider than its window.
//
//   node check.js CHROMIUM DIRECTORY FILE...
//
// In DIRECTORY it leaves a picture of each, and one PDF.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, join } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const [executablePath, out, ...files] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"] });
const wrong = [];

async function look(file, width, colorScheme) {
  const name = `${basename(file, ".html")}-${colorScheme}-${width}`;
  const say = (text) => wrong.push(`${name}: ${text}`);
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme });
  const page = await context.newPage();
  const own = pathToFileURL(file).href;
  page.on("request", (r) => r.url() === own || say(`asks for ${r.url()}`));
  page.on("pageerror", (e) => say(`error: ${e}`));
  page.on("console", (m) => m.type() === "error" && say(`console: ${m.text()}`));
  await page.goto(own);
  const scripts = await page.locator("script").count();
  if (scripts > 0) say(`${scripts} scripts`);
  const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  if (over > 0) say(`${over} pixels wider than the window`);
  await page.screenshot({ path: join(out, `${name}.png`), fullPage: true });
  for (const d of await page.locator("details").all()) await d.evaluate((e) => (e.open = true));
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  for (const v of violations) say(`axe: ${v.id} (${v.impact}): ${v.help}: ${v.nodes.map((n) => n.target).slice(0, 3).join(" ")}`);
  if (width > 1000 && colorScheme === "light") await page.pdf({ path: join(out, `${name}.pdf`), format: "A4" });
  await context.close();
}

for (const file of files) {
  for (const width of [1280, 390]) {
    for (const scheme of ["light", "dark"]) await look(file, width, scheme);
  }
}
await browser.close();
for (const w of wrong) console.log(w);
process.exit(wrong.length > 0 ? 1 : 0);
