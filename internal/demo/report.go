package demo

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/recoup-gateway/recoup/pricing"
)

// Report is all that the demo found. Its JSON form is a contract: tokens are
// integers, money is decimal strings of dollars.
type Report struct {
	ProviderBill   providerBill        `json:"provider_bill"`
	Billed         billed              `json:"billed"` // after the reconciliation
	Reconciliation reconciliation      `json:"reconciliation"`
	Outcomes       outcomes            `json:"outcomes"`
	Saved          saved               `json:"saved"`
	Overhead       map[string]overhead `json:"overhead"`
	Missed         missed              `json:"missed"`
	Net            pricing.Sum         `json:"net_usd"`
	Imbalance      int64               `json:"imbalance_tokens"`
	ByModel        map[string]byModel  `json:"by_model"`

	before   summary // what the gateway had by itself
	accounts []account
	attempts int
	findings []string // what is unexplained or out of bounds, as the gateway says it
	late     string   // why it was not waited any longer; "": all was settled
}

type providerBill struct {
	Requests int `json:"requests"`
	billed
}

type billed struct {
	InputTokens  int64       `json:"input_tokens"`
	OutputTokens int64       `json:"output_tokens"`
	USD          pricing.Sum `json:"usd"`
}

type reconciliation struct {
	Reported    int   `json:"attempts_reported"`
	Estimated   int   `json:"attempts_estimated"`
	Difference  int64 `json:"difference_tokens"`
	Revisions   int   `json:"posted_revisions"`
	Unexplained int64 `json:"unexplained_tokens"`
}

type outcomes struct {
	Delivered map[string]int64 `json:"delivered"`
	Wasted    map[string]int64 `json:"wasted"`
	Lost      map[string]int64 `json:"lost"`
	Pending   int64            `json:"pending"`
}

type saved struct {
	OutputTokens int64       `json:"output_tokens"`
	InputTokens  int64       `json:"input_tokens"`
	USD          pricing.Sum `json:"usd"`
	Upper        pricing.Sum `json:"usd_upper"`
}

type overhead struct {
	Tokens int64       `json:"tokens"`
	USD    pricing.Sum `json:"usd"`
}

type missed struct {
	Calls int64       `json:"calls"`
	USD   pricing.Sum `json:"usd"`
}

type byModel struct {
	OutputTokens int64       `json:"output_tokens"`
	USD          pricing.Sum `json:"usd"`
	SavedUSD     pricing.Sum `json:"saved_usd"`
}

// newReport puts together what the provider billed, what the gateway had before
// it saw that, and what it has since.
func newReport(total providerBill, before summary, r reconciled, after summary) *Report {
	report := &Report{
		ProviderBill: total, Billed: after.Billed, Reconciliation: r.reconciliation, Outcomes: after.Outcomes, Saved: after.Saved,
		Overhead: after.Overhead, Missed: after.Missed, Net: after.Net, Imbalance: after.Imbalance, ByModel: after.ByModel,
		before: before, accounts: after.Accounts, attempts: after.attempts(),
	}
	for _, f := range append(r.Findings, r.OutOfBounds...) {
		report.findings = append(report.findings, f.Text)
	}
	return report
}

// WriteJSON writes the report as one JSON object.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	if err := e.Encode(r); err != nil {
		return fmt.Errorf("demo: print: %w", err)
	}
	return nil
}
