// Google's SDK. It takes no headers from the environment, and retries nothing unless
// it is told to.

import { GoogleGenAI } from '@google/genai';
import { defaults, headers, weather } from './job.mjs';

function clientOf(job) {
  const httpOptions = { headers: { ...defaults(job), ...headers(job) } };
  if (job.timeout_ms) httpOptions.timeout = job.timeout_ms;
  if (job.max_retries !== null) httpOptions.retryOptions = { attempts: job.max_retries + 1 };
  return new GoogleGenAI({ apiKey: process.env.GEMINI_API_KEY, httpOptions });
}

function params(job, signal) {
  const p = { model: job.model, contents: job.prompt, config: { abortSignal: signal } };
  if (job.tools) {
    p.config.tools = [{ functionDeclarations: [{ name: weather.name, description: weather.description, parametersJsonSchema: weather.schema }] }];
  }
  return p;
}

function empty() {
  return { text: '', tools: [], finish: '', usage: { input: 0, output: 0 }, complete: false };
}

// add takes in a response, or a part of one.
function add(a, r) {
  const candidate = r.candidates?.[0];
  let text = '';
  for (const part of candidate?.content?.parts ?? []) {
    if (part.text && !part.thought) text += part.text;
    if (part.functionCall) a.tools.push({ name: part.functionCall.name, arguments: JSON.stringify(part.functionCall.args) });
  }
  a.text += text;
  a.finish = candidate?.finishReason ?? a.finish;
  a.complete = Boolean(a.finish);
  const u = r.usageMetadata;
  if (u) a.usage = { input: u.promptTokenCount ?? 0, output: (u.candidatesTokenCount ?? 0) + (u.thoughtsTokenCount ?? 0) };
  return text;
}

async function generateContent(job, { piece, signal }) {
  const client = clientOf(job);
  const a = empty();
  if (job.call === 'plain') {
    add(a, await client.models.generateContent(params(job, signal)));
    return a;
  }
  for await (const chunk of await client.models.generateContentStream(params(job, signal))) piece(add(a, chunk));
  return a;
}

export default { generateContent };
