package metrics

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// scraped are read when they are scraped, most of them from the ledger's totals: a
// restart neither resets nor loses those.
var scraped = []string{
	NameOutputTokens, NameInputTokens, NameCost, NameSavedTokens, NameSaved, NameSavedUpper, NameOverheadTokens, NameOverhead,
	NameMissed, NameMissedCost, NameUnpriced, NameAdjustedTokens, NameAdjustedCost, NameTaggedOutputTokens, NameTaggedCost,
	NamePendingTokens, NameAtRiskTokens, NameAtRisk, NameLedgerImbalance, NameUnexplained, NamePriceBook,
	NameDeliveryLag, NameAppendQueueBytes, NameLogBytes, NameLogFreeBytes, NameUnsettled, NameFailed,
}

// A Series is one series of a metric that is read when it is scraped. It is made
// once, and given a value at each scrape.
type Series struct {
	desc    *prometheus.Desc
	counter bool
	labels  []*dto.LabelPair
}

// Series returns the series of a metric with these values of its labels, in the
// catalogue's order; of the tagged ones the tags' at the end.
func (m *Metrics) Series(name string, values ...string) *Series {
	d := m.descs[name]
	s := &Series{desc: d.desc, counter: definition(name).Type == Counter, labels: make([]*dto.LabelPair, len(d.labels))}
	for i, label := range d.labels {
		s.labels[i] = &dto.LabelPair{Name: proto.String(label), Value: proto.String(strings.ToValidUTF8(values[i], "\uFFFD"))}
	}
	slices.SortFunc(s.labels, func(a, b *dto.LabelPair) int { return cmp.Compare(a.GetName(), b.GetName()) })
	return s
}

// An Exemplar leads from a value to a trace.
type Exemplar struct {
	labels prometheus.Labels // see TraceLabels
	value  float64
	at     time.Time
}

// Yield takes the value that a series has now. The exemplar is nil where there is
// none.
type Yield func(s *Series, value float64, exemplar *Exemplar)

// Scrape exports what read yields at each scrape. It is called once.
func (m *Metrics) Scrape(read func(Yield)) { m.reg.MustRegister(&scrape{read, m.descs}) }

// describe makes the descriptions of all that is scraped.
func describe(labelTags []string) map[string]description {
	descs := map[string]description{}
	for _, name := range scraped {
		d := definition(name)
		labels := d.Labels
		if n := len(labels); n > 0 && strings.HasPrefix(labels[n-1], TagPrefix) {
			labels = append(labels[:n-1:n-1], tagLabels(labelTags)...)
		}
		descs[name] = description{prometheus.NewDesc(d.Name, d.Help, labels, nil), labels}
	}
	return descs
}

type description struct {
	desc   *prometheus.Desc
	labels []string
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
	read  func(Yield)
	descs map[string]description
}

func (c *scrape) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		ch <- d.desc
	}
}

func (c *scrape) Collect(ch chan<- prometheus.Metric) {
	c.read(func(s *Series, value float64, exemplar *Exemplar) { ch <- &point{s, value, exemplar} })
}

// point is a series with its value. The labels are shared by all scrapes, which
// don't change them.
type point struct {
	series   *Series
	value    float64
	exemplar *Exemplar
}

func (p *point) Desc() *prometheus.Desc { return p.series.desc }

func (p *point) Write(out *dto.Metric) error {
	out.Label = p.series.labels
	if !p.series.counter {
		out.Gauge = &dto.Gauge{Value: &p.value}
		return nil
	}
	out.Counter = &dto.Counter{Value: &p.value}
	if e := p.exemplar; e != nil {
		out.Counter.Exemplar = &dto.Exemplar{Value: &e.value, Timestamp: timestamppb.New(e.at)}
		for _, name := range slices.Sorted(maps.Keys(e.labels)) {
			out.Counter.Exemplar.Label = append(out.Counter.Exemplar.Label, &dto.LabelPair{Name: proto.String(name), Value: proto.String(e.labels[name])})
		}
	}
	return nil
}
