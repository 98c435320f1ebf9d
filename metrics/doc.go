// Package metrics is the one catalogue of what Recoup exports: every metric's
// name, type, unit, help text, labels and buckets, every span's name and
// attributes, and how both are set up. Labels come from closed sets; no key, user,
// stream or trace id is one: exemplars, spans and log lines carry those.
//
//	catalogue.go  what there is of metrics; docs/metrics.md is written from it
//	labels.go     the labels, and what values they have
//	metrics.go    the instruments that the gateway reports to
//	scraped.go    what is read when it is asked for, such as the ledger's totals
//	genai.go      OpenTelemetry's GenAI instruments, in the same registry
//	spans.go      names and attributes of spans
//	tracing.go    the standard OTEL_ variables, and what follows from them
//	sampler.go    which streams are traced
//
// The packages that store or relay hand numbers to the gateway, which reports
// them here; they don't import this package.
package metrics
