package dashboards

import "embed"

// Provisioning is what Grafana is provisioned with: datasources/ and dashboards/,
// as docker-compose.yml mounts them. The dashboards refer to a Prometheus whose
// exemplars lead to a Tempo.
//
//go:embed provisioning
var Provisioning embed.FS
