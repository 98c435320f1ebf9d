package main

import (
	"errors"
	"log/slog"

	"github.com/recoup-gateway/recoup/cmd/recoup/internal/config"
)

// reloader takes over a changed configuration. One goroutine uses it.
type reloader struct {
	server *server
	loader *config.Loader
	level  *slog.LevelVar
	logger *slog.Logger

	started *config.Settings // what can't be reloaded is still as it was then
	current *config.Settings
}

// reload reads the configuration again. If that or anything in it fails, the
// running one stays as it is.
func (r *reloader) reload() {
	next, err := r.loader.Load()
	if refused := (*config.Error)(nil); errors.As(err, &refused) {
		for _, p := range refused.Problems {
			r.logger.Error("the new configuration is refused, the old one goes on", "problem", p.String(), "key", p.Key, "where", p.Where)
		}
		return
	}
	if err == nil {
		err = r.server.gateway.Reload(next.Gateway)
	}
	if err != nil {
		r.logger.Error("the new configuration is refused, the old one goes on", "problem", err)
		return
	}
	r.server.gateway.SetPrices(next.Prices)
	r.server.log.SetRetention(next.Retention)
	r.server.keeper.setRetention(next.LedgerRetention)
	r.server.watch.SetRule(next.Incidents)
	changed, _ := config.Changes(r.current, next)
	_, restart := config.Changes(r.started, next)
	r.current = next
	for _, w := range next.Warnings {
		r.logger.Warn("configuration", "warning", w)
	}
	if len(restart) > 0 {
		r.logger.Warn("changed keys need a restart", "keys", restart)
	}
	// Before and after the level changes there is one at which this is seen.
	least := min(r.level.Level(), next.LogLevel)
	r.level.Set(least)
	r.logger.Info("configuration reloaded", "changed", changed)
	r.level.Set(next.LogLevel)
}
