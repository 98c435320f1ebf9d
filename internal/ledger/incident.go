package ledger

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// Likely causes of an incident.
const (
	KindDeploy   = "client_deploy"
	KindProvider = "provider_failure"
	KindGateway  = "gateway_restart"
	KindNetwork  = "network"
)

// Causes of a Break, beside Upstream: the provider failed.
const (
	BrokenByClient     = "client"
	BrokenByGateway    = "gateway"
	BrokenBySlowReader = "slow_reader"
)

// Incident is a time in which answers broke off. Its cost is that of the attempts
// broken in it.
type Incident struct {
	Number   int // from 1, in the order of posting
	Name     string
	Labels   map[string]string
	Found    bool   // by itself, not declared
	Kind     string // likely cause; may be "" if it was declared
	Provider string // of KindProvider
	Why      string // it was found

	Start, End time.Time // [Start, End), to the millisecond; no End: it goes on

	// Final is when its figures became final: then it never changes again. Figures is
	// JSON, of whoever worked them out.
	Final   time.Time
	Figures json.RawMessage

	Posted time.Time // the latest change
}

// Selects says if an incident selects an attempt of a provider that was broken so.
// One that was declared selects all that were broken in its time; of one that was
// found, its kind says by whose doing.
func (i *Incident) Selects(provider string, k Break) bool {
	if k.At.Before(i.Start) || !i.End.IsZero() && !k.At.Before(i.End) {
		return false
	}
	if !i.Found {
		return true
	}
	switch i.Kind {
	case KindDeploy:
		return k.Cause == BrokenByClient
	case KindGateway:
		return k.Cause == BrokenByGateway
	case KindProvider:
		return k.Cause == Upstream && provider == i.Provider
	}
	return true
}

// ErrFinal is the error of a change of an incident that is final.
var ErrFinal = errors.New("ledger: the incident is final")

type incidentBody struct {
	Number   int               `json:"i"`
	Name     string            `json:"n,omitempty"`
	Labels   map[string]string `json:"lb,omitempty"`
	Found    bool              `json:"f,omitempty"`
	Kind     string            `json:"kd,omitempty"`
	Provider string            `json:"pr,omitempty"`
	Why      string            `json:"w,omitempty"`
	Start    int64             `json:"at"`
	End      int64             `json:"en,omitempty"`
	Final    int64             `json:"fi,omitempty"`
	Figures  json.RawMessage   `json:"fg,omitempty"`
	Posted   int64             `json:"t,omitempty"` // in a summary: when it came to stand so
}

func (e *entry) incident() Incident {
	if e.Incident == nil {
		return Incident{}
	}
	b := *e.Incident
	b.Posted = e.Posted
	return b.incident()
}

func (b *incidentBody) incident() Incident {
	return Incident{
		Number: b.Number, Name: b.Name, Labels: b.Labels, Found: b.Found, Kind: b.Kind, Provider: b.Provider, Why: b.Why,
		Start: fromMillis(b.Start), End: fromMillis(b.End), Final: fromMillis(b.Final), Figures: b.Figures, Posted: fromMillis(b.Posted),
	}
}

// maxIncidents is how many incidents books can have: their numbers have four bytes.
const maxIncidents = 1 << 31

func incidentKey(n int) []byte {
	return binary.BigEndian.AppendUint32([]byte{prefixIncident}, uint32(n))
}

func (i *Incident) check() error {
	for name, v := range i.Labels {
		if err := errors.Join(label("label", name, true), label("label "+name, v, false)); err != nil {
			return err
		}
	}
	if err := errors.Join(label("name", i.Name, true), label("kind", i.Kind, false), label("provider", i.Provider, false), label("reason", i.Why, false)); err != nil {
		return err
	}
	switch {
	case len(i.Labels) > maxTags:
		return invalidf("%d labels", len(i.Labels))
	case millis(i.Start) <= 0:
		return invalidf("incident without its start")
	case !i.End.IsZero() && millis(i.End) <= millis(i.Start):
		return invalidf("the incident ends at %s, and starts at %s", i.End, i.Start)
	case !i.Final.IsZero() && (i.End.IsZero() || i.Figures == nil):
		return invalidf("an incident can't be final without its end and its figures")
	case len(i.Figures) > MaxEvidence || i.Figures != nil && !json.Valid(i.Figures):
		return invalidf("figures of %d bytes, or no JSON", len(i.Figures))
	}
	return nil
}

// OpenIncident posts a new incident, and returns it with its number. Errors as those
// of Post.
func (l *Ledger) OpenIncident(i Incident) (Incident, error) {
	if err := i.check(); err != nil {
		return i, err
	}
	_, err := l.do(string(prefixIncident), func() (*op, error) {
		last, err := l.lastIncident()
		if err != nil {
			return nil, err
		}
		if i.Number = last + 1; i.Number >= maxIncidents {
			return nil, invalidf("too many incidents")
		}
		return i.draft(&i)
	})
	return i, err
}

// ChangeIncident posts how an incident stands from now on. It is false if it stands so.
// Errors as those of Post; ErrNotFound; ErrFinal.
func (l *Ledger) ChangeIncident(i Incident) (posted bool, err error) {
	if err := i.check(); err != nil {
		return false, err
	}
	return l.do(string(prefixIncident), func() (*op, error) {
		was, err := l.Incident(i.Number)
		if err != nil {
			return nil, err
		}
		if !was.Final.IsZero() {
			return nil, ErrFinal
		}
		was.Posted, i.Posted = time.Time{}, time.Time{}
		if equalJSON(was, i) {
			return nil, nil
		}
		return i.draft(&i)
	})
}

func (i *Incident) draft(posted *Incident) (*op, error) {
	now := time.Now().UnixMilli()
	posted.Posted = fromMillis(now)
	return single(&entry{Kind: kindIncident, Posted: now, Incident: &incidentBody{
		Number: i.Number, Name: i.Name, Labels: i.Labels, Found: i.Found, Kind: i.Kind, Provider: i.Provider, Why: i.Why,
		Start: millis(i.Start), End: millis(i.End), Final: millis(i.Final), Figures: i.Figures,
	}}, incidentKey(i.Number))
}

// Incident returns an incident as it stands; ErrNotFound.
func (l *Ledger) Incident(number int) (Incident, error) {
	if number <= 0 || number >= maxIncidents {
		return Incident{}, fmt.Errorf("%w: incident %d", ErrNotFound, number)
	}
	found := Incident{}
	err := l.Incidents(context.Background(), func(i Incident) error {
		if i.Number == number {
			found = i
			return ErrStop
		}
		return nil
	})
	if err == nil && found.Number == 0 {
		err = fmt.Errorf("%w: incident %d", ErrNotFound, number)
	}
	return found, err
}

// Incidents calls fn with all incidents as they stand, by their numbers. Errors as
// those of Attempts.
func (l *Ledger) Incidents(ctx context.Context, fn func(Incident) error) error {
	all, err := l.incidents(ctx)
	if err != nil {
		return err
	}
	for _, n := range slices.Sorted(maps.Keys(all)) {
		if err := fn(all[n]); err != nil {
			if errors.Is(err, ErrStop) {
				return nil
			}
			return err
		}
	}
	return nil
}

// incidents are all of them by number, of one moment: those whose last change was
// summarised, and those that have one since.
func (l *Ledger) incidents(ctx context.Context) (map[int]Incident, error) {
	if err := l.enter(); err != nil {
		return nil, err
	}
	defer l.leave()
	all := map[int]Incident{}
	return all, l.db.View(func(txn *badger.Txn) error {
		b, err := readBase(txn)
		if err != nil {
			return err
		}
		err = b.eachSummary(txn, func(s summaryBody) error {
			for _, i := range s.Incidents {
				all[i.Number] = i.incident()
			}
			return nil
		})
		if err != nil {
			return err
		}
		return eachIn(txn, scan{prefix: []byte{prefixIncident}, values: true}, func(key, value []byte) error {
			if err := l.interrupted(ctx); err != nil {
				return err
			}
			e, err := numberedEntry(txn, key, value, b.Seq)
			if e != nil && err == nil {
				i := e.incident()
				all[i.Number] = i
			}
			return err
		})
	})
}

func (l *Ledger) lastIncident() (last int, err error) {
	return last, l.Incidents(context.Background(), func(i Incident) error {
		last = i.Number
		return nil
	})
}
