package report

import (
	"time"

	"github.com/recoup-gateway/recoup/pricing"
)

// Schema names the JSON form of a Report. What is added to it leaves the name as it
// is; what is changed or taken away makes another.
const Schema = "recoup.audit/1"

// Report is an audit. Money is decimal strings of US dollars, exact to the picodollar;
// tokens of input are without uses of tools.
type Report struct {
	Schema    string      `json:"schema"`
	Window    Window      `json:"window"`
	Incident  *Incident   `json:"incident,omitempty"` // that was asked for
	By        []Dimension `json:"by"`                 // the grouping that was asked for
	Total     Figures     `json:"total"`
	Overhead  []Named     `json:"overhead_by_kind"` // by kind
	Certain   Certainty   `json:"certainty"`
	Bills     Bills       `json:"reconciliation"`
	TopCause  *Top        `json:"top_cause,omitempty"` // of the cost
	TopTeam   *Top        `json:"top_team,omitempty"`
	TeamTag   string      `json:"team_tag"` // the tag that it is by
	Uncovered Uncovered   `json:"not_covered"`
	// Placeholders are models whose price is no published one, but a placeholder.
	Placeholders []string    `json:"placeholder_prices"`
	Prices       []PriceBook `json:"price_books"`
	Head         Head        `json:"ledger_head"`
	Groups       []Group     `json:"groups"` // by By
	// GroupsTotal is what Groups come to where that is not Total: of an incident that is
	// final, in another grouping than those that were stored, if the books have changed.
	GroupsTotal *Figures  `json:"groups_total,omitempty"`
	ByCause     []Group   `json:"by_cause"`
	ByModel     []Group   `json:"by_model"`
	ByTag       []Group   `json:"by_team"`
	ByHour      []Group   `json:"by_hour"`
	Auto        Auto      `json:"auto_would_have_saved"`
	Streams     []Stream  `json:"streams"`
	Siblings    []Sibling `json:"cheaper_siblings"`
	Timeline    Timeline  `json:"timeline"`
	// Later is, of an incident that is final, what its attempts come to as the books
	// stand now, where a later correction has made that something else.
	Later    *Figures `json:"as_the_books_stand_now,omitempty"`
	Unpriced []Named  `json:"unpriced"` // attempts without a rate, by reason
	// Summarised is what is in none of the figures, since only the sums of its months
	// remain; nil: nothing.
	Summarised *Summarised `json:"summarised,omitempty"`
}

// Window is which attempts the report is of.
type Window struct {
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"`
	Rule  string    `json:"rule"` // by what they are selected
}

// Incident is one, as it stands.
type Incident struct {
	Number   int               `json:"id"`
	Name     string            `json:"name"`
	Labels   map[string]string `json:"labels,omitempty"`
	Found    bool              `json:"found"` // by itself; else it was declared
	Kind     string            `json:"kind,omitempty"`
	Provider string            `json:"provider,omitempty"`
	Why      string            `json:"why,omitempty"`
	Start    time.Time         `json:"start"`
	End      time.Time         `json:"end,omitzero"`
	State    string            `json:"state"` // open, provisional, final
	FinalAt  time.Time         `json:"final_at,omitzero"`
}

// States of an incident.
const (
	Open        = "open"
	Provisional = "provisional"
	FinalState  = "final"
)

// Named is an amount by its name.
type Named struct {
	Name  string `json:"name"`
	Count int64  `json:"count,omitempty"`
	Money
}

// Certainty is what the figures rest on.
type Certainty struct {
	ReportedShare  string `json:"reported_share"` // of the dollars paid, "0.9731"; "" where nothing was
	EstimatedShare string `json:"estimated_share"`
	Reported       Money  `json:"reported"`
	Estimated      Money  `json:"estimated"`
	Uncertain      int64  `json:"uncertain_tokens"` // that may or may not have been received before a crash
	Paid           Range  `json:"paid_usd"`
}

// Top is who had the highest cost.
type Top struct {
	Name  string      `json:"name"` // "" of a team: untagged
	USD   pricing.Sum `json:"usd"`
	Share string      `json:"share"` // of the cost
}

// Uncovered is what no book has.
type Uncovered struct {
	// Known says if it can be told at all: only a running gateway can.
	Known   bool      `json:"known"`
	Since   time.Time `json:"since,omitzero"` // the gateway's start; not the window
	Calls   []Passed  `json:"passed_through"`
	Running int64     `json:"unsettled_streams"` // that are running, or not in the books yet
}

// Passed is calls that were passed through, and are in no book.
type Passed struct {
	Provider string `json:"provider"`
	Endpoint string `json:"endpoint"`
	Calls    int64  `json:"calls"`
}

// PriceBook is a version of the price book, and how many attempts it priced.
type PriceBook struct {
	Version  string `json:"version"`
	Attempts int64  `json:"attempts"`
}

// Head is the end of the ledger that the report is of.
type Head struct {
	Entry uint64 `json:"entry"`
	Hash  string `json:"hash"`
}

// Auto is what calls paid again though the gateway had their answer.
type Auto struct {
	Calls    int64       `json:"calls"`     // not opted in: resume: auto would have given it
	USD      pricing.Sum `json:"usd"`       // the most that it would have saved
	ByReason []Named     `json:"by_reason"` // of all missed resumes
}

// Stream is one that cost much.
type Stream struct {
	ID       string              `json:"stream"`
	Attempt  int                 `json:"attempt"`
	Provider string              `json:"provider"`
	Model    string              `json:"model"`
	Tags     map[string]string   `json:"tags,omitempty"`
	Accepted time.Time           `json:"accepted"`
	Cause    string              `json:"cause"`
	Cost     pricing.Picodollars `json:"cost_usd"`
	Paid     pricing.Picodollars `json:"paid_usd"`
	Output   int64               `json:"output_tokens"`
	Story    []Event             `json:"story"`
}

// Event is something that happened to a stream.
type Event struct {
	At   time.Time `json:"at,omitzero"`
	What string    `json:"what"`
}

// Sibling is what the same tokens cost on a cheaper model. It is an assumption: that
// the other model had answered with as many tokens, and as well.
type Sibling struct {
	Provider string      `json:"provider"`
	Model    string      `json:"model"`
	Paid     pricing.Sum `json:"paid_usd"`
	Sibling  string      `json:"sibling"`
	USD      pricing.Sum `json:"sibling_usd"`
	Status   string      `json:"price_status"`
	Version  string      `json:"price_book"`
}

// Timeline is output tokens by outcome, over time.
type Timeline struct {
	From    time.Time     `json:"from,omitzero"`
	Step    time.Duration `json:"-"`
	Seconds int64         `json:"step_seconds"`
	Place   string        `json:"placed_by"`
	Buckets []Bucket      `json:"buckets"`
}

// Bucket is a step of a timeline.
type Bucket struct {
	At            time.Time `json:"at"`
	Delivered     int64     `json:"delivered"`
	Unusable      int64     `json:"unusable"`
	NeverReceived int64     `json:"never_received"`
	Pending       int64     `json:"pending"`
}

// Tokens are all of a bucket.
func (b Bucket) Tokens() int64 { return b.Delivered + b.Unusable + b.NeverReceived + b.Pending }
