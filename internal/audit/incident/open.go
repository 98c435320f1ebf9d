package incident

import (
	"slices"

	"github.com/recoup-gateway/recoup/internal/ledger"
)

// openness says how many streams were open at a time.
type openness struct {
	callers   map[ledger.ID]*spans // the zero id: all
	providers map[string]*spans
}

// spans are times at which streams began and ended, each sorted, in unix ms.
type spans struct{ began, ended []int64 }

func newOpenness(streams []Stream) *openness {
	o := &openness{callers: map[ledger.ID]*spans{}, providers: map[string]*spans{}}
	for i := range streams {
		s := &streams[i]
		ended := int64(1) << 62
		if !s.Ended.IsZero() {
			ended = s.Ended.UnixMilli()
		}
		provider := ended
		for _, k := range s.Broken { // the last: in between it was resumed
			if k.Cause != ledger.Upstream {
				ended = k.At.UnixMilli()
			}
		}
		add(o.callers, ledger.ID{}, s.At.UnixMilli(), ended)
		if s.Principal != (ledger.ID{}) {
			add(o.callers, s.Principal, s.At.UnixMilli(), ended)
		}
		add(o.providers, s.Provider, s.At.UnixMilli(), provider)
	}
	for _, s := range o.callers {
		s.sort()
	}
	for _, s := range o.providers {
		s.sort()
	}
	return o
}

func add[K comparable](m map[K]*spans, key K, began, ended int64) {
	s := m[key]
	if s == nil {
		s = &spans{}
		m[key] = s
	}
	s.began, s.ended = append(s.began, began), append(s.ended, max(ended, began))
}

func (s *spans) sort() {
	slices.Sort(s.began)
	slices.Sort(s.ended)
}

// at is how many a caller had open at a time; the zero id: all of them.
func (o *openness) at(caller ledger.ID, t int64) int {
	s := o.callers[caller]
	if s == nil {
		return 0
	}
	return below(s.began, t+1) - below(s.ended, t)
}

// during is how many a provider was answering at any time of [from, to].
func (o *openness) during(provider string, from, to int64) int {
	s := o.providers[provider]
	if s == nil {
		return 0
	}
	return below(s.began, to+1) - below(s.ended, from)
}

// below is how many of sorted numbers are less than n.
func below(sorted []int64, n int64) int {
	i, _ := slices.BinarySearch(sorted, n)
	return i
}
