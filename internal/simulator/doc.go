// Package simulator is a provider that lives on this machine: an HTTP server
// that speaks OpenAI Chat Completions, Responses and Completions, Anthropic
// Messages, Gemini's generateContent and Interactions, Cohere's chat, and Amazon
// Bedrock's Converse and InvokeModel (for models of Anthropic's and Titan) as the
// real ones do, streamed and not, does on request everything that real ones do by
// accident, and keeps its own bill.
//
// It is the independent witness of the accounting tests, the benchmarks and
// the demo, so it imports nothing of the gateway: what it says a request cost
// was counted by other code than the code under test.
//
// A request's behaviour is a [Script], taken from the first of these that has
// one: the queue filled by [Simulator.Next] (generating calls only), the hook
// set by [Simulator.On], the header X-Simulator-Script (JSON, so that any
// client can send it through a gateway), the request body's user (chat) or
// metadata.user_id (messages) when it begins with "sim:", and
// [Options].Default.
//
// What it guarantees:
//
//   - Output tokens are the simulator's own: a text is made of them, so counts
//     are exact by construction. Without Script.Text or Script.Unicode each is
//     also one token of OpenAI's o200k_base and cl100k_base.
//   - An [Entry] is written for every request, in order of arrival, and says
//     what is billed, which the script decides and not what was sent. It is
//     final before the connection is cut, and at the latest when
//     [Simulator.WaitIdle] returns.
//   - No goroutine outlives [Server.Close], whatever a script is waiting for.
//
// What it does not do: TLS, WebSockets, other dialects (a [Replay]
// of a recording answers on any path), stored responses (what a call in the
// background generates is billed, and can't be fetched), tool execution, or
// checking that a request makes sense beyond being a JSON object.
//
// Beside the API, a process that is not ours can reach it at GET
// /simulator/bill, POST /simulator/next (a JSON array of scripts), POST
// /simulator/release, POST /simulator/reset and GET /simulator/readyz, which says
// that it is there. These need no credential and make no entry. Nor do the reports of
// usage and costs of an organization's admin API, OpenAI's and Anthropic's, which want
// a key: GET /v1/organization/usage/completions and /v1/organization/costs, GET
// /v1/organizations/usage_report/messages and /v1/organizations/cost_report.
package simulator
