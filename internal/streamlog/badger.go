package streamlog

import (
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
)

// badgerLogger passes on what Badger thinks worth a warning. It also listens:
// a failed sync of the value log is logged before the commit that wanted it
// returns, and returned by nobody.
type badgerLogger struct {
	log      *slog.Logger
	unsynced atomic.Bool
}

func (l *badgerLogger) Errorf(f string, a ...any) {
	if strings.Contains(f, "curlf sync") {
		l.unsynced.Store(true)
	}
	l.log.Error("badger", "message", strings.TrimSpace(fmt.Sprintf(f, a...)))
}

func (l *badgerLogger) Warningf(f string, a ...any) {
	l.log.Warn("badger", "message", strings.TrimSpace(fmt.Sprintf(f, a...)))
}
func (l *badgerLogger) Infof(string, ...any)  {}
func (l *badgerLogger) Debugf(string, ...any) {}
