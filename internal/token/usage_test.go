package token

import (
	"encoding/json"
	"math"
	"reflect"
	"testing"
)

func TestCount(t *testing.T) {
	var unknown Count
	if n, ok := unknown.Get(); n != 0 || ok || unknown.IsKnown() || !unknown.IsZero() || unknown.Or(7) != 7 || unknown.String() != "unknown" {
		t.Errorf("the zero value is not unknown: %v", unknown)
	}
	zero := Known(0)
	if n, ok := zero.Get(); n != 0 || !ok || !zero.IsKnown() || zero.IsZero() || zero.Or(7) != 0 || zero.String() != "0" {
		t.Errorf("a known zero is not known: %v", zero)
	}
	if zero == unknown {
		t.Error("a known zero equals an unknown number")
	}
}

func TestUsageJSON(t *testing.T) {
	for _, tt := range []struct {
		name  string
		usage Usage
		want  string
	}{
		{"nothing", Usage{}, `{}`},
		{"an explicit zero", Usage{Input: Known(5), Output: Known(0)}, `{"input":5,"output":0}`},
		{
			"all",
			Usage{Known(1), Known(2), Known(3), Known(4), Known(5), Known(6), Known(7), Known(8), map[string]int64{"web_search": 2}, "flex", "0.01"},
			`{"input":1,"cache_read":2,"cache_write_5m":3,"cache_write_1h":4,"output":5,"reasoning":6,"audio_in":7,"audio_out":8,"tools":{"web_search":2},"service_tier":"flex","cost_usd":"0.01"}`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := json.Marshal(tt.usage)
			if err != nil || string(got) != tt.want {
				t.Fatalf("%s, %v; want %s", got, err, tt.want)
			}
			var back Usage
			if err := json.Unmarshal(got, &back); err != nil || !reflect.DeepEqual(back, tt.usage) {
				t.Errorf("back: %+v, %v", back, err)
			}
		})
	}
	counts := []Count{Known(9), Known(9), Known(9)}
	if err := json.Unmarshal([]byte(`[null, 0]`), &counts); err != nil || len(counts) != 2 || counts[0] != (Count{}) || counts[1] != Known(0) {
		t.Errorf("null and 0 are read as %v, %v", counts, err)
	}
	if got, err := json.Marshal([]Count{{}, Known(3)}); err != nil || string(got) != `[null,3]` {
		t.Errorf("written as %s, %v", got, err)
	}
	for _, bad := range []string{`"1"`, `1.5`, `{}`, `9223372036854775808`} {
		if err := json.Unmarshal([]byte(bad), new(Count)); err == nil {
			t.Errorf("%s is read as a count", bad)
		}
	}
}

func TestInputTotal(t *testing.T) {
	for _, tt := range []struct {
		name  string
		usage Usage
		want  Count
	}{
		{"unknown", Usage{CacheRead: Known(5), Output: Known(3)}, Count{}},
		{"fresh only", Usage{Input: Known(5)}, Known(5)},
		{"zero", Usage{Input: Known(0)}, Known(0)},
		{"all, audio is part of it", Usage{Input: Known(1), CacheRead: Known(20), CacheWrite5m: Known(300), CacheWrite1h: Known(4000), AudioIn: Known(1)}, Known(4321)},
		{"too much", Usage{Input: Known(math.MaxInt64 - 1), CacheRead: Known(2)}, Known(math.MaxInt64)},
	} {
		if got := tt.usage.InputTotal(); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestMerge(t *testing.T) {
	start := Usage{Input: Known(10), CacheRead: Known(100), CacheWrite1h: Known(7), Output: Known(1), Tools: map[string]int64{"a": 1, "b": 1}, ServiceTier: "standard"}
	delta := Usage{CacheRead: Known(0), Output: Known(55), Reasoning: Known(5), Tools: map[string]int64{"b": 2, "c": 3}, CostUSD: "0.5"}
	want := Usage{
		Input: Known(10), CacheRead: Known(0), CacheWrite1h: Known(7), Output: Known(55), Reasoning: Known(5),
		Tools: map[string]int64{"a": 1, "b": 2, "c": 3}, ServiceTier: "standard", CostUSD: "0.5",
	}
	got := start.Merge(delta)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("merged: %+v\nwant    %+v", got, want)
	}
	got.Tools["a"] = 99
	if start.Tools["a"] != 1 || start.Tools["b"] != 1 || delta.Tools["b"] != 2 {
		t.Error("what was merged was changed")
	}
	if got := (Usage{}).Merge(delta); !reflect.DeepEqual(got, delta) {
		t.Errorf("into nothing: %+v", got)
	}
	if got := delta.Merge(Usage{}); !reflect.DeepEqual(got, delta) {
		t.Errorf("with nothing: %+v", got)
	}
}

func TestKind(t *testing.T) {
	for _, k := range []Kind{Input, CacheRead, CacheWrite5m, CacheWrite1h, AudioIn, Tool("web_search")} {
		if k.IsOutput() {
			t.Errorf("%s is output", k)
		}
	}
	for _, k := range []Kind{Output, Reasoning, AudioOut} {
		if !k.IsOutput() || k.IsTool() {
			t.Errorf("%s is not output, or a tool", k)
		}
	}
	if k := Tool("web_search"); k != "tool:web_search" || !k.IsTool() {
		t.Errorf("a tool's kind: %s", k)
	}
	if name, ok := Tool("web_search").ToolName(); name != "web_search" || !ok {
		t.Errorf("a tool's name: %q, %v", name, ok)
	}
	if name, ok := Input.ToolName(); ok {
		t.Errorf("%q is a tool", name)
	}
}

func TestBasis(t *testing.T) {
	order := Bases()
	if len(order) != 6 {
		t.Fatalf("bases: %v", order)
	}
	for i, a := range order {
		for j, b := range order {
			if got := Worst(a, b); got != order[max(i, j)] {
				t.Errorf("the worst of %s and %s is %s", a, b, got)
			}
		}
		if Worst(a, "") != a || Worst("", a) != a {
			t.Errorf("%s and nothing is something else", a)
		}
		if got, want := a.Estimated(), a != Reported && a != Reconciled; got != want {
			t.Errorf("%s is estimated: %v", a, got)
		}
	}
	if Basis("").Estimated() || Worst("hearsay", Bounded) != "hearsay" {
		t.Error("nothing is an estimate, or hearsay is not the worst")
	}
}

func TestRange(t *testing.T) {
	r := Range{1, 5, 9}
	if got := r.Plus(Exactly(10)); got != (Range{11, 15, 19}) {
		t.Errorf("plus: %v", got)
	}
	if got := r.AtMost(4); got != (Range{1, 4, 4}) {
		t.Errorf("at most: %v", got)
	}
	if got, err := json.Marshal(r); err != nil || string(got) != `{"low":1,"point":5,"high":9}` {
		t.Errorf("%s, %v", got, err)
	}
}
