package grafana

import (
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"

	"github.com/recoup-gateway/recoup/metrics"
)

// Tags of annotations in Grafana's own store.
const (
	tagDeploy   = "deploy"   // whoever deploys posts one: docs/dashboards.md
	tagIncident = "incident" // kept for incidents, which nothing posts yet
)

// annotations are what happened, over what it did.
func annotations() []dashboard.AnnotationQuery {
	start := series("process_start_time_seconds")
	version := series(metrics.NameBuildInfo)
	// The time of a start is the value, in milliseconds. A version is new where it
	// wasn't there two minutes before, and then for two minutes.
	return []dashboard.AnnotationQuery{
		stored("Deploys", tagDeploy, "blue"),
		stored("Incidents", tagIncident, "red"),
		measured("Gateway starts", "1000 * "+start, "purple", marks{title: "gateway started", text: "{{instance}}", valueIsTime: true}),
		measured("New versions", "count by (version) ("+version+") unless count by (version) ("+version+" offset 2m)", "green",
			marks{title: "version {{version}}", text: "first seen, or seen again after a gap"}),
	}
}

// stored are annotations of Grafana's own store, by tag.
func stored(name, tag, color string) dashboard.AnnotationQuery {
	return dashboard.AnnotationQuery{
		Name: name, Enable: true, Hide: new(false), IconColor: color,
		Datasource: &common.DataSourceRef{Type: new("grafana"), Uid: new("-- Grafana --")},
		Target:     variants.UnknownDataquery{"type": "tags", "tags": []string{tag}, "matchAny": false, "limit": 100},
	}
}

type marks struct {
	title, text string
	valueIsTime bool
}

// measured are annotations from Prometheus. Some versions of Grafana read the
// expression from the target, some from beside it.
func measured(name, expr, color string, m marks) dashboard.AnnotationQuery {
	return dashboard.AnnotationQuery{
		Name: name, Enable: true, Hide: new(false), IconColor: color, Datasource: prom(),
		Expr: &expr, Step: new("60s"), TitleFormat: &m.title, TextFormat: &m.text, UseValueForTime: &m.valueIsTime,
		Target: prometheus.Dataquery{RefId: new("Anno"), Datasource: prom(), Expr: expr, Interval: new("60s")},
	}
}
