package vendor

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/recoup-gateway/recoup/internal/token"
)

// openAI is a result of OpenAI's usage or costs.
type openAI struct {
	Object    string  `json:"object"`
	ProjectID *string `json:"project_id"`
	APIKeyID  *string `json:"api_key_id"`

	Amount struct {
		Value    decimal `json:"value"`
		Currency string  `json:"currency"`
	} `json:"amount"`
	LineItem *string `json:"line_item"`

	Model       *string `json:"model"`
	Batch       *bool   `json:"batch"`
	ServiceTier *string `json:"service_tier"`
	Input       int64   `json:"input_tokens"` // all of it
	Cached      int64   `json:"input_cached_tokens"`
	CacheWrite  *int64  `json:"input_cache_write_tokens"`
	Output      int64   `json:"output_tokens"`
	Requests    *int64  `json:"num_model_requests"`
}

const (
	openAICost  = "organization.costs.result"
	openAIUsage = "organization.usage.completions.result"
)

func openAIResult(raw json.RawMessage) (*Row, error) {
	var o openAI
	if err := json.Unmarshal(raw, &o); err != nil {
		return nil, err
	}
	r := &Row{Vendor: OpenAI, Project: text(o.ProjectID), APIKey: text(o.APIKeyID)}
	switch o.Object {
	case openAICost:
		if o.LineItem == nil {
			return nil, errors.New("it has no line_item: the costs must be grouped by it, or no model can be told")
		}
		return r, r.openAICost(*o.LineItem, string(o.Amount.Value), o.Amount.Currency)
	case openAIUsage:
		if o.Model == nil {
			return nil, errNoModel
		}
		r.Kind, r.Model, r.Tier = Usage, *o.Model, Tier(text(o.ServiceTier))
		if o.Batch != nil && *o.Batch {
			r.Tier = "batch"
		}
		r.AnyTier = o.ServiceTier == nil && o.Batch == nil
		if o.Requests != nil {
			r.Requests = token.Known(*o.Requests)
		}
		r.NoWrites = o.CacheWrite == nil
		writes := int64(0)
		if o.CacheWrite != nil {
			writes = *o.CacheWrite
		}
		return r, r.openAITokens(o.Input, o.Cached, writes, o.Output)
	}
	return nil, fmt.Errorf("object %.60q: want %s or %s", o.Object, openAIUsage, openAICost)
}

// openAICost fills in a cost. A line item is "model, kind", in words that are not
// documented: only the model is taken from it.
func (r *Row) openAICost(item, value, currency string) (err error) {
	r.Kind, r.Item, r.AnyTier = Cost, item, true
	r.Model, _, _ = strings.Cut(item, ",")
	r.Model = strings.TrimSpace(r.Model)
	r.Amount, err = money(value, currency, 1)
	return err
}

func (r *Row) openAITokens(input, cached, writes, output int64) error {
	if cached < 0 || writes < 0 || cached+writes > input {
		return fmt.Errorf("%d input tokens, %d of them from a cache and %d to one", input, cached, writes)
	}
	r.Tokens = Tokens{Input: input - cached - writes, CacheRead: cached, CacheWrite5m: writes, Output: output}
	return nil
}
