package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Native histograms: resolution and bounds.
const (
	nativeFactor           = 1.1
	nativeMaxBuckets       = 160
	nativeMinResetDuration = time.Hour
)

// Metrics are the instruments that the gateway reports to. What is not here is
// read when it is scraped: see Scrape.
type Metrics struct {
	Streams             *prometheus.GaugeVec   // state: attached, orphaned
	Breaks              *prometheus.CounterVec // provider, model, cause
	Resumes             *prometheus.CounterVec // provider, model, via, result
	ResumeGap           prometheus.Histogram
	TimeToFirstEvent    *prometheus.HistogramVec // provider, at: upstream, client
	InterEvent          *prometheus.HistogramVec // provider, at: upstream, client
	UpstreamRequests    *prometheus.CounterVec   // provider
	UpstreamErrors      *prometheus.CounterVec   // provider, error_type
	Passthrough         *prometheus.CounterVec   // provider, endpoint
	CommitSeconds       prometheus.Histogram
	CommitEvents        prometheus.Histogram
	LedgerCommitSeconds prometheus.Histogram
	GenAI               *GenAIInstruments

	reg   prometheus.Registerer
	descs map[string]description // of what is scraped
}

// Options say what is exported beside what always is.
type Options struct {
	Version   string   // of the program
	LabelTags []string // tags of calls that are labels of the tagged metrics
}

// New registers all instruments with reg.
func New(reg prometheus.Registerer, o Options) (*Metrics, error) {
	m := &Metrics{
		reg:                 reg,
		descs:               describe(o.LabelTags),
		Streams:             gauges(NameStreams),
		Breaks:              counters(NameBreaks),
		Resumes:             counters(NameResumes),
		ResumeGap:           prometheus.NewHistogram(histogram(NameResumeGap)),
		TimeToFirstEvent:    histograms(NameTimeToFirstEvent),
		InterEvent:          histograms(NameInterEvent),
		UpstreamRequests:    counters(NameUpstreamRequests),
		UpstreamErrors:      counters(NameUpstreamErrors),
		Passthrough:         counters(NamePassthrough),
		CommitSeconds:       prometheus.NewHistogram(histogram(NameCommitSeconds)),
		CommitEvents:        prometheus.NewHistogram(histogram(NameCommitEvents)),
		LedgerCommitSeconds: prometheus.NewHistogram(histogram(NameLedgerCommitSeconds)),
	}
	build := gauges(NameBuildInfo)
	build.WithLabelValues(o.Version).Set(1)
	reg.MustRegister(m.Streams, m.Breaks, m.Resumes, m.ResumeGap, m.TimeToFirstEvent, m.InterEvent, m.UpstreamRequests, m.UpstreamErrors,
		m.Passthrough, m.CommitSeconds, m.CommitEvents, m.LedgerCommitSeconds, build)
	m.Streams.WithLabelValues("attached")
	m.Streams.WithLabelValues("orphaned")
	var err error
	m.GenAI, err = newGenAI(reg)
	return m, err
}

func counters(name string) *prometheus.CounterVec {
	d := definition(name)
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: d.Name, Help: d.Help}, d.Labels)
}

func gauges(name string) *prometheus.GaugeVec {
	d := definition(name)
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: d.Name, Help: d.Help}, d.Labels)
}

func histograms(name string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(histogram(name), definition(name).Labels)
}

// histogram has classic buckets and native ones, so that both ways of scraping
// work.
func histogram(name string) prometheus.HistogramOpts {
	d := definition(name)
	o := prometheus.HistogramOpts{Name: d.Name, Help: d.Help, Buckets: d.Buckets}
	if d.Native {
		o.NativeHistogramBucketFactor, o.NativeHistogramMaxBucketNumber, o.NativeHistogramMinResetDuration = nativeFactor, nativeMaxBuckets, nativeMinResetDuration
	}
	return o
}
