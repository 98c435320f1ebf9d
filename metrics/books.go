package metrics

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// Names of the metrics that come from the books.
const (
	NameOutputTokens    = "recoup_output_tokens_total"
	NameInputTokens     = "recoup_input_tokens_total"
	NameCost            = "recoup_cost_usd_total"
	NameSavedTokens     = "recoup_saved_tokens_total"
	NameSaved           = "recoup_saved_usd_total"
	NameSavedUpper      = "recoup_saved_usd_upper_total"
	NameOverheadTokens  = "recoup_overhead_tokens_total"
	NameOverhead        = "recoup_overhead_usd_total"
	NameMissed          = "recoup_missed_resumes_total"
	NameMissedCost      = "recoup_missed_resumes_usd_total"
	NameUnpriced        = "recoup_unpriced_attempts_total"
	NameAdjustedTokens  = "recoup_adjustment_tokens_total"
	NameAdjustedCost    = "recoup_adjustment_usd_total"
	NamePendingTokens   = "recoup_pending_tokens"
	NameAtRiskTokens    = "recoup_at_risk_tokens"
	NameAtRisk          = "recoup_at_risk_usd"
	NameLedgerImbalance = "recoup_ledger_imbalance_tokens"
	NameUnexplained     = "recoup_reconcile_unexplained_usd"
	NamePriceBook       = "recoup_price_book_info"
)

// entry is a metric of the catalogue whose values are read when it is scraped.
type entry struct {
	name   string
	kind   prometheus.ValueType
	help   string
	labels []string
}

const (
	counter = prometheus.CounterValue
	gauge   = prometheus.GaugeValue
)

// fromBooks are exported from the ledger's totals: a restart neither resets nor
// loses them.
var fromBooks = []entry{
	{NameOutputTokens, counter, "Output tokens billed by providers, by what became of them: delivered, wasted (written, but the answer never completed) or lost (never received), and why.",
		[]string{labelProvider, labelModel, labelOutcome, labelCause, labelBasis}},
	{NameInputTokens, counter, "Input tokens billed by providers, by kind and by what became of the answer.",
		[]string{labelProvider, labelModel, labelKind, labelOutcome, labelBasis}},
	{NameCost, counter, "What providers bill, in US dollars, by direction (input, output) and by what became of it.",
		[]string{labelProvider, labelModel, labelDirection, labelOutcome, labelCause, labelBasis}},
	{NameSavedTokens, counter, "Tokens that resumes saved buying again: an estimate, on the careful side.", []string{labelProvider, labelModel, labelDirection}},
	{NameSaved, counter, "What resumes saved, in US dollars: the claim, with input as cache hits where a cache would have had it.", []string{labelProvider, labelModel, labelDirection}},
	{NameSavedUpper, counter, "What resumes saved at the most, in US dollars: input all fresh.", []string{labelProvider, labelModel, labelDirection}},
	{NameOverheadTokens, counter, "Tokens of wasted and lost that the gateway caused. Part of those, not to be added.", []string{labelProvider, labelModel, labelKind}},
	{NameOverhead, counter, "What the gateway caused of wasted and lost, in US dollars. Part of those, not to be added.", []string{labelProvider, labelModel, labelKind}},
	{NameMissed, counter, "Calls that bought again an answer which an earlier one had broken off, and were not given that one, by reason.", []string{labelProvider, labelModel, labelReason}},
	{NameMissedCost, counter, "What the broken answers had cost that such calls were not given, in US dollars.", []string{labelProvider, labelModel, labelReason}},
	{NameUnpriced, counter, "Attempts whose tokens are booked without a price, by reason.", []string{labelReason}},
	{NameAdjustedTokens, counter, "Tokens that corrections added to (plus) or took from (minus) what was booked before, by reason.", []string{labelReason, labelSign}},
	{NameAdjustedCost, counter, "US dollars that corrections added to (plus) or took from (minus) what was booked before, by reason.", []string{labelReason, labelSign}},
	{NamePendingTokens, gauge, "Output tokens received, or billed, that have no outcome yet. Estimated from bytes while a provider is still answering.", []string{labelProvider, labelModel}},
	{NameAtRiskTokens, gauge, "Of the pending tokens, those of streams without an owner: lost if nobody comes back.", []string{labelProvider, labelModel}},
	{NameAtRisk, gauge, "Cost of the tokens at risk, in US dollars.", []string{labelProvider, labelModel}},
	{NameLedgerImbalance, gauge, "Tokens by which postings that the ledger refused did not balance. Must be 0.", nil},
	{NameUnexplained, gauge, "US dollars by which a provider's bill and the books differ, and that nothing explains.", []string{labelProvider}},
	{NamePriceBook, gauge, "1, with the version of the price book.", []string{"version"}},
}

// Yield takes one value of a metric, with its labels in the catalogue's order.
type Yield func(name string, value float64, labels ...string)

// Books exports what read yields at each scrape. It is called once.
func (m *Metrics) Books(read func(Yield)) {
	c := &books{read: read, descs: map[string]*prometheus.Desc{}, kinds: map[string]prometheus.ValueType{}}
	for _, e := range fromBooks {
		c.descs[e.name] = prometheus.NewDesc(e.name, e.help, e.labels, nil)
		c.kinds[e.name] = e.kind
	}
	m.reg.MustRegister(c)
}

// books is a collector.
type books struct {
	read  func(Yield)
	descs map[string]*prometheus.Desc
	kinds map[string]prometheus.ValueType
}

func (b *books) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range b.descs {
		ch <- d
	}
}

func (b *books) Collect(ch chan<- prometheus.Metric) {
	b.read(func(name string, value float64, labels ...string) {
		m, err := prometheus.NewConstMetric(b.descs[name], b.kinds[name], value, labels...)
		if err != nil {
			m = prometheus.NewInvalidMetric(b.descs[name], fmt.Errorf("%s: %w", name, err))
		}
		ch <- m
	})
}
