package report

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"time"
)

// Group is the attempts that are alike in some dimensions.
type Group struct {
	Key  []string `json:"key"`            // one for each dimension; "" of a tag: untagged
	Rest bool     `json:"rest,omitempty"` // all beyond the groups that there can be; Key is empty texts
	Figures
}

// maxGroups bounds the groups of a grouping.
const maxGroups = 100_000

// grouping is groups that are being added up.
type grouping struct {
	by      []Dimension
	byCause bool
	asked   bool   // then too many groups are an error; else those beyond are one, the rest
	rest    *Group // nil: there is none
	most    int
	groups  map[string]*Group
	key     []byte // of the attempt at hand
	hour    hourText

	last    *Group // the group that was found last, and its key
	lastKey []byte
}

func newGrouping(by ...Dimension) *grouping {
	return &grouping{by: by, byCause: slices.Contains(by, ByCause), most: maxGroups, groups: map[string]*Group{}}
}

// add adds an attempt.
func (g *grouping) add(a *attempt) error {
	of, err := g.of(a, a.cause)
	if err != nil {
		return err
	}
	of.whole(a)
	for i := range a.pieces {
		p := &a.pieces[i]
		if g.byCause && p.cause != a.cause {
			other, err := g.of(a, p.cause)
			if err != nil {
				return err
			}
			other.take(p)
			continue
		}
		of.take(p)
	}
	return nil
}

// of is the group that an attempt's pieces with a cause are in.
func (g *grouping) of(a *attempt, cause string) (*Group, error) {
	g.key = g.key[:0]
	for _, d := range g.by {
		v := g.value(d, a, cause)
		g.key = append(binary.AppendUvarint(g.key, uint64(len(v))), v...)
	}
	if g.last != nil && bytes.Equal(g.key, g.lastKey) {
		return g.last, nil
	}
	g.lastKey = append(g.lastKey[:0], g.key...)
	if g.last = g.groups[string(g.key)]; g.last != nil {
		return g.last, nil
	}
	if len(g.groups) >= g.most {
		if g.asked {
			return nil, invalidf("by %s: more than %d groups; take a shorter window, or another grouping", joined(g.by), g.most)
		}
		if g.rest == nil {
			g.rest = &Group{Key: make([]string, len(g.by)), Rest: true}
		}
		g.last = g.rest
		return g.last, nil
	}
	of := &Group{}
	for _, d := range g.by {
		of.Key = append(of.Key, g.value(d, a, cause))
	}
	g.groups[string(g.key)], g.last = of, of
	return of, nil
}

func (g *grouping) value(d Dimension, a *attempt, cause string) string {
	switch d {
	case ByModel:
		return a.row.Model
	case ByProvider:
		return a.row.Provider
	case ByCause:
		return cause
	case ByHour:
		return g.hour.of(a.row.At)
	}
	name, _ := d.tag()
	return a.row.Tags[name]
}

// hourText remembers the text of the last hour: the next attempt is mostly of it too.
type hourText struct {
	of1  int64
	text string
}

func (h *hourText) of(t time.Time) string {
	if n := t.Unix() / 3600; n != h.of1 || h.text == "" {
		h.of1, h.text = n, time.Unix(n*3600, 0).UTC().Format("2006-01-02T15:04Z")
	}
	return h.text
}

func joined(by []Dimension) (s string) {
	for i, d := range by {
		if i > 0 {
			s += ","
		}
		s += string(d)
	}
	return s
}

// done closes the groups and returns them: by hour in the order of time, else the one
// with the highest cost first, then with the most paid, then by name.
func (g *grouping) done() []Group {
	all := make([]Group, 0, len(g.groups))
	for _, of := range g.groups {
		of.close()
		all = append(all, *of)
	}
	if g.rest != nil {
		g.rest.close()
		all = append(all, *g.rest)
	}
	timely := len(g.by) > 0 && g.by[0] == ByHour
	slices.SortFunc(all, func(a, b Group) int {
		names := cmp.Or(slices.Compare(a.Key, b.Key), int(one(a.Rest)-one(b.Rest)))
		if timely {
			return names
		}
		return cmp.Or(b.Cost.Point.Minus(a.Cost.Point).Sign(), b.Paid.Point.Minus(a.Paid.Point).Sign(), names)
	})
	return all
}
