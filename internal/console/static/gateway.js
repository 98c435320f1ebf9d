// What is asked of the gateway, with the reader's token if there is one.

const tokenKey = "recoup-admin-token";

export const token = {
  get: () => sessionStorage.getItem(tokenKey) ?? "",
  set: (value) => sessionStorage.setItem(tokenKey, value),
};

let ahead = 0; // of the reader's clock before the gateway's, in ms
export const setClock = (at) => (ahead = Date.now() - new Date(at));
export const now = () => Date.now() - ahead; // the gateway's

// Refused is an answer of the gateway that isn't what was asked for.
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function send(path, options = {}) {
  const headers = token.get() === "" ? {} : { Authorization: `Bearer ${token.get()}` };
  const response = await fetch(path, { ...options, headers, cache: "no-store", credentials: "omit", redirect: "error" });
  if (response.ok) return response;
  const body = await response.json().catch(() => ({}));
  throw new Refused(response.status, body.error?.message ?? `The gateway answers ${response.status}.`);
}

export const getJSON = async (path) => (await send(path)).json();
export const getText = async (path) => (await send(path)).text();
export const post = async (path) => (await send(path, { method: "POST" })).json();

const silence = 40_000; // the gateway gives a sign of life every 15 s

// watch reads the gateway's events once, until they end. EventSource can't send a
// header, and a token in a URL is in every log.
export async function watch(onEvent) {
  const abort = new AbortController();
  let timer = setTimeout(() => abort.abort(), silence);
  try {
    const response = await send("/api/v1/events", { signal: abort.signal });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      clearTimeout(timer);
      timer = setTimeout(() => abort.abort(), silence);
      const parts = (rest + value).split("\n\n");
      rest = parts.pop();
      for (const part of parts) {
        const fields = Object.fromEntries(part.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()]));
        if (fields.event) onEvent(fields.event, JSON.parse(fields.data));
      }
    }
  } finally {
    clearTimeout(timer);
    abort.abort();
  }
}
