package metrics

import "slices"

// Names of labels.
const (
	labelProvider  = "provider"
	labelModel     = "model"
	labelDirection = "direction"
	labelOutcome   = "outcome"
	labelCause     = "cause"
	labelBasis     = "basis"
	labelReason    = "reason"
	labelKind      = "kind"
	labelSign      = "sign"
	labelState     = "state"
	labelVia       = "via"
	labelResult    = "result"
	labelAt        = "at"
	labelErrorType = "error_type"
	labelEndpoint  = "endpoint"
	labelVersion   = "version"
	labelPart      = "part"
)

// Labels of the GenAI instruments, as Prometheus has them.
const (
	labelGenAIOperation     = "gen_ai_operation_name"
	labelGenAIProvider      = "gen_ai_provider_name"
	labelGenAIRequestModel  = "gen_ai_request_model"
	labelGenAIResponseModel = "gen_ai_response_model"
	labelGenAIModality      = "gen_ai_token_modality"
	labelGenAIErrorType     = labelErrorType
)

// TagPrefix is what the label of a tag begins with, for those that label_tags
// names: team becomes tag_team.
const TagPrefix = "tag_"

// Values that stand for others.
const (
	Other    = "other" // a tag's value beyond the cap; a model that the price book doesn't know
	Untagged = ""      // a call without the tag: Prometheus holds such a label for absent
)

// A Label says what values a label has.
type Label struct {
	Name   string
	Values string // in words, Markdown
}

// Labels says what values each label has, in alphabetical order.
func Labels() []Label {
	all := []Label{
		{labelProvider, "name of a configured provider; `unknown` of a resume that found no stream"},
		{labelModel, "the model's id in the price book (`recoup prices`), else `other`"},
		{labelDirection, "`input`, `output`"},
		{labelOutcome, "`delivered`, `wasted` (written, but the answer never completed), `lost` (never received)"},
		{labelCause, "of delivered: `live`, `resumed`, `cancelled`; of wasted and lost: `damaged`, `cancelled`, `upstream`, `crash`, `superseded`, `abandoned`, of lost also `tail`; of input: that of most of its output; of breaks: `client`, `gateway`, `slow_reader`"},
		{labelBasis, "`reported` by the provider, or `estimated`"},
		{labelReason, "of missed resumes: `not-opted-in`, `ended`, `other-mode`; of unpriced attempts: why there is no rate; of adjustments: `reconciled`, `late_usage`, `price_variance`, `correction`"},
		{labelKind, "of input: `input`, `cache_read`, `cache_write_5m`, `cache_write_1h`; of overhead: `unclaimed`, `retry`, `crash`"},
		{labelSign, "`plus`, `minus`"},
		{labelState, "`attached`, `orphaned`"},
		{labelVia, "`id`, `key`, `retry`, `auto`"},
		{labelResult, "`completed`, `interrupted`, `expired`, `not_found`"},
		{labelAt, "`upstream` (received from the provider), `client` (written to the client)"},
		{labelErrorType, "an HTTP status, `no_response`, `error_event`, `cut`, `cancelled`, `gateway`"},
		{labelEndpoint, "first segment of the path, of a closed set, else `other`"},
		{labelVersion, "a version"},
		{labelPart, "`log`, `ledger`"},
		{labelGenAIOperation, "`chat`, `generate_content` of Gemini, `text_completion` of the older Completions"},
		{labelGenAIProvider, "OpenTelemetry's name of the provider: `openai`, `anthropic`, `gcp.gemini`, …, else the configured one"},
		{labelGenAIRequestModel, "as `model`"},
		{labelGenAIResponseModel, "as `model`"},
		{labelGenAIModality, "`unknown` where the provider reported no usage, which then counts as 0; else not there"},
		{TagPrefix + "…", "one label for each of `label_tags`; the first 50 values of each tag, then `other`"},
	}
	slices.SortFunc(all, func(a, b Label) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return all
}
