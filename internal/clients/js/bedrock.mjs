// AWS's SDK: Bedrock's Converse. It reads no headers from the environment: they are added to its
// requests. It speaks HTTP/2, without TLS too.

import { BedrockRuntimeClient, ConverseCommand, ConverseStreamCommand } from '@aws-sdk/client-bedrock-runtime';
import { defaults, headers, weather } from './job.mjs';

function clientOf(job) {
  const o = {};
  if (job.max_retries !== null) o.maxAttempts = 1 + job.max_retries;
  if (job.timeout_ms) o.requestHandler = { requestTimeout: job.timeout_ms };
  const client = new BedrockRuntimeClient(o);
  client.middlewareStack.add(
    (next) => (args) => {
      Object.assign(args.request.headers, defaults(job), headers(job));
      return next(args);
    },
    { step: 'build' },
  );
  return client;
}

function params(job) {
  const p = { modelId: job.model, messages: [{ role: 'user', content: [{ text: job.prompt }] }] };
  if (job.tools) {
    const { name, description, schema } = weather;
    p.toolConfig = { tools: [{ toolSpec: { name, description, inputSchema: { json: schema } } }] };
  }
  return p;
}

function usageOf(u) {
  return { input: u.inputTokens + (u.cacheReadInputTokens ?? 0) + (u.cacheWriteInputTokens ?? 0), output: u.outputTokens };
}

async function plain(job, signal) {
  const m = await clientOf(job).send(new ConverseCommand(params(job)), { abortSignal: signal });
  const blocks = m.output.message.content;
  return {
    text: blocks.map((b) => b.text ?? '').join(''),
    tools: blocks.filter((b) => b.toolUse).map((b) => ({ name: b.toolUse.name, arguments: JSON.stringify(b.toolUse.input) })),
    finish: m.stopReason ?? '',
    usage: usageOf(m.usage),
    complete: Boolean(m.stopReason),
  };
}

async function converse(job, { piece, signal }) {
  if (job.call === 'plain') return plain(job, signal);
  const answer = { text: '', tools: [], finish: '', usage: { input: 0, output: 0 }, complete: false };
  const response = await clientOf(job).send(new ConverseStreamCommand(params(job)), { abortSignal: signal });
  for await (const event of response.stream) {
    const use = event.contentBlockStart?.start.toolUse;
    const delta = event.contentBlockDelta?.delta;
    if (use) answer.tools.push({ name: use.name, arguments: '' });
    if (delta?.toolUse) answer.tools.at(-1).arguments += delta.toolUse.input;
    if (delta?.text) {
      answer.text += delta.text;
      piece(delta.text);
    }
    if (event.messageStop) Object.assign(answer, { finish: event.messageStop.stopReason, complete: true });
    if (event.metadata) answer.usage = usageOf(event.metadata.usage);
  }
  return answer;
}

export default { converse };
