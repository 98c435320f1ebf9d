package settle

import (
	"encoding/json"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/recoup-gateway/recoup/internal/ledger"
)

// What clients can make of labels is bounded: how many values a tag can have, how
// long one can be, and how many combinations there are of all tags.
const (
	maxValues       = 50
	maxValueBytes   = 64
	maxCombinations = 250
)

// labels are the tags that tokens and money are counted by, and which of their
// values have counters of their own: those that came first.
type labels struct {
	tags []string

	mu     sync.Mutex
	values map[string]map[string]bool // by tag
	seen   map[string]bool            // combinations
}

// init begins with the values that have counters already.
func (l *labels) init(tags []string, totals []ledger.TaggedTotal) {
	l.tags, l.values, l.seen = tags, map[string]map[string]bool{}, map[string]bool{}
	for _, tag := range tags {
		l.values[tag] = map[string]bool{}
	}
	for _, t := range totals {
		l.known(t.Labels)
	}
}

// known notes labels that have counters. Those of tags that are no labels any more
// take no places from those that are.
func (l *labels) known(labels map[string]string) {
	now := make(map[string]string, len(l.tags))
	for _, tag := range l.tags {
		value, ok := labels[tag]
		if !ok {
			return // from before it was one
		}
		if now[tag] = value; value != "" && value != Other {
			l.values[tag][value] = true
		}
	}
	if len(now) > 0 {
		l.seen[combination(now)] = true
	}
}

// of returns the labels of a call with these tags, nil where none are wanted.
func (l *labels) of(tags map[string]string) map[string]string {
	if len(l.tags) == 0 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make(map[string]string, len(l.tags))
	for _, tag := range l.tags {
		out[tag] = l.value(tag, tags[tag])
	}
	key := combination(out)
	if l.seen[key] {
		return out
	}
	if len(l.seen) >= maxCombinations {
		for tag, value := range out {
			if value != "" { // that it has no tag is true of a call, however many there are
				out[tag] = Other
			}
		}
		return out
	}
	l.seen[key] = true
	return out
}

func (l *labels) value(tag, value string) string {
	known := l.values[tag]
	switch {
	case value == "" || known[value]:
		return value
	case len(known) >= maxValues, len(value) > maxValueBytes, !utf8.ValidString(value), strings.ContainsFunc(value, func(r rune) bool { return !unicode.IsPrint(r) }):
		return Other
	}
	known[value] = true
	return value
}

func combination(labels map[string]string) string {
	key, _ := json.Marshal(labels) // of a map of strings: it can't fail
	return string(key)
}
