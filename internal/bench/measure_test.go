package bench

import (
	"errors"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	cpu, ok := parseStat([]byte("42 (a (b) c) S 1 42 42 0 -1 4194304 100 0 0 0 150 25 0 0 20 0 8 0 100 1 1"))
	if !ok || cpu != 1750*time.Millisecond {
		t.Errorf("got %v, %t, want 150 and 25 ticks", cpu, ok)
	}
	if _, ok := parseStat([]byte("42 (x) S 1")); ok {
		t.Error("a short line was understood")
	}
}

func TestStatusField(t *testing.T) {
	status := []byte("Name:\tx\nVmRSS:\t    2048 kB\nRssAnon:\t    1024 kB\n")
	if rss, none := statusField(status, "VmRSS:"), statusField(status, "VmSwap:"); rss != 2<<20 || none != 0 {
		t.Errorf("got %d and %d", rss, none)
	}
}

func TestQuantiles(t *testing.T) {
	v := []float64{5, 1, 4, 2, 3}
	if median(v) != 3 || v[0] != 5 || median([]float64{4, 2}) != 3 || median(nil) != 0 {
		t.Errorf("median of %v: %v", v, median(v))
	}
	if quantile(v, .99) != 5 || quantile(v, 0) != 1 || quantile([]int{}, .5) != 0 {
		t.Errorf("quantiles of %v", v)
	}
	a, b := []appendRound{{cpu: 2}, {cpu: 9}, {cpu: 4}}, []appendRound{{cpu: 1}, {cpu: 3}, {cpu: 4}}
	if r := medianRatio(a, b, func(x appendRound) float64 { return x.cpu }); r != 2 {
		t.Errorf("median of the ratios 2, 3, 1: %v", r)
	}
}

// forgetful loses or changes an event of one stream.
type forgetful struct {
	store
	stream, event int
	change        bool
}

func (f forgetful) read(wanted func(int) bool, visit visitFunc) error {
	n := 0
	return f.store.read(wanted, func(stream int, event []byte) error {
		if stream != f.stream {
			return visit(stream, event)
		}
		n++
		switch {
		case n-1 != f.event:
		case f.change:
			event = append([]byte(nil), event...)
			event[len(event)/2] ^= 1
		default:
			return nil
		}
		return visit(stream, event)
	})
}

func TestReadBackFindsWhatAnEngineLoses(t *testing.T) {
	for _, e := range engines() {
		st, err := e.open(t.TempDir(), false)
		if err != nil {
			t.Fatal(err)
		}
		appends, err := st.create(t.Context(), 2*sampleEvery)
		if err != nil {
			t.Fatal(err)
		}
		w := writing{appends: appends, counts: make([]int, len(appends)), pools: make([][][]byte, len(appends))}
		for i, add := range appends {
			w.pools[i] = eventPool(i)
			for ; w.counts[i] < 3; w.counts[i]++ {
				if err := add(w.pools[i][w.counts[i]]); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := st.close(); err != nil {
			t.Fatal(err)
		}
		r := &runner{}
		if err := r.readBack(st, w); err != nil {
			t.Errorf("%s: %v", e.name, err)
		}
		for _, bad := range []forgetful{
			{store: st, stream: sampleEvery, event: 2}, {store: st, stream: sampleEvery, event: 0}, {store: st, stream: 0, event: 1, change: true},
		} {
			if err := r.readBack(bad, w); !errors.Is(err, ErrDiffers) {
				t.Errorf("%s, event %d of stream %d, changed %t: %v, want ErrDiffers", e.name, bad.event, bad.stream, bad.change, err)
			}
		}
	}
}
