package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/recoup-gateway/recoup/cmd/recoup/internal/config"
	"github.com/recoup-gateway/recoup/gateway"
	"github.com/recoup-gateway/recoup/internal/audit/incident"
	"github.com/recoup-gateway/recoup/internal/gatewaykeys"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/streamlog"
	"github.com/recoup-gateway/recoup/metrics"
	"github.com/recoup-gateway/recoup/pricing"
)

const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 5 * time.Minute // longer than clients keep idle connections, so that it is they who close
	maxHeaderBytes    = 1 << 20

	// What responses get to be written out after all streams have ended,
	// however little of drain_timeout is left.
	lastWords = time.Second
)

// server is a running gateway with its two listeners.
type server struct {
	log     *streamlog.Log
	ledger  *ledger.Ledger
	factors *factors
	keeper  *keeper
	tracing *metrics.Tracing
	watch   *incident.Watch
	gateway *gateway.Gateway
	logger  *slog.Logger
	now     func() time.Time

	comparing sync.Mutex // a bill with the books, or these with other prices

	data, admin *http.Server
	handlers    handlers
	abandon     context.CancelFunc // ends the contexts of all requests
	serving     sync.WaitGroup
	failed      chan error // why a listener ended by itself
}

// start brings the gateway up. The listeners come first: a port that is taken
// is the most common reason to fail, and nothing has been touched by then. Only
// a measurement of what the books cost is without them.
func (p *program) start(settings *config.Settings, logger *slog.Logger) (_ *server, err error) {
	var undo []func() error
	defer func() {
		if err != nil {
			for _, f := range slices.Backward(undo) {
				err = errors.Join(err, f())
			}
		}
	}()
	dataListener, err := listen("listen", settings.Listen)
	if err != nil {
		return nil, err
	}
	undo = append(undo, dataListener.Close)
	adminListener, err := listen("admin_listen", settings.AdminListen)
	if err != nil {
		return nil, err
	}
	undo = append(undo, adminListener.Close)

	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	s := &server{logger: logger, now: p.clock, failed: make(chan error, 2)}
	m, err := metrics.New(registry, metrics.Options{Version: version(), LabelTags: settings.LabelTags})
	if err != nil {
		return nil, err
	}
	if s.tracing, err = metrics.StartTracing(context.Background(), p.getenv, version(), logger); err != nil {
		return nil, err
	}
	undo = append(undo, func() error { return s.tracing.Stop(context.Background()) })
	secret, err := s.openData(settings, m)
	if err != nil {
		return nil, err
	}
	undo = append(undo, s.log.Close, s.ledger.Close)
	tokens, err := newAdminTokens(settings, logger)
	if err != nil {
		return nil, fmt.Errorf("data_dir: %w", err)
	}
	keys, err := gatewaykeys.Open(settings.DataDir, logger)
	if err != nil {
		return nil, fmt.Errorf("data_dir: %w", err)
	}
	s.gateway, err = gateway.New(gateway.Options{
		Config: settings.Gateway, Log: s.log, Metrics: m, Logger: logger, Secret: secret, Books: s.books(settings.Prices, !p.unbooked), Keys: keys,
		Tracing: s.tracing, LabelTags: settings.LabelTags,
	})
	if err != nil {
		return nil, err
	}
	adminHandler := s.adminHandler(registry, tokens, settings.Pprof)
	s.watch = incident.Start(incident.Options{Ledger: s.ledger, Prices: s.gateway.Prices, Logger: logger, Rule: settings.Incidents, Unbooked: s.unbooked})
	s.keeper = keepBooks(s.ledger, s.log, settings.LedgerRetention, logger)
	requests, abandon := context.WithCancel(context.Background())
	s.abandon = abandon
	s.data = s.serve(requests, dataListener, s.gateway.Handler())
	s.admin = s.serve(requests, adminListener, adminHandler)
	logger.Info("recoup is ready", "url", "http://"+dataListener.Addr().String(), "admin_url", "http://"+adminListener.Addr().String(),
		"version", version(), "data_dir", settings.DataDir, "sync_writes", settings.SyncWrites, "encrypted", settings.EncryptionKey != nil, "traces", s.tracing.Exporter)
	return s, nil
}

func (s *server) books(prices *pricing.Book, kept bool) *gateway.Books {
	if !kept {
		return nil
	}
	return &gateway.Books{Ledger: s.ledger, Prices: prices, Factors: s.factors.Factors}
}

func listen(key, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s: %s is already in use: stop what listens there, or choose another address (%s)", key, address, spellings(key))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w: choose another address (%s)", key, err, spellings(key))
	}
	return l, nil
}

// spellings are the ways to set a key.
func spellings(key string) string { return fmt.Sprintf("%s, %s", config.Flag(key), config.Env(key)) }

// openData opens all that is in the data directory, and returns its secret.
func (s *server) openData(settings *config.Settings, m *metrics.Metrics) ([]byte, error) {
	dir := settings.DataDir
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("data_dir: %w: choose another directory (%s)", err, spellings("data_dir"))
	}
	secret, err := loadSecret(dir)
	if err != nil {
		return nil, fmt.Errorf("data_dir: %w", err)
	}
	log, err := streamlog.Open(dir, streamlog.Options{
		SyncWrites:    settings.SyncWrites,
		Retention:     settings.Retention,
		MinFree:       uint64(settings.MinFree),
		EncryptionKey: settings.EncryptionKey,
		Logger:        s.logger,
		OnCommit: func(c streamlog.Commit) {
			m.CommitSeconds.Observe(c.Duration.Seconds())
			m.CommitEvents.Observe(float64(c.Events))
		},
	})
	switch {
	case errors.Is(err, streamlog.ErrLocked):
		return nil, fmt.Errorf("data_dir: %w: stop it, or choose another directory (%s)", err, spellings("data_dir"))
	case errors.Is(err, streamlog.ErrDiskFull):
		return nil, fmt.Errorf("data_dir: %w: make room, choose another directory (%s), or a smaller min_free (%s)",
			err, spellings("data_dir"), spellings("min_free"))
	case err != nil:
		return nil, fmt.Errorf("data_dir: %w", err)
	}
	s.log = log
	if s.ledger, err = openLedger(settings, s.logger, m); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	s.factors = loadFactors(dir, s.logger)
	return secret, nil
}

// openLedger opens the books. What is damaged there is not opened for writing.
func openLedger(settings *config.Settings, logger *slog.Logger, m *metrics.Metrics) (*ledger.Ledger, error) {
	l, err := ledger.Open(settings.DataDir, ledger.Options{
		Logger:   logger,
		OnCommit: func(c ledger.Commit) { m.LedgerCommitSeconds.Observe(c.Duration.Seconds()) },
	})
	switch {
	case errors.Is(err, ledger.ErrDamaged):
		return nil, fmt.Errorf("data_dir: %w: nothing was changed; restore the ledger, or start with another directory (%s)", err, spellings("data_dir"))
	case err != nil:
		return nil, fmt.Errorf("data_dir: %w", err)
	}
	return l, nil
}

// serve starts to serve l. There is no limit on the time of a response: an
// answer may take an hour, and the gateway limits each of its writes.
func (s *server) serve(requests context.Context, l net.Listener, h http.Handler) *http.Server {
	var speaks http.Protocols
	speaks.SetHTTP1(true)
	speaks.SetUnencryptedHTTP2(true) // AWS's SDK for JavaScript speaks nothing else to Bedrock, with TLS or without
	srv := &http.Server{
		Handler:           s.handlers.count(h),
		Protocols:         &speaks,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		BaseContext:       func(net.Listener) context.Context { return requests },
		ErrorLog:          slog.NewLogLogger(s.logger.Handler(), slog.LevelDebug),
	}
	s.serving.Go(func() {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- fmt.Errorf("serve %s: %w", l.Addr(), err)
		}
	})
	return srv
}
