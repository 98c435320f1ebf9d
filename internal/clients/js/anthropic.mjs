// Anthropic's SDK: messages, as a plain iteration and by its helper. It takes
// Recoup-Resume from ANTHROPIC_CUSTOM_HEADERS.

import Anthropic from '@anthropic-ai/sdk';
import { headers, options, weather } from './job.mjs';

function params(job) {
  const p = { model: job.model, max_tokens: 4096, messages: [{ role: 'user', content: job.prompt }] };
  if (job.tools) p.tools = [{ name: weather.name, description: weather.description, input_schema: weather.schema }];
  return p;
}

function answer(m, complete) {
  return {
    text: m.content.filter((b) => b.type === 'text').map((b) => b.text).join(''),
    tools: m.content.filter((b) => b.type === 'tool_use').map((b) => ({ name: b.name, arguments: JSON.stringify(b.input) })),
    finish: m.stop_reason ?? '',
    usage: {
      input: m.usage.input_tokens + (m.usage.cache_read_input_tokens ?? 0) + (m.usage.cache_creation_input_tokens ?? 0),
      output: m.usage.output_tokens,
    },
    complete: complete ?? Boolean(m.stop_reason),
  };
}

async function create(job, { piece, signal }) {
  const client = new Anthropic(options(job));
  const request = { headers: headers(job), signal };
  if (job.call === 'plain') return answer(await client.messages.create(params(job), request));

  const m = { content: [], stop_reason: null, usage: { input_tokens: 0, output_tokens: 0 } };
  let stopped = false;
  for await (const event of await client.messages.create({ ...params(job), stream: true }, request)) {
    const block = m.content[event.index];
    switch (event.type) {
      case 'message_start':
        m.usage = { ...event.message.usage };
        break;
      case 'content_block_start':
        m.content[event.index] = { ...event.content_block, json: '' };
        break;
      case 'content_block_delta':
        if (event.delta.type === 'text_delta') {
          block.text += event.delta.text;
          piece(event.delta.text);
        } else if (event.delta.type === 'input_json_delta') {
          block.json += event.delta.partial_json;
        }
        break;
      case 'content_block_stop':
        if (block.type === 'tool_use') block.input = JSON.parse(block.json || '{}');
        break;
      case 'message_delta':
        m.stop_reason = event.delta.stop_reason;
        m.usage.output_tokens = event.usage.output_tokens;
        break;
      case 'message_stop':
        stopped = true;
        break;
    }
  }
  return answer(m, stopped);
}

async function stream(job, { piece, signal }) {
  const client = new Anthropic(options(job));
  const s = client.messages.stream(params(job), { headers: headers(job), signal });
  s.on('text', piece);
  return answer(await s.finalMessage());
}

export default { 'messages.create': create, 'messages.stream': stream };
