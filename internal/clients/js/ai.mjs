// Vercel's AI SDK, with its providers for OpenAI (responses and chat) and Anthropic.
// Its providers take the base URL and the key from the environment, and no headers.

import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAI } from '@ai-sdk/openai';
import { generateText, jsonSchema, streamText, tool } from 'ai';
import { defaults, headers, weather } from './job.mjs';

function params(job, model, signal) {
  const p = { model, prompt: job.prompt, headers: headers(job), abortSignal: signal };
  if (job.timeout_ms) p.timeout = job.timeout_ms;
  if (job.max_retries !== null) p.maxRetries = job.max_retries;
  if (job.tools) {
    p.tools = { [weather.name]: tool({ description: weather.description, inputSchema: jsonSchema(weather.schema) }) };
  }
  return p;
}

const whole = new Set(['stop', 'length', 'tool-calls', 'content-filter']);

function answer(text, calls, finish, usage) {
  return {
    text,
    tools: calls.map((c) => ({ name: c.toolName, arguments: JSON.stringify(c.input) })),
    finish,
    usage: { input: usage?.inputTokens ?? 0, output: usage?.outputTokens ?? 0 },
    complete: whole.has(finish),
  };
}

// by makes a client of a model. streamText throws nothing: an error is told to
// onError, or comes as a part of the stream.
function by(modelOf) {
  return async (job, { piece, signal }) => {
    const p = params(job, modelOf(job), signal);
    if (job.call === 'plain') {
      const r = await generateText(p);
      return answer(r.text, r.toolCalls, r.finishReason, r.usage);
    }
    let text = '';
    let failed;
    const r = streamText({ ...p, onError: ({ error }) => { failed ??= error; } });
    for await (const t of r.textStream) {
      text += t;
      piece(t);
    }
    if (failed) throw failed;
    if (signal.aborted) return null;
    return answer(text, await r.toolCalls, await r.finishReason, await r.usage);
  };
}

export default {
  'openai.responses': by((job) => createOpenAI({ headers: defaults(job) }).responses(job.model)),
  'openai.chat': by((job) => createOpenAI({ headers: defaults(job) }).chat(job.model)),
  anthropic: by((job) => createAnthropic({ headers: defaults(job) })(job.model)),
};
