package settle

import (
	"encoding/json"
	"fmt"

	"github.com/recoup-gateway/recoup/pricing"
)

// Priced is what of the evidence says how the amounts of a bill came about.
type Priced struct {
	Rates    pricing.Rates `json:"rates"`
	Hidden   int64         `json:"h"`
	AudioOut int64         `json:"audio"`
}

// PricedBy reads that from a posting's evidence, and no more: it is much the shorter
// part of it.
func PricedBy(evidence json.RawMessage) (Priced, error) {
	var e struct {
		History Priced `json:"history"`
	}
	if err := json.Unmarshal(evidence, &e); err != nil {
		return Priced{}, fmt.Errorf("settle: evidence of a posting: %w", err)
	}
	return e.History, nil
}
