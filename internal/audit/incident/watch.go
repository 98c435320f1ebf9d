package incident

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/recoup-gateway/recoup/internal/audit/report"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/pricing"
)

// Options are what a Watch works with.
type Options struct {
	Ledger *ledger.Ledger
	Prices func() *pricing.Book
	Logger *slog.Logger
	Rule   Rule
	// Unbooked are the streams that are not settled: those that run, and those that have
	// ended, of which only At is needed.
	Unbooked func() []Unbooked
	Every    time.Duration // 0: 15 seconds
}

// Unbooked is a stream that the books don't have the end of.
type Unbooked struct {
	Stream
	Running bool
}

// Watch finds incidents beside a running gateway.
type Watch struct {
	o    Options
	rule atomic.Pointer[Rule]
	stop context.CancelFunc
	wg   sync.WaitGroup
	seen uint64 // the ledger's last entry when it was looked at
}

const (
	firstLook = 2 * time.Second
	lookEvery = 15 * time.Second
	lookBack  = time.Hour // in which incidents are found; before it is the baseline

	// A look takes at most this part of the time.
	busy = 50
)

// Start begins to look, until Close.
func Start(o Options) *Watch {
	first := o.Every
	if o.Every == 0 {
		o.Every, first = lookEvery, firstLook
	}
	w := &Watch{o: o}
	w.rule.Store(&o.Rule)
	ctx, stop := context.WithCancel(context.Background())
	w.stop = stop
	w.wg.Go(func() { w.run(ctx, first) })
	return w
}

// SetRule changes the rule.
func (w *Watch) SetRule(r Rule) { w.rule.Store(&r) }

// Close ends it, and returns when nothing is looked at any more.
func (w *Watch) Close() {
	w.stop()
	w.wg.Wait()
}

func (w *Watch) run(ctx context.Context, wait time.Duration) {
	for {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		began := time.Now()
		if err := w.Look(ctx, began); err != nil && ctx.Err() == nil {
			w.o.Logger.Error("incidents could not be looked for", "error", err)
		}
		wait = max(w.o.Every, busy*time.Since(began))
	}
}

// Look finds what there is to be found at a time, posts it, and makes final what is.
func (w *Watch) Look(ctx context.Context, now time.Time) error {
	unbooked := w.o.Unbooked()
	if head := w.o.Ledger.Head().Seq; head != w.seen {
		if err := w.find(ctx, now, unbooked); err != nil {
			return err
		}
		w.seen = head
	}
	return w.finish(ctx, now, unbooked)
}

func (w *Watch) find(ctx context.Context, now time.Time, unbooked []Unbooked) error {
	var streams []Stream
	for _, u := range unbooked {
		if u.Running {
			streams = append(streams, u.Stream)
		}
	}
	booked, err := Booked(ctx, w.o.Ledger, now.Add(-lookBack-baseline))
	if err != nil {
		return err
	}
	streams = append(streams, booked...)
	known, err := w.found(ctx)
	if err != nil {
		return err
	}
	for _, f := range w.rule.Load().Find(streams) {
		if now.Sub(f.Start) > lookBack {
			continue
		}
		if err := w.post(f, known); err != nil {
			return err
		}
	}
	return nil
}

// Booked are the streams that the books have, of those accepted since a time.
func Booked(ctx context.Context, books *ledger.Ledger, since time.Time) (streams []Stream, err error) {
	_, err = books.Extracts(ctx, since, time.Time{}, func(row *ledger.Row) error {
		streams = append(streams, Stream{
			Provider: row.Provider, Principal: row.Principal, At: row.At, Ended: row.Ended, Broken: append([]ledger.Break(nil), row.Current.Broken...),
		})
		return nil
	})
	return streams, err
}

// found are the incidents that were found before.
func (w *Watch) found(ctx context.Context) (known []ledger.Incident, err error) {
	return known, w.o.Ledger.Incidents(ctx, func(i ledger.Incident) error {
		if i.Found {
			known = append(known, i)
		}
		return nil
	})
}

// post posts an incident that was found, unless it is known as it is.
func (w *Watch) post(f Found, known []ledger.Incident) error {
	for _, k := range known {
		if (k.Kind == ledger.KindGateway) != (f.Kind == ledger.KindGateway) || !f.Start.Before(k.End) || !k.Start.Before(f.End) {
			continue
		}
		if !k.Final.IsZero() {
			return nil
		}
		k.Kind, k.Provider, k.Why, k.Start, k.End = f.Kind, f.Provider, f.Why, f.Start, f.End
		_, err := w.o.Ledger.ChangeIncident(k)
		return err
	}
	i, err := w.o.Ledger.OpenIncident(ledger.Incident{
		Name: name(f), Found: true, Kind: f.Kind, Provider: f.Provider, Why: f.Why, Start: f.Start, End: f.End,
	})
	if err == nil {
		w.o.Logger.Warn("an incident was found", "incident", i.Number, "kind", i.Kind, "provider", i.Provider, "start", i.Start, "why", i.Why)
	}
	return err
}

func name(f Found) string {
	words := map[string]string{
		ledger.KindDeploy: "a client's deploy", ledger.KindGateway: "a restart of the gateway", ledger.KindNetwork: "the network", ledger.KindProvider: "a failure of " + f.Provider,
	}
	return fmt.Sprintf("%s at %s", words[f.Kind], f.Start.Format("15:04:05"))
}

// finish makes those incidents final whose last attempt is settled.
func (w *Watch) finish(ctx context.Context, now time.Time, unbooked []Unbooked) error {
	var over []ledger.Incident
	err := w.o.Ledger.Incidents(ctx, func(i ledger.Incident) error {
		if i.Final.IsZero() && !i.End.IsZero() && !i.End.After(now) {
			over = append(over, i)
		}
		return nil
	})
	if err != nil {
		return err
	}
	var errs []error
	for _, i := range over {
		if !awaited(unbooked, i.End) && ctx.Err() == nil {
			errs = append(errs, w.final(ctx, i, now)) // one that can't be doesn't hold back the others
		}
	}
	return errors.Join(errs...)
}

// awaited says if a stream that is not settled was there before the end of an incident,
// and so may have been broken in it.
func awaited(unbooked []Unbooked, end time.Time) bool {
	for _, u := range unbooked {
		if u.At.Before(end) {
			return true
		}
	}
	return false
}

func (w *Watch) final(ctx context.Context, i ledger.Incident, now time.Time) error {
	r, err := report.Make(ctx, report.Sources{Ledger: w.o.Ledger, Prices: w.o.Prices()}, report.Query{Incident: &i})
	if err != nil {
		return err
	}
	if r.Total.Pending > 0 { // of streams that the log has lost, until they are settled as damaged
		return nil
	}
	if i.Figures, err = r.Stored(ledger.MaxEvidence); err != nil {
		return fmt.Errorf("incident %d: %w", i.Number, err)
	}
	i.Final = now.UTC().Truncate(time.Millisecond)
	_, err = w.o.Ledger.ChangeIncident(i)
	if errors.Is(err, ledger.ErrFinal) {
		return nil
	}
	if err == nil {
		w.o.Logger.Info("an incident is final", "incident", i.Number, "name", i.Name, "attempts", r.Total.Attempts, "cost_usd", r.Total.Cost.Point.String())
	}
	return err
}
