// The console: watches one gateway and shows it.
import { loadIncidents } from "./audit.js";
import { Chart } from "./chart.js";
import { askToken, guarded, problem } from "./dialogs.js";
import { byId, clock, setText } from "./dom.js";
import { showFirstLine } from "./firstline.js";
import { now, setClock, token, watch } from "./gateway.js";
import { showAges, showHappened, showOverview } from "./live.js";
import { goesOn, happenedTo } from "./story.js";

const chart = new Chart(byId("chart"));
let latest = null; // overview, while connected
let seen = 0; // the last happening
let began = ""; // when the process did that counts them
let opened = 0; // when the connection was
let entry = -1; // of the books, when the incidents were read
let reading = false, unread = false;
let asOf = ""; // when the connection was lost

function connection(text, state) {
  setText(byId("connection"), text);
  byId("connection").className = `connection ${state}`;
  document.querySelector("body > header").className = state; // stays in sight while it is lost
}

// lost says that the page stands still, and since when.
function lost(text) {
  if (latest) asOf = clock(now());
  latest = null;
  chart.gap();
  connection(asOf === "" ? text : `${text} This is as of ${asOf} UTC.`, "lost");
}

const on = {
  hello(h) {
    setClock(h.now);
    if (h.started !== began) seen = 0;
    began = h.started;
    opened = performance.now();
    problem();
  },
  overview(o) {
    latest = o;
    connection(o.draining ? "Live; the gateway drains" : "Live", "live");
    showOverview(o);
    chart.add(o.live, o.orphaned);
    goesOn();
  },
  happened(list) {
    const news = list.filter((h) => h.seq > seen);
    seen = list.at(-1).seq;
    showHappened(news, performance.now() - opened > 500);
    for (const id of new Set(news.map((h) => h.stream))) happenedTo(id);
  },
};

// incidents are read again when something was posted since.
async function incidents() {
  const last = latest?.ledger_entry;
  if (reading || !latest?.figures || last === entry) return;
  reading = true;
  try {
    await loadIncidents();
    entry = last;
    if (unread) problem();
    unread = false;
  } catch (e) {
    unread = true;
    problem(`The incidents could not be read: ${e.message}`);
  } finally {
    reading = false;
  }
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function run() {
  for (let wait = 1000; ; wait = Math.min(wait * 2, 15_000)) {
    try {
      await guarded(() => watch((name, data) => {
        wait = 1000;
        on[name]?.(data);
      }));
      lost("The gateway has ended the connection; trying again.");
    } catch (e) {
      if (e.status === 401) {
        lost("Not connected: the gateway asks for its token.");
        await new Promise((resolve) => (retry = resolve));
        continue;
      }
      lost("Not connected; trying again.");
      if (e.status) problem(e.message);
    }
    await pause(wait);
  }
}

let retry = () => {};
byId("give-token").addEventListener("click", async () => {
  if (await askToken(token.get() === "" ? "The token is sent with each request from this tab." : "A token is set. Another one replaces it.")) retry();
});

setInterval(() => {
  chart.draw();
  if (latest === null) return;
  showAges();
  showFirstLine(latest);
}, 1000);
setInterval(incidents, 3000);
setTimeout(incidents, 500);
run();
