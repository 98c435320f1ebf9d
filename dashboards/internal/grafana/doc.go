// Package grafana is the dashboards as code. It makes them with Grafana's own
// schema library, as Classic JSON, which Grafana takes from version 9 on; the files
// in dashboards/grafana are what it makes, and a test holds them equal.
//
//	board.go      a dashboard: its rows, and where panels are
//	panel.go      a panel: kinds, limits, what is shown where there is nothing
//	options.go    how each kind of panel looks
//	query.go      PromQL, with the filters that every query has
//	variable.go   template variables
//	link.go       from board to board, and to traces
//	annotation.go deploys, starts, versions and incidents
//	money.go      Tokens and money; moneytop.go and moneyparts.go have its rows
//	incident.go   Incident
//	gateway.go    Gateway
//
// The rules it keeps, and its tests hold: every panel has a title, a description
// with what to do when the figure is bad, a unit and a query; every query has the
// filters of job and instance; colour means a limit; and what can be absent without
// anything being wrong says so in words.
package grafana
