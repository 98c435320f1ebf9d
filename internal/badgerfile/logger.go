package badgerfile

import (
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
)

// Logger passes on what Badger thinks worth a warning. It also listens: a failed sync
// of the value log is logged before the commit that wanted it returns, and returned
// by nobody.
type Logger struct {
	log      *slog.Logger
	unsynced atomic.Bool
}

// NewLogger returns a Logger, for one database, that writes to log.
func NewLogger(log *slog.Logger) *Logger { return &Logger{log: log} }

// Unsynced says if a sync of the value log has failed.
func (l *Logger) Unsynced() bool { return l.unsynced.Load() }

// Errorf is for Badger, as are the others.
func (l *Logger) Errorf(f string, a ...any) {
	if strings.Contains(f, "curlf sync") {
		l.unsynced.Store(true)
	}
	l.log.Error("badger", "message", strings.TrimSpace(fmt.Sprintf(f, a...)))
}

// Warningf logs a warning.
func (l *Logger) Warningf(f string, a ...any) {
	l.log.Warn("badger", "message", strings.TrimSpace(fmt.Sprintf(f, a...)))
}

// Infof does nothing.
func (l *Logger) Infof(string, ...any) {}

// Debugf does nothing.
func (l *Logger) Debugf(string, ...any) {}
