// Incidents, and the audit of one or of a day.
import { guarded, linkButton } from "./dialogs.js";
import { byId, el, fill, none, plural, setText, short, stamp, tags } from "./dom.js";
import { getJSON, getText } from "./gateway.js";
import { openStory } from "./story.js";

const kinds = { client_deploy: "a client's deploy", provider_failure: "a failure of the provider", gateway_restart: "a restart of the gateway", network: "the network" };

function row(i) {
  const cell = (...text) => el("td", { role: "cell" }, ...text);
  const name = el("th", { scope: "row", role: "rowheader" }, linkButton(`${i.id}: ${i.name || "unnamed"}`, "Open its audit", () => openIncident(i)), el("span", { class: "under" }, i.found ? "found" : "declared", " ", ...tags(i.labels)));
  return el("tr", { role: "row" }, name, cell(el("span")), cell(stamp(i.start)), cell(), cell(`${kinds[i.kind] ?? i.kind ?? ""}${i.provider ? ` ${i.provider}` : ""}`),
    el("td", { class: "act", role: "cell" }, el("button", { type: "button", "aria-label": `Audit of incident ${i.id}`, click: () => openIncident(i) }, "Audit")));
}

function update(tr, i) {
  const state = tr.cells[1].firstChild;
  state.className = `state ${i.state}`;
  setText(state, i.state);
  setText(tr.cells[3], i.end ? stamp(i.end) : "it\u00a0goes\u00a0on");
}

const shown = 100; // incidents, the newest

export async function loadIncidents() {
  const { incidents } = await getJSON("/api/v1/incidents");
  incidents.sort((a, b) => b.id - a.id);
  fill(byId("incidents"), incidents.slice(0, shown), (i) => String(i.id), row, update);
  none("incidents", incidents.length === 0);
  const more = byId("incidents-more");
  more.hidden = incidents.length <= shown;
  setText(more, `${plural(incidents.length - shown, "older incident")} not shown: recoup incident list has all.`);
}

let asked = ""; // the query whose audit is shown

// show opens the audit that a query asks for. The report is a page of its own with its own
// style: it is put behind a shadow root, which keeps the two apart.
async function show(title, query, file) {
  const dialog = byId("audit"), body = byId("audit-body"), stories = byId("audit-stories");
  asked = query;
  byId("audit-title").textContent = title;
  byId("audit-save").hidden = true;
  stories.replaceChildren();
  body.replaceChildren(el("p", {}, "Reading the books…"));
  dialog.showModal();
  try {
    const [html, report] = await guarded(() => Promise.all([getText(`/api/v1/audit?format=html&${query}`), getJSON(`/api/v1/audit?format=json&${query}`)]));
    if (asked !== query) return; // another one was opened meanwhile
    const style = /<style>([^]*?)<\/style>/; // taken out before: the console's policy refuses what is inline
    const sheet = new CSSStyleSheet();
    sheet.replaceSync((style.exec(html)?.[1] ?? "").replaceAll(":root", ":host"));
    const page = new DOMParser().parseFromString(html.replace(style, ""), "text/html");
    page.querySelectorAll("style, script").forEach((s) => s.remove());
    for (const h of page.querySelectorAll("h1")) h.replaceWith(el("p", { class: "title" }, h.textContent));
    for (const e of page.querySelectorAll("main, header, footer")) e.replaceWith(el("div", { class: e.localName }, ...e.childNodes)); // the console has these already
    const host = el("div");
    const root = host.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [sheet];
    root.append(...page.body.childNodes);
    body.replaceChildren(host);
    if (report.streams.length > 0) {
      stories.replaceChildren(el("p", {}, "Stories of its dearest streams: ", ...report.streams.flatMap((s) => [linkButton(short(s.stream), s.stream, () => openStory(s.stream)), " "])));
    }
    byId("audit-save").hidden = false;
    byId("audit-save").onclick = () => save(html, file);
  } catch (e) {
    if (asked === query) body.replaceChildren(el("p", {}, e.message));
  }
}

// save lets the reader keep the report: one file, which opens offline.
function save(html, file) {
  const url = URL.createObjectURL(new Blob([html], { type: "text/html" }));
  el("a", { href: url, download: file }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

const openIncident = (i) => show(`Audit of incident ${i.id}`, `incident=${i.id}`, `incident-${i.id}.html`);

byId("audit-day").addEventListener("click", () => show("Audit of the last 24 hours", "since=24h", "audit-24h.html"));
