package grafana

import (
	"fmt"
	"slices"
	"strings"

	"github.com/recoup-gateway/recoup/metrics"
)

// Windows of time. rateWindow is the one that Grafana makes of the step and of how
// often Prometheus scrapes; the range is that of the dashboard.
const (
	rateWindow = "$__rate_interval"
	wholeRange = "$__range"
	day        = "24h"
)

// Filters of outcomes: paid for nothing, that is unusable or never received.
const (
	forNothing = `outcome=~"wasted|lost"`
	delivered  = `outcome="delivered"`
	estimated  = `basis="estimated"`
)

// filters are those that a metric can be filtered by, in the order of the
// variables.
var filters = []struct{ label, variable string }{
	{"provider", "$provider"},
	{"model", "$model"},
	{"gen_ai_request_model", "$model"},
}

// series selects a metric of the chosen gateways, and of the chosen providers and
// models where it has such labels. A suffix of a histogram's is part of the name.
func series(name string, matchers ...string) string {
	all := []string{`job=~"$job"`, `instance=~"$instance"`}
	labels := labelsOf(name)
	for _, f := range filters {
		chosen := func(m string) bool { return strings.HasPrefix(m, f.label+"=") }
		if slices.Contains(labels, f.label) && !slices.ContainsFunc(matchers, chosen) {
			all = append(all, fmt.Sprintf("%s=~%q", f.label, f.variable))
		}
	}
	return name + "{" + strings.Join(append(all, matchers...), ",") + "}"
}

// labelsOf returns the labels of a metric in the catalogue; none of others.
func labelsOf(name string) []string {
	for _, d := range metrics.Catalogue() {
		if name == d.Name || d.Type == metrics.Histogram && slices.Contains(parts(d.Name), name) {
			return d.Labels
		}
	}
	return nil
}

// parts are the series of a histogram.
func parts(name string) []string { return []string{name + "_bucket", name + "_sum", name + "_count"} }

func rate(selector string) string             { return "rate(" + selector + "[" + rateWindow + "])" }
func increase(selector, window string) string { return "increase(" + selector + "[" + window + "])" }

// perHour and perMinute are the usual rates of money and of events.
func perHour(expr string) string   { return "3600 * " + expr }
func perMinute(expr string) string { return "60 * " + expr }

func sum(expr string, by ...string) string { return aggregate("sum", expr, by) }
func top(expr string, by ...string) string { return aggregate("max", expr, by) }

func aggregate(operator, expr string, by []string) string {
	if len(by) > 0 {
		operator += " by (" + strings.Join(by, ", ") + ") "
	}
	return operator + "(" + expr + ")"
}

// quantile is of a histogram's classic buckets, which are there whether or not
// Prometheus takes the native ones too.
func quantile(q float64, name string, by ...string) string {
	return fmt.Sprintf("histogram_quantile(%g, %s)", q, sum(rate(series(name+"_bucket")), append([]string{"le"}, by...)...))
}

// orZero is 0 where there is no series yet, as before the first call or the first
// break. Not "or vector(0)": that would say 0 of a gateway that nobody scrapes.
// This is 0 only while its build info is there, and else nothing, which is shown as
// such.
func orZero(expr string) string {
	return expr + " or 0 * max(" + series(metrics.NameBuildInfo) + ")"
}

// whereAny leaves out the series of a rate that had nothing over the whole range:
// all causes exist at 0, and a legend of sixteen zeros hides the one that matters.
// The sums stay the same.
func whereAny(rated, selector string, by ...string) string {
	return rated + " and " + sum(increase(selector, wholeRange), by...) + " > 0"
}
