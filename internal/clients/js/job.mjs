// What the calls of all SDKs have in common.

// headers are those that a call has of its own.
export function headers(job) {
  return job.key ? { 'Idempotency-Key': job.key } : {};
}

// defaults are the headers of a client, of an SDK that takes none from the
// environment.
export function defaults(job) {
  return job.auto ? { 'Recoup-Resume': 'auto' } : {};
}

// options are what is said to a client of OpenAI's and Anthropic's kind; what isn't
// is the SDK's default.
export function options(job) {
  const o = {};
  if (job.timeout_ms) o.timeout = job.timeout_ms;
  if (job.max_retries !== null) o.maxRetries = job.max_retries;
  return o;
}

// weather is the tool that a call may offer.
export const weather = {
  name: 'weather',
  description: 'The weather of the next days',
  schema: {
    type: 'object',
    properties: { city: { type: 'string' }, days: { type: 'integer' } },
    required: ['city', 'days'],
    additionalProperties: false,
  },
};
