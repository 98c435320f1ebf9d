package gateway

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/settle"
	"github.com/recoup-gateway/recoup/internal/streamlog"
	"github.com/recoup-gateway/recoup/metrics"
	"github.com/recoup-gateway/recoup/pricing"
)

// shownStreams is how many live streams an overview has: of more, nobody reads a list.
const shownStreams = 200

// overview is how the gateway stands: what the dashboards' first line says, and the
// streams under way. It says nothing of the time, so that it changes only if
// something has.
type overview struct {
	Line    firstLineJSON `json:"first_line"`
	Figures *figuresJSON  `json:"figures,omitempty"` // left out where no books are kept
	Live    int           `json:"live"`              // streams whose provider still answers
	Orphans int           `json:"orphaned"`          // those of them without an owner
	Streams []liveJSON    `json:"streams"`           // orphans first, then the newest
	Entry   uint64        `json:"ledger_entry"`      // the last one: incidents and audits are the same while it is
	Drains  bool          `json:"draining"`
}

// figuresJSON is money in US dollars, as decimal strings, over all that is in the
// books; input goes with its outcome, so that the first is the sum of the next three.
type figuresJSON struct {
	Paid          pricing.Sum `json:"paid_usd"`
	Delivered     amountJSON  `json:"delivered"`
	Unusable      amountJSON  `json:"unusable"`
	NeverReceived amountJSON  `json:"never_received"`
	Avoided       amountJSON  `json:"avoided"`
	Caused        amountJSON  `json:"caused_by_gateway"`
	Net           pricing.Sum `json:"net_usd"`
	AtRisk        amountJSON  `json:"at_risk"` // not in the books yet
}

type amountJSON struct {
	USD    pricing.Sum `json:"usd"`
	Tokens int64       `json:"output_tokens"`
}

func (a *amountJSON) add(usd pricing.Sum, tokens int64) {
	a.USD, a.Tokens = a.USD.Plus(usd), a.Tokens+tokens
}

// liveJSON is a stream under way. Tokens and money are of the output that has come,
// about.
type liveJSON struct {
	ID       streamlog.ID        `json:"id"`
	Orphan   bool                `json:"orphaned"`
	Provider string              `json:"provider"`
	Model    string              `json:"model"`
	Tags     map[string]string   `json:"tags,omitempty"`
	Accepted time.Time           `json:"accepted"`
	Tokens   int64               `json:"output_tokens"`
	USD      pricing.Picodollars `json:"usd"`
	Unpriced bool                `json:"unpriced,omitempty"` // the price book doesn't know what its output costs
}

// underWayNow is a stream that is being answered, as it was glanced at.
type underWayNow struct {
	*stream
	glance
}

// overview reads how the gateway stands.
func (g *Gateway) overview() overview {
	o := overview{Streams: []liveJSON{}, Drains: g.isDraining()}
	orphaned := map[pair]int64{} // bytes of streams under way, with the model as it was asked for
	var live []underWayNow
	for _, s := range g.held() {
		is := s.glance()
		if !is.live {
			continue
		}
		live = append(live, underWayNow{s, is})
		if is.orphan {
			o.Orphans++
			orphaned[pair{s.header.Provider, s.header.Model}] += is.bytes
		}
	}
	o.Live = len(live)
	slices.SortFunc(live, func(a, b underWayNow) int {
		switch {
		case a.orphan && !b.orphan:
			return -1
		case b.orphan && !a.orphan:
			return 1
		}
		return cmp.Or(b.header.Accepted.Compare(a.header.Accepted), slices.Compare(a.header.ID[:], b.header.ID[:]))
	})
	for _, s := range live[:min(len(live), shownStreams)] {
		o.Streams = append(o.Streams, s.describe())
	}
	o.Line = g.firstLine()
	if g.settler != nil {
		o.Entry = g.books.Ledger.Head().Seq
		o.Figures = g.figures(orphaned)
	}
	return o
}

func (s underWayNow) describe() liveJSON {
	h := &s.header
	j := liveJSON{
		ID: h.ID, Orphan: s.orphan, Provider: h.Provider, Model: metrics.Text(h.Asked(), maxSpanModel), Tags: h.Tags, Accepted: h.Accepted,
	}
	if settler := s.gw.settler; settler != nil {
		var priced bool
		j.Tokens, j.USD, priced = settler.Guess(h.Provider, h.Model, s.bytes)
		j.Unpriced = !priced
	}
	return j
}

// figures are the books' balances, corrections included, and what is at risk beside
// them.
func (g *Gateway) figures(orphaned map[pair]int64) *figuresJSON {
	f := &figuresJSON{}
	of := map[string]*amountJSON{ledger.Delivered: &f.Delivered, ledger.Wasted: &f.Unusable, ledger.Lost: &f.NeverReceived}
	for _, b := range g.books.Ledger.Balances() {
		var tokens int64
		if b.Kind.IsOutput() {
			tokens = b.Tokens
		}
		family, rest, _ := strings.Cut(b.Account, "/")
		outcome, _, _ := strings.Cut(rest, "/")
		switch family {
		case input, output:
			f.Paid = f.Paid.Plus(b.Amount)
			if a := of[outcome]; a != nil {
				a.add(b.Amount, tokens)
			}
		case "saved":
			f.Avoided.add(b.Amount, tokens)
		case "overhead":
			f.Caused.add(b.Amount, b.Tokens)
		}
	}
	f.Net = f.Avoided.USD.Minus(f.Caused.USD)
	for of, bytes := range orphaned {
		tokens, cost, _ := g.settler.Guess(of.provider, of.model, bytes)
		f.AtRisk.add(pricing.Sum{}.Add(cost), tokens)
	}
	g.settler.Unsettled(func(o settle.Open) {
		if o.Orphan {
			f.AtRisk.add(pricing.Sum{}.Add(o.Amount), o.Tokens)
		}
	})
	return f
}

// overviews makes one for all who watch, twice in an interval at most.
type overviews struct {
	mu     sync.Mutex
	made   time.Time
	latest []byte
}

// get returns the overview as JSON, not older than half an interval.
func (v *overviews) get(g *Gateway) ([]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.latest != nil && time.Since(v.made) < watchInterval/2 {
		return v.latest, nil
	}
	data, err := json.Marshal(g.overview())
	if err == nil {
		v.made, v.latest = time.Now(), data
	}
	return data, err
}
