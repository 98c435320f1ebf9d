package demo

import (
	"bytes"
	"encoding/json"
	"testing"
)

// The story that is told at the end is that of the cast.
func TestCast(t *testing.T) {
	is := func(f fate) func(role) bool { return func(r role) bool { return r.fate == f } }
	for name, n := range map[string][2]int{
		"agents":           {size(), 24},
		"cut":              {count(func(r role) bool { return r.fate.cut() }), 16},
		"large":            {count(func(r role) bool { return r.model == large }), 16},
		"with tools":       {count(func(r role) bool { return r.calls > 1 }), 5},
		"without a key":    {count(is(keyless)), 1},
		"cancel":           {count(is(cancels)), 1},
		"failing provider": {count(is(upstream)), 1},
		"killed":           {count(is(killed)), 3},
	} {
		if n[0] != n[1] {
			t.Errorf("%s: %d, want %d", name, n[0], n[1])
		}
	}
}

func TestSeedRepeatsThePlans(t *testing.T) {
	same, other := 0, plans(2)
	again := plans(1)
	for i, p := range plans(1) {
		q := again[i]
		if p.stop != q.stop || p.after != q.after || p.withUse != q.withUse || p.provider.Header() != q.provider.Header() {
			t.Errorf("%s is another: %+v, %+v", p.name(), p, q)
		}
		for call := range p.bodies {
			if !bytes.Equal(p.bodies[call], q.bodies[call]) {
				t.Errorf("%s: call %d is another", p.name(), call)
			}
			if !json.Valid(p.bodies[call]) || len(p.bodies[call]) < p.kib<<10 {
				t.Errorf("%s: call %d has %d bytes", p.name(), call, len(p.bodies[call]))
			}
		}
		if events := p.answer / perEvent; p.stop < events/4 || p.stop > events*3/4 {
			t.Errorf("%s is met at event %d of %d", p.name(), p.stop, events)
		}
		if p.stop == other[i].stop {
			same++
		}
	}
	if same > size()/2 {
		t.Errorf("another seed stops %d agents where the first did", same)
	}
}
