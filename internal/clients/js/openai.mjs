// OpenAI's SDK: chat completions and responses, each as a plain iteration and by its
// helper. It takes Recoup-Resume from OPENAI_CUSTOM_HEADERS.

import OpenAI from 'openai';
import { headers, options, weather } from './job.mjs';

function chatParams(job) {
  const p = { model: job.model, messages: [{ role: 'user', content: job.prompt }] };
  if (job.tools) {
    p.tools = [{ type: 'function', function: { name: weather.name, description: weather.description, parameters: weather.schema } }];
  }
  return p;
}

function chatAnswer(c) {
  const choice = c.choices?.[0];
  return {
    text: choice?.message?.content ?? '',
    tools: (choice?.message?.tool_calls ?? []).map((t) => ({ name: t.function.name, arguments: t.function.arguments })),
    finish: choice?.finish_reason ?? '',
    usage: { input: c.usage?.prompt_tokens ?? 0, output: c.usage?.completion_tokens ?? 0 },
    complete: Boolean(choice?.finish_reason),
  };
}

async function chatCreate(job, { piece, signal }) {
  const client = new OpenAI(options(job));
  const request = { headers: headers(job), signal };
  if (job.call === 'plain') return chatAnswer(await client.chat.completions.create(chatParams(job), request));

  const stream = await client.chat.completions.create(
    { ...chatParams(job), stream: true, stream_options: { include_usage: true } }, request);
  const message = { content: '', tool_calls: [] };
  const done = { choices: [{ message, finish_reason: null }], usage: null };
  for await (const chunk of stream) {
    done.usage = chunk.usage ?? done.usage;
    const choice = chunk.choices[0];
    if (!choice) continue;
    for (const t of choice.delta.tool_calls ?? []) {
      message.tool_calls[t.index] ??= { function: { name: '', arguments: '' } };
      message.tool_calls[t.index].function.name += t.function?.name ?? '';
      message.tool_calls[t.index].function.arguments += t.function?.arguments ?? '';
    }
    message.content += choice.delta.content ?? '';
    done.choices[0].finish_reason = choice.finish_reason ?? done.choices[0].finish_reason;
    piece(choice.delta.content);
  }
  return chatAnswer(done);
}

async function chatStream(job, { piece, signal }) {
  const client = new OpenAI(options(job));
  const stream = client.chat.completions.stream(
    { ...chatParams(job), stream_options: { include_usage: true } }, { headers: headers(job), signal });
  stream.on('content', piece);
  return chatAnswer(await stream.finalChatCompletion());
}

function responseParams(job) {
  const p = { model: job.model, input: job.prompt };
  if (job.tools) {
    p.tools = [{ type: 'function', name: weather.name, description: weather.description, parameters: weather.schema, strict: true }];
  }
  return p;
}

function responseAnswer(r, text) {
  return {
    text: text ?? r?.output_text ?? '',
    tools: (r?.output ?? []).filter((i) => i.type === 'function_call').map((i) => ({ name: i.name, arguments: i.arguments })),
    finish: r?.status ?? '',
    usage: { input: r?.usage?.input_tokens ?? 0, output: r?.usage?.output_tokens ?? 0 },
    complete: r?.status === 'completed' || r?.status === 'incomplete',
  };
}

async function responsesCreate(job, { piece, signal }) {
  const client = new OpenAI(options(job));
  const request = { headers: headers(job), signal };
  if (job.call === 'plain') return responseAnswer(await client.responses.create(responseParams(job), request));

  let text = '';
  let last;
  for await (const event of await client.responses.create({ ...responseParams(job), stream: true }, request)) {
    if (event.type === 'response.output_text.delta') {
      text += event.delta;
      piece(event.delta);
    } else if (/^response\.(completed|incomplete|failed)$/.test(event.type)) {
      last = event.response;
    }
  }
  return responseAnswer(last, text);
}

async function responsesStream(job, { piece, signal }) {
  const client = new OpenAI(options(job));
  const stream = client.responses.stream(responseParams(job), { headers: headers(job), signal });
  stream.on('response.output_text.delta', (event) => piece(event.delta));
  return responseAnswer(await stream.finalResponse());
}

export default {
  'chat.create': chatCreate,
  'chat.stream': chatStream,
  'responses.create': responsesCreate,
  'responses.stream': responsesStream,
};
