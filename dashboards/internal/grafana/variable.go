package grafana

import (
	"fmt"

	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"

	"github.com/recoup-gateway/recoup/metrics"
)

// Variables of the chosen gateways, and of one's own choice.
const (
	ofJob      = `job=~"$job"`
	ofInstance = `instance=~"$instance"`
)

// shared are the variables of every dashboard, so that a link from one to another
// keeps them. Each depends on those before it.
func shared() []dashboard.VariableModel {
	// A provider that only ever failed has requests and no bill; one that was used
	// before the last restart has a bill and no requests.
	providers := fmt.Sprintf(`{__name__=~"%s|%s",%s,%s}`, metrics.NameOutputTokens, metrics.NameUpstreamRequests, ofJob, ofInstance)
	models := fmt.Sprintf(`%s{%s,%s,provider=~"$provider"}`, metrics.NameOutputTokens, ofJob, ofInstance)
	return []dashboard.VariableModel{
		source("datasource", "Data source", "prometheus", "The Prometheus that scrapes the gateways."),
		labelValues("job", "Job", metrics.NameBuildInfo, ".+"),
		labelValues("instance", "Instance", metrics.NameBuildInfo+"{"+ofJob+"}", ".+"),
		labelValues("provider", "Provider", providers, ".*"),
		labelValues("model", "Model", models, ".*"),
	}
}

// traceStore is where traces are, if anywhere. Nothing but links uses it.
func traceStore() dashboard.VariableModel {
	return source("tempo", "Traces", "tempo", "The store of traces that links lead to. It may stay empty; then they lead to an empty page.")
}

// pairOf are the two models that are shown side by side. Text, not lists: a list
// falls back to its first model where one of these has never been used.
func pairOf() []dashboard.VariableModel {
	return []dashboard.VariableModel{
		text("large", "Large model", "gpt-5.5", "The first of the pair, by its id in the price book."),
		text("small", "Small model", "gpt-5.5-mini", "The second of the pair, by its id in the price book."),
	}
}

// tag is the label that the rows by tag are made for. Only label_names() without a
// selector is known to all versions of Grafana.
func tag() dashboard.VariableModel {
	v := queried("tag", "Tag", "label_names()")
	v.Regex = new("/^" + metrics.TagPrefix + ".+/")
	v.Description = new("The label of a tag that label_tags names.")
	return v
}

func source(name, label, plugin, about string) dashboard.VariableModel {
	return dashboard.VariableModel{
		Type: dashboard.VariableTypeDatasource, Name: name, Label: &label, Description: &about, Hide: new(dashboard.VariableHideDontHide),
		Query: &dashboard.StringOrMap{String: &plugin}, Refresh: new(dashboard.VariableRefreshOnDashboardLoad),
		Multi: new(false), IncludeAll: new(false), Regex: new(""),
	}
}

// labelValues is a choice of any number of a label's values. All of them is a
// pattern rather than a list, so that no value is left out which came meanwhile.
func labelValues(name, label, selector, all string) dashboard.VariableModel {
	v := queried(name, label, fmt.Sprintf("label_values(%s, %s)", selector, name))
	v.Multi, v.IncludeAll, v.AllValue = new(true), new(true), &all
	v.Current = option("All", "$__all")
	return v
}

func queried(name, label, expr string) dashboard.VariableModel {
	return dashboard.VariableModel{
		Type: dashboard.VariableTypeQuery, Name: name, Label: &label, Hide: new(dashboard.VariableHideDontHide),
		Datasource: &common.DataSourceRef{Type: new("prometheus"), Uid: new("${datasource}")},
		Query:      &dashboard.StringOrMap{String: &expr}, Definition: &expr,
		Refresh: new(dashboard.VariableRefreshOnTimeRangeChanged), Sort: new(dashboard.VariableSortAlphabeticalAsc),
		Multi: new(false), IncludeAll: new(false), Regex: new(""),
	}
}

func text(name, label, value, about string) dashboard.VariableModel {
	return dashboard.VariableModel{
		Type: dashboard.VariableTypeTextbox, Name: name, Label: &label, Description: &about, Hide: new(dashboard.VariableHideDontHide),
		Query: &dashboard.StringOrMap{String: &value}, Current: option(value, value),
	}
}

func option(text, value string) *dashboard.VariableOption {
	return &dashboard.VariableOption{
		Selected: new(true), Text: dashboard.StringOrArrayOfString{String: &text}, Value: dashboard.StringOrArrayOfString{String: &value},
	}
}
