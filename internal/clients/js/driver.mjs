// Makes one call with one SDK and prints what came of it. ../doc.go has the protocol.

import { writeSync } from 'node:fs';

const modules = {
  'openai-js': './openai.mjs',
  'anthropic-js': './anthropic.mjs',
  'ai-sdk': './ai.mjs',
  'langchain-js': './langchain.mjs',
  'genai-js': './genai.mjs',
  'bedrock-js': './bedrock.mjs',
};

const job = JSON.parse(process.env.RECOUP_CLIENT_JOB);
const leaving = new AbortController();
let pieces = 0;

// print writes a line at once: who reads it may be about to kill this process.
function print(line) {
  writeSync(1, JSON.stringify(line) + '\n');
}

// piece tells of a piece of the answer's text.
function piece(text) {
  if (!text || leaving.signal.aborted) return;
  print({ delta: text });
  pieces++;
  if (pieces === job.abort_after) leaving.abort();
}

// faultOf puts an SDK's error in words that all have. The body of a response is
// looked into where the SDK doesn't do it itself.
function faultOf(err) {
  const body = err.error?.error ?? err.error ?? err.data?.error ?? {};
  return {
    class: err.constructor?.name ?? typeof err,
    status: err.status ?? err.statusCode ?? null,
    code: text(err.code ?? body.code),
    type: text(err.type ?? body.type ?? body.status),
    message: err.message ?? String(err),
  };
}

function text(v) {
  return v === undefined || v === null ? null : String(v);
}

async function run() {
  const [sdk, call] = job.client.split('/');
  const clients = (await import(modules[sdk])).default;
  try {
    const answer = await clients[call](job, { piece, signal: leaving.signal });
    print(leaving.signal.aborted ? { aborted: true } : { answer });
  } catch (err) {
    print(leaving.signal.aborted ? { aborted: true } : { error: faultOf(err) });
  }
}

await run();
