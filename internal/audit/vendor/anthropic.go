package vendor

import (
	"encoding/json"
	"errors"
	"strings"
)

// anthropic is a result of Anthropic's usage or cost report.
type anthropic struct {
	APIKeyID      *string `json:"api_key_id"`
	WorkspaceID   *string `json:"workspace_id"`
	Model         *string `json:"model"`
	ServiceTier   *string `json:"service_tier"`
	ContextWindow *string `json:"context_window"`
	Speed         *string `json:"speed"`

	Uncached *int64 `json:"uncached_input_tokens"`
	Read     int64  `json:"cache_read_input_tokens"`
	Creation struct {
		Short int64 `json:"ephemeral_5m_input_tokens"`
		Long  int64 `json:"ephemeral_1h_input_tokens"`
	} `json:"cache_creation"`
	Output int64 `json:"output_tokens"`

	Amount      *decimal `json:"amount"` // cents
	Currency    string   `json:"currency"`
	CostType    *string  `json:"cost_type"`
	Description *string  `json:"description"`
}

func anthropicResult(raw json.RawMessage) (*Row, error) {
	var a anthropic
	if err := json.Unmarshal(raw, &a); err != nil {
		return nil, err
	}
	r := &Row{
		Vendor: Anthropic, Model: text(a.Model), Tier: anthropicTier(text(a.ServiceTier), text(a.Speed)), Context: text(a.ContextWindow),
		Project: text(a.WorkspaceID), APIKey: text(a.APIKeyID), AnyTier: a.ServiceTier == nil,
	}
	switch {
	case a.Amount != nil && a.Model == nil && a.CostType == nil:
		return nil, errors.New("it has no description: the costs must be grouped by it, or no model can be told")
	case a.Amount != nil:
		r.Kind, r.Item = Cost, text(a.CostType)
		var err error
		r.Amount, err = money(string(*a.Amount), a.Currency, 100)
		return r, err
	case a.Uncached == nil:
		return nil, errors.New("it has neither amount nor uncached_input_tokens: want a usage or a cost report")
	case a.Model == nil:
		return nil, errNoModel
	}
	r.Kind = Usage
	r.Tokens = Tokens{*a.Uncached, a.Read, a.Creation.Short, a.Creation.Long, a.Output}
	return r, nil
}

func anthropicTier(tier, speed string) string {
	if tier = Tier(tier); tier == "" && strings.EqualFold(speed, "fast") {
		return "fast"
	}
	return tier
}

// modelID makes of a model's name as the console shows it what the API calls it:
// "Claude Haiku 4.5" is claude-haiku-4-5.
func modelID(name string) string {
	return strings.NewReplacer(" ", "-", ".", "-").Replace(strings.ToLower(name))
}
