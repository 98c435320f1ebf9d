package dashboards

import "embed"

// Prometheus has the scrape configuration and the rules. Each expression is the
// member expr of a rule; what a rule is called is its member record or alert.
//
//go:embed prometheus/prometheus.yml prometheus/*.yaml
var Prometheus embed.FS
