package clients

import (
	"testing"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

// The table of what becomes of answers that a provider ends too early, as if they were whole.
const truncationTable = "silent truncation"

var truncationColumns = []string{"between two events, directly", "and through the gateway", "within an event, directly", "and through the gateway "}

// What an application is told of an answer that is only half there.
const (
	toldNothing  = "no error, and no finish reason"
	toldComplete = "**looks complete**"
	toldError    = "error"
)

func told(o outcome) string {
	switch {
	case o.Error != nil:
		return toldError
	case o.Answer.Complete:
		return toldComplete
	}
	return toldNothing
}

// A provider that ends an answer early, and cleanly, makes most SDKs end without an error.
// Through the gateway each client has one.
func TestNoSilentTruncation(t *testing.T) {
	cuts := []simulator.Script{
		{Tokens: 40, CutAfterEvents: 20, Cut: simulator.CutClean, Seed: 5},
		{Tokens: 40, CutAfterBytes: 3000, Cut: simulator.CutClean, Seed: 5},
	}
	eachClient(t, func(t *testing.T, c client) {
		s := newSite(t)
		for i, cut := range cuts {
			j := job{MaxRetries: &noRetries}
			direct := s.once(c, s.provider+c.root, j, cut)
			page.found(t, truncationTable, c, truncationColumns[2*i], told(direct))
			through := s.once(c, s.gateway+c.root, j, cut)
			page.found(t, truncationTable, c, truncationColumns[2*i+1], told(through))
			if through.Error == nil {
				t.Errorf("%s, through the gateway: %s", truncationColumns[2*i], show(through))
			}
		}
	})
}
