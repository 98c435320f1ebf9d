package main

import (
	"context"
	"errors"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"
)

var (
	errDrainTimeout = errors.New("drain_timeout is over")
	errSecondSignal = errors.New("a second signal came")
)

// stop ends the gateway in the order in which nothing is lost: streams, while
// clients can still read them and readiness says no; then listeners and
// connections; then the books; then the log. It returns when all is closed. Another signal
// doesn't wait for anyone.
func (s *server) stop(drain time.Duration, signals <-chan os.Signal) error {
	deadline := time.Now().Add(drain)
	hurry, stopListening := hurryOn(signals)
	defer stopListening()

	ctx, cancel := context.WithDeadlineCause(hurry, deadline, errDrainTimeout)
	defer cancel()
	if err := s.gateway.Drain(ctx); err != nil {
		s.logger.Warn("not all streams could end by themselves", "error", err)
	}

	ctx, cancel = context.WithTimeoutCause(hurry, max(time.Until(deadline), lastWords), errDrainTimeout)
	defer cancel()
	for _, srv := range []*http.Server{s.data, s.admin} {
		if err := srv.Shutdown(ctx); err != nil {
			s.logger.Warn("connections are cut off", "cause", context.Cause(ctx))
		}
	}
	s.abandon()
	errs := []error{s.data.Close(), s.admin.Close()}
	s.serving.Wait()
	s.handlers.wait() // the log must not close under a reader
	s.watch.Close()
	s.gateway.Close()
	s.keeper.stop()
	errs = append(errs, s.factors.save(), s.ledger.Close(), s.log.Close())
	s.stopTracing(hurry)
	err := errors.Join(errs...)
	if err == nil {
		s.logger.Info("stopped")
	}
	return err
}

// stopTracing exports the last spans. That they don't arrive is nobody's loss but an
// observer's, so it is no reason to fail.
func (s *server) stopTracing(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lastSpans)
	defer cancel()
	if err := s.tracing.Stop(ctx); err != nil {
		s.logger.Warn("the last spans may be missing", "error", err)
	}
}

// lastSpans is how long the export of the last spans may take.
const lastSpans = 5 * time.Second

// hurryOn returns a context that ends when another signal comes, and how to
// stop listening for it.
func hurryOn(signals <-chan os.Signal) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case sig := <-signals:
				if sig != syscall.SIGHUP { // there is nothing left to reload for
					cancel(errSecondSignal)
					return
				}
			case <-ctx.Done():
				return
			}
		}
	})
	return ctx, func() {
		cancel(nil)
		wg.Wait()
	}
}

// handlers counts the requests that are being handled, because
// http.Server.Close doesn't wait for them.
type handlers struct {
	mu   sync.Mutex
	n    int
	idle chan struct{} // made by wait, closed when n is 0
}

func (h *handlers) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.add(1)
		defer h.add(-1) // also when the handler aborts its response by a panic
		next.ServeHTTP(w, r)
	})
}

func (h *handlers) add(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.n += n
	if h.n == 0 && h.idle != nil {
		close(h.idle)
		h.idle = nil
	}
}

// wait returns when no request is being handled. None may come any more.
func (h *handlers) wait() {
	h.mu.Lock()
	idle := make(chan struct{})
	h.idle = idle
	h.mu.Unlock()
	h.add(0)
	<-idle
}
