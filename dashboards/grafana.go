package dashboards

import "embed"

// Grafana has the dashboards, as grafana/<uid>.json.
//
//go:embed grafana/*.json
var Grafana embed.FS
