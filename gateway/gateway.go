package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/trace"

	"github.com/recoup-gateway/recoup/internal/gatewaykeys"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/settle"
	"github.com/recoup-gateway/recoup/internal/streamlog"
	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/metrics"
	"github.com/recoup-gateway/recoup/pricing"
)

// Options are what a Gateway is made of.
type Options struct {
	Config  Config
	Log     *streamlog.Log
	Metrics *metrics.Metrics
	Logger  *slog.Logger
	Secret  []byte             // keys the hashes of credentials; must be the same as when the log was written
	Books   *Books             // nil: none are kept
	Keys    *gatewaykeys.Store // nil: there are none

	Tracing   *metrics.Tracing // nil: nothing is traced
	LabelTags []string         // tags of calls that are labels of the tagged metrics, which must have been made for them
}

// Books are where the gateway books what was billed, and by which prices.
type Books struct {
	Ledger  *ledger.Ledger
	Prices  *pricing.Book
	Factors *token.Factors // for estimates; learnt as answers come
}

// Gateway relays calls to providers and keeps their answers.
type Gateway struct {
	// constant after New
	log       *streamlog.Log
	metrics   *metrics.Metrics
	logger    *slog.Logger
	hash      hasher
	keys      *gatewaykeys.Store // nil: there are none
	transport *http.Transport
	router    *echo.Echo
	admitting keyedMutex // held from looking a key up to creating its stream
	loading   keyedMutex // held while the history of a stream that nobody reads is looked at

	traces    bool // anything is traced
	tracer    trace.Tracer
	unbilled  unbilled
	calls     calls
	losses    losses
	labelTags []string

	happenings happenings
	history    history
	overviews  overviews
	watchers   watchers

	prices  atomic.Pointer[pricing.Book]
	pairs   pairs
	board   board
	books   Books
	settler *settle.Settler // nil: no books are kept

	config atomic.Pointer[Config]

	mu       sync.Mutex
	streams  map[streamlog.ID]*stream // those that are drained or read
	orphans  orphans
	missed   missed
	refusers refusers
	draining bool
	drains   sync.WaitGroup // drains and relays under way
	tunnels  tunnels
	ended    chan struct{} // closed and replaced when a drain ends
}

// New makes a gateway and gives an end to the streams that a crash left
// without one.
func New(o Options) (*Gateway, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, err
	}
	if len(o.Secret) < 16 {
		return nil, errors.New("gateway: the secret is shorter than 16 bytes")
	}
	g := &Gateway{
		log: o.Log, metrics: o.Metrics, logger: o.Logger, hash: hasher{o.Secret}, keys: o.Keys,
		streams: map[streamlog.ID]*stream{}, ended: make(chan struct{}),
		transport: newTransport(),
		traces:    o.Tracing.On(), tracer: o.Tracing.Tracer(), labelTags: o.LabelTags,
	}
	g.watchers.since, g.watchers.over = time.Now(), make(chan struct{})
	g.tunnels.cut, g.tunnels.stop = context.WithCancel(context.Background())
	g.config.Store(&o.Config)
	g.board.metrics = o.Metrics
	g.expectFrom(o.Config.Providers)
	g.router = g.routes()
	var recovered []streamlog.ID
	for _, s := range o.Log.Recovered() {
		err := g.recover(s)
		recovered = append(recovered, s.Header().ID)
		s.Release()
		if err != nil {
			return nil, err
		}
	}
	for _, id := range append(o.Log.Unsettled(), recovered...) {
		g.remember(id)
	}
	g.prices.Store(pricing.Embedded())
	if b := o.Books; b != nil {
		g.books = *b
		g.prices.Store(b.Prices)
	}
	g.rememberTotals() // before a crash's losses are posted
	if b := g.books; b.Ledger != nil {
		g.settler = settle.Start(settle.Options{Log: o.Log, Ledger: b.Ledger, Book: b.Prices, Factors: b.Factors, Logger: o.Logger, LabelTags: o.LabelTags, OnPosted: g.posted})
		for _, id := range recovered {
			g.settler.Look(id)
		}
	}
	if g.settler == nil {
		g.unbilled.end() // nothing is billed
	}
	g.metrics.Scrape(g.scrape)
	g.history.reader.Go(g.readTotals)
	return g, nil
}

// recover ends a stream whose gateway died, as the drain would have ended it.
func (g *Gateway) recover(s *streamlog.Stream) error {
	if err := s.Mark(streamlog.Mark{Kind: streamlog.MarkKill}); err != nil {
		return fmt.Errorf("gateway: recover stream %s: %w", s.Header().ID, err)
	}
	e := streamlog.End{State: streamlog.Interrupted, Cause: causeCrash, Detail: "the gateway died"}
	info := s.Info()
	switch {
	case info.Damaged != nil:
		e.Cause, e.Detail = causeDamaged, info.Damaged.Error()
	case info.Terminal:
		e = streamlog.End{State: streamlog.Completed, Clean: true}
	}
	return g.end(s, e, g.recoverySpan(s))
}

// end ends a stream: the one place where that happens, for a drain and for
// recovery alike. The span is the attempt's, or that of the recovery.
func (g *Gateway) end(s *streamlog.Stream, e streamlog.End, span trace.Span) error {
	e, err := s.Finish(e)
	if err != nil {
		return fmt.Errorf("gateway: end of stream %s: %w", s.Header().ID, err)
	}
	h, info := s.Header(), s.Info()
	g.happenings.add(&h, happening{What: happenedEnd, State: e.State, Cause: e.Cause})
	if e.State != streamlog.Completed {
		metrics.Count(g.metrics.UpstreamErrors.WithLabelValues(h.Provider, errorType(e, info.Head)), span.SpanContext())
	}
	if span.IsRecording() {
		span.SetAttributes(endAttributes(e, info.Head)...)
	}
	attrs := append(logAttrs(&h), "provider", h.Provider, "model", h.Asked(), "state", string(e.State), "events", info.Events, "bytes", info.Bytes)
	if e.State != streamlog.Completed {
		attrs = append(attrs, "cause", e.Cause, "detail", e.Detail)
	}
	g.logger.Info("stream ended", attrs...)
	return nil
}

// settle has the books look at a stream to which something has happened after
// its attempt ended. Without books, there is nothing to be settled.
func (g *Gateway) settle(s *streamlog.Stream) {
	if g.settler != nil {
		g.settler.Look(s.Header().ID)
		return
	}
	if err := s.Settled(); err != nil {
		h := s.Header()
		g.logger.Debug("a stream could not be marked as settled", append(logAttrs(&h), "error", err)...)
	}
}

// Close settles what has ended. It is called after Drain, when no handler runs
// any more; the log and the ledger are still open.
func (g *Gateway) Close() {
	if g.settler != nil {
		g.settler.Close()
	}
	g.unbilled.end()
}

// Handler is the data plane.
func (g *Gateway) Handler() http.Handler { return g.router }

// Reload changes the configuration; the old one stays if the new is invalid.
// Streams under way keep the policy they were admitted with.
func (g *Gateway) Reload(c Config) error {
	if err := c.Validate(); err != nil {
		return err
	}
	g.config.Store(&c)
	g.expectFrom(c.Providers)
	return nil
}

// SetPrices makes another book the one that answers are priced by from now on. What
// is posted stays as it is.
func (g *Gateway) SetPrices(book *pricing.Book) {
	g.prices.Store(book)
	if g.settler != nil {
		g.settler.SetBook(book)
	}
}

// Prices is the book that answers are priced by.
func (g *Gateway) Prices() *pricing.Book { return g.prices.Load() }

func (g *Gateway) cfg() *Config { return g.config.Load() }

// Drain refuses new calls, waits until no provider is answering any more and no
// upgraded connection is open, or ctx ends, and then interrupts what is left.
// When it returns, all goroutines of the gateway have ended but those of other
// calls that are passed through.
func (g *Gateway) Drain(ctx context.Context) error {
	g.mu.Lock()
	g.draining = true
	g.mu.Unlock()
	err := g.waitLive(ctx)
	if err != nil {
		g.interruptAll()
	}
	g.drains.Wait()
	err = errors.Join(err, g.tunnels.end(ctx))
	g.transport.CloseIdleConnections()
	g.watchers.end()
	g.history.reader.Wait()
	return err
}

func (g *Gateway) waitLive(ctx context.Context) error {
	for {
		g.mu.Lock()
		live := 0
		for _, s := range g.streams {
			if s.live() {
				live++
			}
		}
		ended := g.ended
		g.mu.Unlock()
		if live == 0 {
			return nil
		}
		select {
		case <-ended:
		case <-ctx.Done():
			return fmt.Errorf("gateway: %d streams interrupted by the shutdown: %w", live, context.Cause(ctx))
		}
	}
}

func (g *Gateway) interruptAll() {
	for _, s := range g.held() {
		s.stop(stopShutdown)
	}
}

// isDraining reports whether the gateway takes no more calls.
func (g *Gateway) isDraining() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.draining
}

// newTransport is how providers are reached. It asks for no compression, so
// that what is stored is what a client can read, and never sends a call twice. It
// waits for an answer as long as it takes; whether there still is somebody to
// wait for is asked below HTTP/1.1 by TCP, and in HTTP/2, where a connection that
// has died unseen would take all later calls with it, by pings.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConnsPerHost:   256,
		ForceAttemptHTTP2:     true,
		DisableCompression:    true,
		HTTP2:                 &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
	}
}
