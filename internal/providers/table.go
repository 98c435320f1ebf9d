package providers

// What several entries say.
const (
	billingStops = "billing_stops"
	billedInFull = "billed_in_full"
	unknown      = "unknown"

	openai    = "openai"
	anthropic = "anthropic"
	gemini    = "gemini"
	cohere    = "cohere"
	bedrock   = "bedrock"

	read = "November 2026"

	bearer = "`Authorization: Bearer`"
	google = "`x-goog-api-key`, `?key=`, or a bearer token"
)

// resold is a reseller's list of those whose streams it can cancel. It is old: it
// names services that are gone.
var resold = Evidence{Reseller, read, []Link{{"OpenRouter", "https://openrouter.ai/docs/api-reference/streaming"}}}

var nothing = Evidence{Grade: Nothing, Read: read}

var table = []Provider{
	{
		Name: "openai", Title: "OpenAI", BaseURL: "https://api.openai.com", Hosts: []string{"api.openai.com", ".api.openai.com"},
		Dialect: openai, GenAI: "openai", OnCancel: billingStops, Evidence: resold,
		Credentials: bearer,
		Usage: "Chat and Completions: a chunk of its own behind the finish chunk, only where `include_usage` asks for it; the gateway asks. " +
			"Responses: in the event that ends the answer. Output includes reasoning and rejected predictions.",
		Failures: "A content filter ends an answer normally, with usage. `response.failed` has none. A response in the background is generated to its end, whoever leaves; it is read to its end.",
		Open: "Its documentation doesn't say what a cut stream is billed, or how many tokens follow a cut. Users report that a cancelled response in the background states no usage, then or later. " +
			"Whether a failed response is billed.",
		Links: []Link{
			{"include_usage", "https://docs.rs/openai-struct/latest/openai_struct/models/struct.ChatCompletionStreamOptions.html"},
			{"background", "https://developers.openai.com/docs/guides/background"},
			{"cancelled responses", "https://community.openai.com/t/cancelling-stream-does-not-show-usage/1377768"},
		},
	},
	{
		Name: "anthropic", Title: "Anthropic", BaseURL: "https://api.anthropic.com", Hosts: []string{"api.anthropic.com"},
		Dialect: anthropic, GenAI: "anthropic", OnCancel: billingStops, Evidence: resold,
		Credentials: "`x-api-key`, or " + bearer,
		Usage: "Input in `message_start`, all of it in the last `message_delta`. Input excludes the caches. What the start says of output is a placeholder. " +
			"With compaction or an advisor the bill is the sum of `iterations[]`, of which some may be another model's.",
		Failures: "A refusal is `stop_reason: refusal`; its output so far is billed. Since 2026 one before any output is said to be free. `event: error` may follow a 200. " +
			"`pause_turn` completes the answer: what follows is another call.",
		Open: "Its documentation doesn't say what a cut stream is billed, nor what text is billed before an `error`. " +
			"A refusal before any output is booked as its report says, since a report with a price of nothing looks like any other.",
		Links: []Link{
			{"refusals", "https://platform.claude.com/docs/en/test-and-evaluate/strengthen-guardrails/handle-streaming-refusals.md"},
			{"free refusals, second-hand", "https://usingclaude.com/en/news/updates/on-the-claude-api-you-are-no-longer-billed-for-a-r-59d414a0"},
			{"iterations, second-hand", "https://velog.io/@jungseonw00/claude-compaction-usage-iterations"},
		},
	},
	{
		Name: "gemini", Title: "Google Gemini API", BaseURL: "https://generativelanguage.googleapis.com", Hosts: []string{"generativelanguage.googleapis.com"},
		Dialect: gemini, GenAI: "gcp.gemini", OnCancel: billedInFull, Evidence: googleCancel,
		Credentials: google, Usage: googleUsage, Failures: googleFailures, Open: googleOpen, Links: googleLinks,
	},
	{
		Name: "vertex", Title: "Google Vertex AI", Example: "https://{region}-aiplatform.googleapis.com", Hosts: []string{"aiplatform.googleapis.com", ".aiplatform.googleapis.com", "-aiplatform.googleapis.com"},
		Dialect: gemini, GenAI: "gcp.vertex_ai", OnCancel: billedInFull, Evidence: googleCancel,
		Credentials: "a bearer token", Usage: googleUsage, Failures: googleFailures, Open: googleOpen, Links: googleLinks,
	},
	{
		Name: "azure", Title: "Azure OpenAI", Example: "https://{resource}.openai.azure.com",
		Hosts:   []string{".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com"},
		Dialect: openai, GenAI: "azure.ai.openai", OnCancel: billingStops, Evidence: resold,
		Deployments: true, KeyHeader: "Api-Key", BillsFilter: true,
		Credentials: "`api-key`, or a bearer token of Entra",
		Usage: "As OpenAI. The first chunk of a chat has no choice and no usage, but what the filter found in the prompt. " +
			"A deployment's name is not a model: what is billed is the model that the answer names.",
		Failures: "A prompt that the filter refuses (400, `content_filter`) is billed, as is an answer that it ends. What is not 200 may be billed too if it was worked on, such as a timeout (408).",
		Open:     "Its documentation doesn't say what a cut stream is billed. A call that was cut before the answer named its model is unpriced.",
		Links: []Link{
			{"costs", "https://github.com/MicrosoftDocs/azure-docs/commit/b996ab3"},
			{"content filter", "https://github.com/MicrosoftDocs/azure-docs/commit/332e11d"},
			{"deployments as models", "https://raw.githubusercontent.com/openai/openai-node/HEAD/azure.md"},
		},
	},
	{
		Name: "bedrock", Title: "Amazon Bedrock", Example: "https://bedrock-runtime.{region}.amazonaws.com",
		Hosts:   []string{"bedrock-runtime.*.amazonaws.com", "bedrock-runtime-fips.*.amazonaws.com"},
		Dialect: bedrock, GenAI: "aws.bedrock", OnCancel: billedInFull,
		Evidence: Evidence{Bill, read, []Link{
			{"LiteLLM 34147", "https://github.com/BerriAI/litellm/issues/34147"}, {"36008", "https://github.com/BerriAI/litellm/pull/36008"}, {"37558", "https://github.com/BerriAI/litellm/pull/37558"},
		}},
		Credentials: "a signature by AWS, or a Bedrock API key as " + bearer,
		Usage:       "ConverseStream: the frame `metadata` behind `messageStop`. InvokeModel: `amazon-bedrock-invocationMetrics` in the last chunk, absent where a guardrail cuts. Input excludes the caches.",
		Failures:    "A guardrail ends an answer with `guardrail_intervened` and usage.",
		Open:        "What is billed where an exception ends a stream.",
	},
	{
		Name: "cohere", Title: "Cohere", BaseURL: "https://api.cohere.com", Hosts: []string{"api.cohere.com", "api.cohere.ai"},
		Dialect: cohere, GenAI: "cohere", OnCancel: unknown, Evidence: nothing,
		Credentials: bearer,
		Usage:       "In `message-end`. Billed is `billed_units`; `tokens` counts the provider's own prompts too.",
		Failures:    "`finish_reason` `ERROR` or `TIMEOUT`, or an `error`, is a failure.",
		Open:        "What a cut stream is billed.",
	},
	{
		Name: "deepseek", Title: "DeepSeek", BaseURL: "https://api.deepseek.com", Hosts: []string{"api.deepseek.com"},
		Dialect: openai, GenAI: "deepseek", OnCancel: billingStops, Evidence: resold, Unasked: true,
		Credentials: bearer,
		Usage:       "On the finish chunk, unasked; `prompt_cache_hit_tokens` and `prompt_cache_miss_tokens` are the input. Output includes reasoning.",
		Failures:    "`: keep-alive` comments while it waits; after 10 minutes without inference it closes the connection.",
		Open:        "Its documentation doesn't say what a cut stream is billed.",
		Links:       []Link{{"rate limit", "https://api-docs.deepseek.com/quick_start/rate_limit"}},
	},
	{
		Name: "groq", Title: "Groq", BaseURL: "https://api.groq.com", Hosts: []string{"api.groq.com"},
		Dialect: openai, GenAI: "groq", OnCancel: billedInFull, Evidence: resold, Unasked: true,
		Credentials: bearer + ". Paths begin with `/openai/v1`",
		Usage:       "On the finish chunk, unasked, twice: `x_groq.usage` and `usage`.",
		Failures:    "`event: error` ends a stream without usage: a failure, booked as estimated.",
		Open:        "Whether a stream that ends with an error is billed.",
	},
	{
		Name: "mistral", Title: "Mistral", BaseURL: "https://api.mistral.ai", Hosts: []string{"api.mistral.ai", "codestral.mistral.ai"},
		Dialect: openai, GenAI: "mistral_ai", OnCancel: billedInFull, Evidence: resold, Unasked: true,
		Credentials: bearer,
		Usage:       "On the finish chunk, unasked; a call that asks for it may be refused (422). Reasoning is not told apart. Content may be a list of parts.",
		Open:        "What is billed where an error ends a stream. `/v1/fim/completions` and `/v1/agents/completions` are passed through.",
		Links:       []Link{{"refuses stream_options", "https://github.com/openai/openai-agents-python/issues/442"}},
	},
	{
		Name: "xai", Title: "xAI", BaseURL: "https://api.x.ai", Hosts: []string{"api.x.ai", ".api.x.ai"},
		Dialect: openai, GenAI: "x_ai", OnCancel: billingStops, Evidence: resold,
		Credentials: bearer,
		Usage: "A chunk of its own behind the finish chunk. In Chat `completion_tokens` excludes reasoning, which the total gives away; in Responses it includes it. " +
			"The cost is stated, in ticks of a ten-thousandth of a millionth of a dollar.",
		Open: "Its documentation doesn't say what a cut stream is billed, nor one that an error ends.",
	},
	{
		Name: "openrouter", Title: "OpenRouter", BaseURL: "https://openrouter.ai/api", Hosts: []string{"openrouter.ai"},
		Dialect: openai, OnCancel: unknown, Evidence: Evidence{Official, read, []Link{{"streaming", "https://openrouter.ai/docs/api-reference/streaming"}}}, Unasked: true,
		Credentials: bearer,
		Usage:       "On a last chunk that has a choice, always; `usage.cost` is the bill. With a provider's key of your own it is only the fee, and not taken for the cost.",
		Failures:    "An error comes as data, in a chunk with the usage. `: OPENROUTER PROCESSING` comments while it waits. A call that is not streamed is billed in full.",
		Open:        "A cut stream is billed as the provider behind it does: its list names those that stop. `GET /api/v1/generation?id=` tells afterwards, call by call, what was billed.",
		Links: []Link{
			{"usage", "https://openrouter.ai/docs/use-cases/usage-accounting"},
			{"generation", "https://openrouter.ai/docs/agent-sdk/typescript/operations/getgenerationresponse"},
		},
	},
	{
		Name: "perplexity", Title: "Perplexity", BaseURL: "https://api.perplexity.ai", Hosts: []string{"api.perplexity.ai"},
		Dialect: openai, GenAI: "perplexity", OnCancel: billedInFull, Evidence: resold, Unasked: true,
		Credentials: bearer,
		Usage:       "On every chunk, cumulative, with the cost: the last one counts. There is no `[DONE]`.",
		Open:        "What is billed where an error ends a stream.",
	},
	{
		Name: "novita", Title: "Novita", BaseURL: "https://api.novita.ai", Hosts: []string{"api.novita.ai"},
		Dialect: openai, OnCancel: billingStops, Evidence: Evidence{Official, read, []Link{{"billing", "https://novita.ai/docs/guides/llm-billing"}}},
		Credentials: bearer,
		Usage:       "As OpenAI.",
		Failures:    "500, 503 and 504 are not charged. A call whose client left (499) is charged for what it used.",
	},
	{
		Name: "vllm", Title: "vLLM, TGI and SGLang", Example: "http://10.0.0.5:8000",
		Dialect: openai, OnCancel: billingStops,
		Evidence: Evidence{SecondHand, read, []Link{
			{"vLLM", "https://discuss.vllm.ai/t/how-is-vllm-handling-internal-queue-requests/2615"}, {"TGI", "https://github.com/huggingface/text-generation-inference/issues/495"},
		}},
		Credentials: "none, or " + bearer,
		Usage: "As OpenAI; with `continuous_usage_stats` running usage on every chunk, which is the best evidence of a stream that is cut. " +
			"One of two recorded streams that asked for a report got none.",
		Failures: "An error may have no member `error` but `\"object\":\"error\"`.",
		Open:     "Nobody sends a bill. What an hour of your hardware costs is not in the price book: give it prices of your own.",
		Links:    []Link{{"continuous usage", "https://docs.rs/dynamo-protocols/latest/dynamo_protocols/types/struct.ChatCompletionStreamOptions.html"}},
	},
	{
		Name: "ollama", Title: "Ollama", Example: "http://127.0.0.1:11434", Hosts: []string{"ollama.com"},
		Dialect: openai, OnCancel: unknown, Evidence: nothing,
		Credentials: "none; of its cloud " + bearer,
		Usage:       "As OpenAI.",
		Open:        "Its own API, `/api/chat` and `/api/generate` in lines of JSON, is passed through: not kept, not in the books.",
	},
}

// Google's two APIs are one product.
var (
	googleCancel = Evidence{Official, read, []Link{{"abortSignal", "https://googleapis.github.io/js-genai/release_docs/interfaces/types.GetOperationConfig.html"}}}
	googleLinks  = []Link{{"billing", "https://ai.google.dev/gemini-api/docs/billing"}, {"interactions", "https://ai.google.dev/gemini-api/docs/interactions/streaming.md.txt"}}
)

const (
	googleUsage = "`usageMetadata` on every chunk, cumulative. Thoughts are billed as output, beside the candidates' tokens; what tools fetched is input. " +
		"Interactions: in `interaction.completed`, in the same parts."
	googleFailures = "400 and 500 are not charged. A blocked answer reports usage."
	googleOpen     = "What is billed where a 500 comes in mid-stream, behind text."
)
