package main

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/streamlog"
)

// keepEvery is how often the keeper looks. To find nothing costs one look-up.
const keepEvery = time.Hour

// keeper summarises the months of the books that are older than ledger_retention.
type keeper struct {
	books     *ledger.Ledger
	log       *streamlog.Log
	logger    *slog.Logger
	retention atomic.Int64
	changed   chan struct{}
	cancel    context.CancelFunc
	done      sync.WaitGroup
}

func keepBooks(books *ledger.Ledger, log *streamlog.Log, retention time.Duration, logger *slog.Logger) *keeper {
	ctx, cancel := context.WithCancel(context.Background())
	k := &keeper{books: books, log: log, logger: logger, changed: make(chan struct{}, 1), cancel: cancel}
	k.retention.Store(int64(retention))
	k.done.Go(func() { k.run(ctx) })
	return k
}

func (k *keeper) setRetention(d time.Duration) {
	if k.retention.Swap(int64(d)) == int64(d) {
		return
	}
	select {
	case k.changed <- struct{}{}:
	default:
	}
}

// stop returns when nothing is being summarised any more. What was begun, the next
// start goes on with.
func (k *keeper) stop() {
	k.cancel()
	k.done.Wait()
}

func (k *keeper) run(ctx context.Context) {
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	for {
		k.summarise(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-k.changed:
		}
	}
}

func (k *keeper) summarise(ctx context.Context) {
	done, err := k.books.Summarise(ctx, k.before())
	switch {
	case ctx.Err() != nil || errors.Is(err, ledger.ErrClosed):
	case err != nil:
		k.logger.Error("months of the books that are older than ledger_retention could not be summarised; it is tried again", "error", err)
	case done.Entries > 0:
		k.logger.Info("months of the books were summarised", "before", done.Before.Format(time.DateOnly), "attempts", done.Attempts, "entries", done.Entries)
	}
}

// before is the time whose month and later ones stay. What the books don't have yet, as
// after a start, can't be posted in a month that is summarised.
func (k *keeper) before() time.Time {
	t := time.Now().Add(-time.Duration(k.retention.Load()))
	for _, u := range k.log.Unbooked() {
		if u.Accepted.Before(t) {
			t = u.Accepted
		}
	}
	return t
}
