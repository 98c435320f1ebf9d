// LangChain's model for OpenAI. The SDK within takes Recoup-Resume from OPENAI_CUSTOM_HEADERS;
// a key is a header of the model, so that each call needs a model of its own.

import { ChatOpenAI } from '@langchain/openai';
import { headers, weather } from './job.mjs';

function modelOf(job) {
  const fields = { model: job.model, configuration: { defaultHeaders: headers(job) } };
  if (job.timeout_ms) fields.timeout = job.timeout_ms;
  if (job.max_retries !== null) fields.maxRetries = job.max_retries;
  const model = new ChatOpenAI(fields);
  if (!job.tools) return model;
  return model.bindTools([{ type: 'function', function: { name: weather.name, description: weather.description, parameters: weather.schema } }]);
}

function answer(m) {
  const finish = m?.response_metadata?.finish_reason ?? '';
  return {
    text: m?.text ?? '',
    tools: (m?.tool_calls ?? []).map((c) => ({ name: c.name, arguments: JSON.stringify(c.args) })),
    finish,
    usage: { input: m?.usage_metadata?.input_tokens ?? 0, output: m?.usage_metadata?.output_tokens ?? 0 },
    complete: Boolean(finish),
  };
}

async function openai(job, { piece, signal }) {
  const model = modelOf(job);
  if (job.call === 'plain') return answer(await model.invoke(job.prompt, { signal }));
  let whole;
  for await (const chunk of await model.stream(job.prompt, { signal })) {
    whole = whole === undefined ? chunk : whole.concat(chunk);
    piece(chunk.text);
  }
  return answer(whole);
}

export default { openai };
