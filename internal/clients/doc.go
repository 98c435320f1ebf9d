// Package clients tests the gateway with the SDKs that people use, as they are, each in
// a process of its own, since only a process can be killed. It has no code of its own.
//
//	site_test.go      a simulated provider, a gateway as a process, a way to break connections between
//	client_test.go    the clients: what each can do, and a process that makes one call
//	js/, python/      the drivers of the SDKs in JavaScript and Python; that of the Go SDKs is this test binary
//	litellm_test.go   LiteLLM as a proxy, in front of the gateway and behind it
//	docs/clients.md   has a table of what was found, compared with each run; -update writes it
//
// A driver is told of its job by the environment:
//
//	OPENAI_BASE_URL, ANTHROPIC_BASE_URL, GOOGLE_GEMINI_BASE_URL
//	OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY
//	AWS_ENDPOINT_URL_BEDROCK_RUNTIME, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_DEFAULT_REGION
//	OPENAI_CUSTOM_HEADERS, ANTHROPIC_CUSTOM_HEADERS   "Recoup-Resume: auto" where the job says auto
//	RECOUP_CLIENT_JOB                                 a job, in JSON
//
// Members of the job, all always there:
//
//	client        "openai-js/chat.create": which SDK, and which way to use it
//	call          "plain" or "stream"
//	tools         offer the tool "weather" (city: string, days: integer)
//	key           sent as Idempotency-Key, by the way that the SDK's users would take; "": none
//	auto          send Recoup-Resume: auto. An SDK that reads *_CUSTOM_HEADERS does it by that alone, others by default headers
//	timeout_ms    the SDK's own timeout; 0: its default
//	max_retries   the SDK's own retries; null: its default
//	abort_after   pieces of text after which the call is broken off, as the SDK has it; 0: never
//	model, prompt
//
// It prints lines of JSON, each at once: {"delta":"text"} for each piece of text, and at the end one of
//
//	{"answer":{"text":"…","tools":[{"name":"…","arguments":"…"}],"finish":"…","usage":{"input":1,"output":2},"complete":true}}
//	{"error":{"class":"…","status":401,"code":null,"type":"…","message":"…"}}
//	{"aborted":true}
//
// finish is the SDK's own word; input includes what was cached. complete is what a careful application would think,
// from what the SDK shows it: there is a finish reason, the final message was reached.
// In an error, null is what the SDK doesn't say. Its exit code is 0 in all these cases.
package clients
