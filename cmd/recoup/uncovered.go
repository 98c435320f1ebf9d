package main

import (
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/recoup-gateway/recoup/internal/audit"
	"github.com/recoup-gateway/recoup/internal/audit/incident"
	"github.com/recoup-gateway/recoup/internal/audit/report"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/metrics"
)

// auditOptions are what the audit of a running gateway is made from.
func (s *server) auditOptions(g prometheus.Gatherer) audit.Options {
	began := time.Now().UTC().Truncate(time.Millisecond)
	return audit.Options{Ledger: s.ledger, Prices: s.gateway.Prices, Logger: s.logger, One: &s.comparing, Uncovered: func() report.Uncovered {
		return report.Uncovered{Known: true, Since: began, Calls: passedThrough(g, s.logger), Running: int64(s.log.Stats().Unsettled)}
	}}
}

// unbooked are the streams that the books don't have the end of.
func (s *server) unbooked() (all []incident.Unbooked) {
	for _, u := range s.log.Unbooked() {
		all = append(all, incident.Unbooked{
			Stream:  incident.Stream{Provider: u.Provider, Principal: ledger.ID(u.Principal), At: u.Accepted},
			Running: u.Running,
		})
	}
	return all
}

// passedThrough is what was counted since the start of the process: calls that are
// passed through are in no log, so nothing else knows of them.
func passedThrough(g prometheus.Gatherer, logger *slog.Logger) []report.Passed {
	calls := []report.Passed{}
	families, err := g.Gather()
	if err != nil {
		logger.Warn("audit: not all metrics can be read", "error", err)
	}
	for _, f := range families {
		if f.GetName() != metrics.NamePassthrough {
			continue
		}
		for _, m := range f.GetMetric() {
			p := report.Passed{Calls: int64(m.GetCounter().GetValue())}
			for _, l := range m.GetLabel() {
				switch l.GetName() {
				case "provider":
					p.Provider = l.GetValue()
				case "endpoint":
					p.Endpoint = l.GetValue()
				}
			}
			calls = append(calls, p)
		}
	}
	return calls
}
