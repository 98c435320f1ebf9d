package main

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/recoup-gateway/recoup/gateway"
	"github.com/recoup-gateway/recoup/internal/audit"
	"github.com/recoup-gateway/recoup/internal/audit/bucket"
	"github.com/recoup-gateway/recoup/internal/console"
	"github.com/recoup-gateway/recoup/internal/export"
	"github.com/recoup-gateway/recoup/internal/reprice"
)

// adminHandler is the admin plane: what the gateway itself has there, what the books
// answer, and the console.
func (s *server) adminHandler(registry *prometheus.Registry, tokens adminTokens, pprof bool) http.Handler {
	return s.gateway.Admin(gateway.AdminOptions{
		Gatherer: registry, Token: tokens.all, Operator: tokens.operator, Pprof: pprof,
		API: s.api(audit.Handler(s.auditOptions(registry))), Console: console.Handler(),
	})
}

// api is what the admin plane answers below /api/v1/, beside what it has itself:
// rest, and what needs the gateway's prices.
func (s *server) api(rest http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/prices", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		book := s.gateway.Prices()
		_ = writePricesJSON(w, book.Version(), book.Rows("")) // the client may have left
	})
	mux.Handle("POST /api/v1/prices/reprice", reprice.Handler(s.ledger, s.gateway.Prices, &s.comparing, s.logger))
	mux.Handle("POST /api/v1/reconcile/statement", bucket.Handler(bucket.Options{Ledger: s.ledger, Prices: s.gateway.Prices, Now: s.now, Logger: s.logger, One: &s.comparing}))
	mux.Handle("GET /api/v1/export", export.Handler(s.ledger, s.logger))
	mux.Handle("/", rest)
	return mux
}
