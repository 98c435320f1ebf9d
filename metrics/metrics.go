// Package metrics is the one catalogue of what Recoup exports: every metric's
// name, help text, labels and buckets. Labels come from closed sets; no key,
// user, stream or trace id is one.
//
// The packages that store or relay hand numbers to the gateway, which reports
// them here; they don't import this package.
package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Names of the metrics. Dashboards and tests use these.
const (
	NameStreams            = "recoup_streams"
	NameBreaks             = "recoup_breaks_total"
	NameResumes            = "recoup_resumes_total"
	NameResumeGap          = "recoup_resume_gap_seconds"
	NameTimeToFirstEvent   = "recoup_time_to_first_event_seconds"
	NameUpstreamRequests   = "recoup_upstream_requests_total"
	NameUpstreamErrors     = "recoup_upstream_errors_total"
	NamePassthrough        = "recoup_passthrough_requests_total"
	NameCommitSeconds      = "recoup_commit_seconds"
	NameCommitEvents       = "recoup_commit_events"
	NameAppendQueueBytes   = "recoup_append_queue_bytes"
	NameLogBytes           = "recoup_log_bytes"
	NameUnsettled          = "recoup_unsettled_streams"
	NameBuildInfo          = "recoup_build_info"
	labelDirection         = "direction"
	labelOutcome           = "outcome"
	labelCause             = "cause"
	labelBasis             = "basis"
	labelReason            = "reason"
	labelKind              = "kind"
	labelSign              = "sign"
	labelProvider          = "provider"
	labelModel             = "model"
	nativeFactor           = 1.1
	nativeMaxBuckets       = 160
	nativeMinResetDuration = time.Hour
)

// Metrics are the instruments that the gateway reports to.
type Metrics struct {
	Streams          *prometheus.GaugeVec   // state: attached, orphaned
	Breaks           *prometheus.CounterVec // provider, model, cause
	Resumes          *prometheus.CounterVec // provider, model, via, result
	ResumeGap        prometheus.Histogram
	TimeToFirstEvent *prometheus.HistogramVec // provider, at: upstream, client
	UpstreamRequests *prometheus.CounterVec   // provider
	UpstreamErrors   *prometheus.CounterVec   // provider, error_type
	Passthrough      *prometheus.CounterVec   // provider, endpoint
	CommitSeconds    prometheus.Histogram
	CommitEvents     prometheus.Histogram

	reg prometheus.Registerer
}

// Log is what the stream log says of itself when it is scraped.
type Log struct {
	QueuedBytes int
	DiskBytes   int64
	Unsettled   int
}

// New registers all instruments with reg. log is asked at each scrape.
func New(reg prometheus.Registerer, version string, log func() Log) *Metrics {
	seconds := []float64{.01, .02, .04, .08, .16, .32, .64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84, 327.68, 655.36}
	m := &Metrics{
		reg:              reg,
		Streams:          gauges(NameStreams, "Streams whose provider is still answering, by whether an owner is connected.", "state"),
		Breaks:           counters(NameBreaks, "Owners' connections that ended before the terminal event was written to them, by cause.", labelProvider, labelModel, "cause"),
		Resumes:          counters(NameResumes, "Resumes after a break, by how the stream was found and how the resume ended.", labelProvider, labelModel, "via", "result"),
		ResumeGap:        prometheus.NewHistogram(histogram(NameResumeGap, "Time from a break to the resume that followed it.", []float64{.1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 900})),
		TimeToFirstEvent: prometheus.NewHistogramVec(histogram(NameTimeToFirstEvent, "Time from accepting a call to its first event: received from the provider (at=upstream), written to the client (at=client).", seconds), []string{labelProvider, "at"}),
		UpstreamRequests: counters(NameUpstreamRequests, "Requests sent to a provider for streams.", labelProvider),
		UpstreamErrors:   counters(NameUpstreamErrors, "Requests to a provider that did not end with a complete answer, by type of error.", labelProvider, "error_type"),
		Passthrough:      counters(NamePassthrough, "Requests passed through without being drained, by endpoint.", labelProvider, "endpoint"),
		CommitSeconds:    prometheus.NewHistogram(histogram(NameCommitSeconds, "Duration of a group commit of the stream log.", []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1})),
		CommitEvents:     prometheus.NewHistogram(histogram(NameCommitEvents, "Events in a group commit of the stream log.", []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096})),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{Name: NameBuildInfo, Help: "1, with the version of this program.", ConstLabels: prometheus.Labels{"version": version}})
	build.Set(1)
	reg.MustRegister(m.Streams, m.Breaks, m.Resumes, m.ResumeGap, m.TimeToFirstEvent, m.UpstreamRequests, m.UpstreamErrors,
		m.Passthrough, m.CommitSeconds, m.CommitEvents, build,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: NameAppendQueueBytes, Help: "Bytes waiting to be committed to the stream log."},
			func() float64 { return float64(log().QueuedBytes) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: NameLogBytes, Help: "Bytes that the stream log takes on disk."},
			func() float64 { return float64(log().DiskBytes) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: NameUnsettled, Help: "Streams that have ended and whose tokens do not all have an outcome yet. Far above the retention's worth of calls, the books are stuck."},
			func() float64 { return float64(log().Unsettled) }))
	m.Streams.WithLabelValues("attached")
	m.Streams.WithLabelValues("orphaned")
	return m
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

func gauges(name, help string, labels ...string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
}

// histogram has classic buckets and native ones, so that both ways of scraping
// work.
func histogram(name, help string, buckets []float64) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{
		Name: name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor:     nativeFactor,
		NativeHistogramMaxBucketNumber:  nativeMaxBuckets,
		NativeHistogramMinResetDuration: nativeMinResetDuration,
	}
}
