package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/recoup-gateway/recoup/internal/books"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/settle"
)

// dearestStreams is how many streams a report tells the story of.
const dearestStreams = 10

// dearest are the attempts with the highest cost so far; of those with the same, the
// ones that were paid most for.
type dearest struct {
	all []dear
}

type dear struct {
	id ledger.AttemptID
	Stream
}

func (d *dearest) offer(a *attempt) {
	n := dear{a.row.ID(), Stream{
		Attempt: a.row.Number, Provider: a.row.Provider, Model: a.row.Model, Tags: a.row.Tags, Accepted: a.row.At,
		Cause: a.cause, Cost: a.cost, Paid: a.paid, Output: a.row.Current.Bill.Output.Tokens,
	}}
	if len(d.all) == dearestStreams && dearer(&n, &d.all[dearestStreams-1]) >= 0 {
		return
	}
	i, _ := slices.BinarySearchFunc(d.all, n, func(x, y dear) int { return dearer(&x, &y) })
	d.all = slices.Insert(d.all, i, n)
	d.all = d.all[:min(len(d.all), dearestStreams)]
}

func dearer(a, b *dear) int {
	return cmp.Or(cmp.Compare(b.Cost, a.Cost), cmp.Compare(b.Paid, a.Paid), slices.Compare(a.id.Stream[:], b.id.Stream[:]), cmp.Compare(a.id.Number, b.id.Number))
}

// tell adds what happened to each, from the evidence of its posting.
func (d *dearest) tell(l *ledger.Ledger) ([]Stream, error) {
	all := []Stream{}
	for _, n := range d.all {
		row, err := l.Get(n.id.Stream, n.id.Number)
		if err != nil {
			return nil, err
		}
		s := n.Stream
		s.ID = streamID(n.id.Stream)
		s.Story, err = story(&row)
		if err != nil {
			return nil, fmt.Errorf("attempt %s: %w", n.id, err)
		}
		all = append(all, s)
	}
	return all, nil
}

// streamID is the id as the gateway's clients know it.
func streamID(id ledger.ID) string {
	s := id.String()
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// story is what happened to an attempt's owners, and how it ended.
func story(row *ledger.Row) ([]Event, error) {
	told := []Event{{row.At, "accepted"}}
	if row.Current.Evidence == nil {
		return told, nil
	}
	var e settle.Evidence
	if err := json.Unmarshal(row.Current.Evidence, &e); err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	owners, ended := 0, false
	for i := range e.History.Steps {
		s := &e.History.Steps[i]
		what := ""
		switch s.Do {
		case books.Attach:
			if what = "connected"; owners > 0 {
				what = "came back"
				if s.From > 0 || s.FromNow {
					what = "came back, to read on"
				}
			}
			owners++
		case books.Detach:
			what = map[string]string{
				books.Client: "the client's connection broke", books.Gateway: "the gateway ended the connection", books.SlowReader: "the client read too slowly and was cut",
			}[s.Cause]
		default:
			what = endings[s.Do]
			ended = ended || what != ""
		}
		if what != "" {
			told = append(told, Event{s.At, what})
		}
	}
	if !ended && !row.Ended.IsZero() {
		told = append(told, Event{row.Ended, "the provider's answer ended"})
	}
	slices.SortStableFunc(told, func(a, b Event) int { return a.At.Compare(b.At) })
	return slices.CompactFunc(told, func(a, b Event) bool { return a.What == b.What }), nil
}

var endings = map[books.Do]string{
	books.Cancel: "cancelled by the client", books.Grace: "nobody came back: cancelled by the gateway", books.Supersede: "a new call replaced it",
	books.Fail: "the provider failed", books.Kill: "the gateway went down", books.Damage: "damaged on disk",
}

// Ago is the time of an event after the first one, for people.
func (s *Stream) Ago(e Event) time.Duration { return e.At.Sub(s.Accepted) }
