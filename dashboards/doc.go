// Package dashboards is what Grafana and Prometheus are given to show what Recoup
// exports. It has files and what reads them, so that a program that embeds it needs
// no library of Grafana's.
//
//	grafana/             the dashboards, as Grafana's Classic JSON. Generated: don't edit
//	internal/grafana/    the Go code that they are generated from
//	grafana.go           the embedded dashboards
//	expressions.go       every query in them, for tests that ask a real Prometheus
//
// After a change of internal/grafana: go test ./dashboards/internal/grafana -update
package dashboards
