package metrics

import (
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// scraped are read when they are scraped, most of them from the ledger's totals: a
// restart neither resets nor loses those.
var scraped = []string{
	NameOutputTokens, NameInputTokens, NameCost, NameSavedTokens, NameSaved, NameSavedUpper, NameOverheadTokens, NameOverhead,
	NameMissed, NameMissedCost, NameUnpriced, NameAdjustedTokens, NameAdjustedCost, NameTaggedOutputTokens, NameTaggedCost,
	NamePendingTokens, NameAtRiskTokens, NameAtRisk, NameLedgerImbalance, NameUnexplained, NamePriceBook,
	NameDeliveryLag, NameAppendQueueBytes, NameLogBytes, NameLogFreeBytes, NameUnsettled,
}

// A Sample is one value of a metric that is read when it is scraped.
type Sample struct {
	Name     string
	Labels   []string // values, in the catalogue's order; of the tagged ones the tags' at the end
	Value    float64
	Exemplar *Exemplar // of a counter; nil: none
}

// An Exemplar leads from a value to a trace.
type Exemplar struct {
	Labels prometheus.Labels // see TraceLabels
	Value  float64
	At     time.Time
}

// Scrape exports what read yields at each scrape. It is called once.
func (m *Metrics) Scrape(read func(yield func(Sample))) {
	c := &scrape{read: read, descs: map[string]*prometheus.Desc{}, types: map[string]prometheus.ValueType{}}
	for _, name := range scraped {
		d := definition(name)
		labels := d.Labels
		if n := len(labels); n > 0 && strings.HasPrefix(labels[n-1], TagPrefix) {
			labels = append(labels[:n-1:n-1], tagLabels(m.labelTags)...)
		}
		c.descs[name] = prometheus.NewDesc(d.Name, d.Help, labels, nil)
		c.types[name] = prometheus.GaugeValue
		if d.Type == Counter {
			c.types[name] = prometheus.CounterValue
		}
	}
	m.reg.MustRegister(c)
}

func tagLabels(tags []string) []string {
	labels := make([]string, len(tags))
	for i, tag := range tags {
		labels[i] = TagLabel(tag)
	}
	return labels
}

// TagLabel is the label of a tag: what a label's name can't have is an underscore.
func TagLabel(tag string) string {
	return TagPrefix + strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, tag)
}

// scrape is a collector.
type scrape struct {
	read  func(func(Sample))
	descs map[string]*prometheus.Desc
	types map[string]prometheus.ValueType
}

func (c *scrape) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		ch <- d
	}
}

func (c *scrape) Collect(ch chan<- prometheus.Metric) {
	c.read(func(s Sample) {
		desc := c.descs[s.Name]
		m, err := prometheus.NewConstMetric(desc, c.types[s.Name], s.Value, s.Labels...)
		if err == nil && s.Exemplar != nil {
			m, err = prometheus.NewMetricWithExemplars(m, prometheus.Exemplar{Value: s.Exemplar.Value, Labels: s.Exemplar.Labels, Timestamp: s.Exemplar.At})
		}
		if err != nil {
			m = prometheus.NewInvalidMetric(desc, fmt.Errorf("%s: %w", s.Name, err))
		}
		ch <- m
	})
}
