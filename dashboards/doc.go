// Package dashboards is what Grafana and Prometheus are given to show what Recoup
// exports. It has files and what reads them, so that a program that embeds it needs
// no library of Grafana's.
//
//	grafana/             the dashboards, as Grafana's Classic JSON. Generated: don't edit
//	internal/grafana/    the Go code that they are generated from
//	grafana.go           the embedded dashboards
//	expressions.go       every query in them, for tests that ask a real Prometheus
//	prometheus/          a scrape configuration, recording and alert rules, their promtool tests
//	internal/rules/      the Go code that the rules are generated from
//	prometheus.go        the embedded rules
//	provisioning/        data sources and folders for Grafana; provisioning.go embeds them
//	otelcol/, tempo/     the collector and the trace store of docker-compose.yml
//
// After a change of the code: go test ./dashboards/internal/... -update
package dashboards
