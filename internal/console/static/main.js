// The console: watches one gateway and shows it.
import { loadIncidents } from "./audit.js";
import { Chart } from "./chart.js";
import { askToken, guarded, problem } from "./dialogs.js";
import { byId, setText } from "./dom.js";
import { token, watch } from "./gateway.js";
import { setClock, showAges, showHappened, showOverview } from "./live.js";
import { happenedTo } from "./story.js";

const chart = new Chart(byId("chart"));
let latest = null; // overview
let seen = 0; // the last happening
let began = ""; // when the process did that counts them
let opened = 0; // when the connection was
let entry = -1; // of the books, when the incidents were read
let reading = false;

function connection(text, state) {
  setText(byId("connection"), text);
  byId("connection").className = `connection ${state}`;
}

const on = {
  hello(h) {
    setClock(h.now);
    if (h.started !== began) seen = 0;
    began = h.started;
    opened = performance.now();
    connection("Live", "live");
    problem();
  },
  overview(o) {
    latest = o;
    showOverview(o);
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
  const now = latest?.ledger_entry ?? 0;
  if (reading || latest === null || latest.figures === undefined || now === entry) return;
  reading = true;
  try {
    await loadIncidents();
    entry = now;
  } catch (e) {
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
      connection("The gateway has ended the connection; trying again", "lost");
    } catch (e) {
      latest = null;
      if (e.status === 401) {
        connection("Not connected: the gateway asks for its token", "lost");
        await new Promise((resolve) => (retry = resolve));
        continue;
      }
      connection("Not connected; trying again", "lost");
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
  showAges();
  if (latest) chart.add(latest.live, latest.orphaned);
}, 1000);
setInterval(incidents, 3000);
setTimeout(incidents, 500);
run();
