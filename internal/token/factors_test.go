package token

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"sync"
	"testing"
	"time"
)

func TestCountedExactly(t *testing.T) {
	for model, want := range map[string]bool{
		"gpt-4o": true, "gpt-4o-mini-2024-07-18": true, "gpt-4.1-nano": true, "gpt-5": true, "gpt-5.5-mini": true,
		"openai/gpt-6.1-sol": true, "o1": true, "o3-mini": true, "o4-mini": true, "chatgpt-4o-latest": true, "openai/gpt-oss-20b": true, "gpt-chat-latest": true,
		"gpt-4": false, "gpt-4-turbo": false, "gpt-3.5-turbo": false, "gpt-50": false, "o10": false, "claude-opus-5": false, "gemini-2.5-pro": false, "": false,
		"deepseek/deepseek-chat": false, "GPT-4o": true,
	} {
		if got := CountedExactly(model); got != want {
			t.Errorf("%s: %v", model, got)
		}
	}
}

func TestStartFactor(t *testing.T) {
	for model, want := range map[string]float64{
		"gpt-5.5": 1, "claude-3-haiku-20240307": 1.25, "claude-sonnet-4-20250514": 1.25, "claude-sonnet-4": 1.25, "claude-opus-4-1-20250805": 1.25,
		"us.anthropic.claude-opus-4-6-v1": 1.25, "anthropic/claude-sonnet-4.5": 1.25, "claude-haiku-4-5": 1.25, "claude-3-7-sonnet-latest": 1.25,
		"claude-opus-4-7": 1.6, "claude-opus-4-8": 1.6, "claude-opus-5-5": 1.6, "claude-fable-5-1": 1.6,
		"gemini-2.5-pro": 1.15, "gpt-4": 1.15, "": 1.15,
	} {
		var f Factors
		if got, samples := f.Factor(model, Latin); got != want || samples != 0 {
			t.Errorf("%s: %v of %d samples, want %v", model, got, samples, want)
		}
	}
}

func TestClassOf(t *testing.T) {
	for text, want := range map[string]Class{
		"": Latin, "12 { } ;": Latin, "hello": Latin, "größer": Latin, "今天天气很好": CJK, "ひらがな": CJK, "한국어": CJK,
		"func 名前() error": Latin, "API は 便利 だ": CJK, "Все люди": Other, "มนุษย์": Other, "नमस्ते": Other, "Все x": Other, "\xff\xfe": Latin,
	} {
		if got := ClassOf([][]byte{[]byte(text)}); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
	if got := ClassOf([][]byte{[]byte("ok "), []byte("今天天气")}); got != CJK {
		t.Errorf("in pieces: %s", got)
	}
}

func TestVisible(t *testing.T) {
	var f Factors
	for _, tt := range []struct {
		model          string
		counted, limit int64
		want           Range
		basis          Basis
	}{
		{"gpt-5.5", 1000, 0, Range{980, 1000, 1020}, Counted},
		{"gpt-5.5", 10, 0, Range{8, 10, 12}, Counted},
		{"gpt-5.5", 1, 0, Range{0, 1, 3}, Counted},
		{"gpt-5.5", 1000, 1000, Range{980, 1000, 1000}, Counted},
		{"claude-opus-5", 1000, 0, Range{500, 1600, 3008}, Calibrated},
		{"claude-opus-5", 1000, 1200, Range{500, 1200, 1200}, Calibrated},
		{"claude-opus-5", 0, 0, Range{0, 0, 8}, Calibrated},
		{"gemini-2.5-pro", -5, 0, Range{0, 0, 8}, Calibrated},
	} {
		if got, basis := f.Visible(tt.model, Latin, tt.counted, tt.limit); got != tt.want || basis != tt.basis {
			t.Errorf("%s, %d of %d: %v %s, want %v %s", tt.model, tt.counted, tt.limit, got, basis, tt.want, tt.basis)
		}
	}
}

// A factor follows the samples, from where it starts, per model and class.
func TestLearnVisible(t *testing.T) {
	var f Factors
	f.Learn("claude-x", Sample{Class: CJK, Counted: 100, Visible: 100})
	if got, n := f.Factor("claude-x", CJK); math.Abs(got-1.3) > 1e-9 || n != 1 { // halfway from 1.6
		t.Errorf("after one sample: %v of %d", got, n)
	}
	for range 100 {
		f.Learn("claude-x", Sample{Class: CJK, Counted: 100, Visible: 90})
	}
	if got, n := f.Factor("claude-x", CJK); math.Abs(got-0.9) > 0.001 || n != 101 {
		t.Errorf("after many: %v of %d", got, n)
	}
	if got, n := f.Factor("claude-x", Latin); got != 1.6 || n != 0 {
		t.Errorf("another class: %v of %d", got, n)
	}
	if got, n := f.Factor("claude-y", CJK); got != 1.6 || n != 0 {
		t.Errorf("another model: %v of %d", got, n)
	}
	r, _ := f.Visible("claude-x", CJK, 1000, 0)
	if r.Point < 899 || r.Point > 901 {
		t.Errorf("estimate: %v", r)
	}
	for range 200 {
		f.Learn("wild", Sample{Class: Latin, Counted: 100, Visible: 100_000})
		f.Learn("tame", Sample{Class: Latin, Counted: 100_000, Visible: 1})
		f.Learn("short", Sample{Class: Latin, Counted: 19, Visible: 38})
		f.Learn("gpt-5.5", Sample{Class: Latin, Counted: 100, Visible: 200})
	}
	for model, want := range map[string]float64{"wild": 3, "tame": 0.5, "short": 1.15, "gpt-5.5": 1} {
		if got, _ := f.Factor(model, Latin); math.Abs(got-want) > 1e-6 {
			t.Errorf("%s: %v, want %v", model, got, want)
		}
	}
}

func TestInput(t *testing.T) {
	var f Factors
	if got := f.Input("m", 1000); got != (Range{0, 250, 1064}) {
		t.Errorf("unlearnt: %v", got)
	}
	if got := f.Input("m", -1); got != (Range{0, 0, 64}) {
		t.Errorf("no body: %v", got)
	}
	for range 100 {
		f.Learn("m", Sample{BodyBytes: 1000, Input: 400})
		f.Learn("images", Sample{BodyBytes: 1000, Input: 3000})
		f.Learn("unknown", Sample{BodyBytes: 1000})
	}
	if got := f.Input("m", 1000); got != (Range{0, 400, 1064}) {
		t.Errorf("learnt: %v", got)
	}
	if got := f.Input("images", 1000); got != (Range{0, 3000, 3000}) {
		t.Errorf("with images: %v", got)
	}
	if got := f.Input("unknown", 1000); got.Point != 250 {
		t.Errorf("from nothing: %v", got)
	}
}

func TestHidden(t *testing.T) {
	var f Factors
	if got := f.Hidden("m", time.Second, 4000); got != (Range{0, 0, 4000}) {
		t.Errorf("a model of which nothing is known: %v", got)
	}
	if got := f.Hidden("gpt-4o-mini", time.Second, 4000); got != (Range{}) {
		t.Errorf("a model that hides nothing: %v", got)
	}
	f.Learn("m", Sample{Hidden: 0, Wait: 10 * time.Second})
	if got := f.Hidden("m", time.Second, 4000); got.Point != 0 {
		t.Errorf("after nothing hidden: %v", got)
	}
	f.Learn("m", Sample{Hidden: 500, Wait: 5 * time.Second})
	f.Learn("m", Sample{Hidden: 500, Wait: time.Millisecond}) // too short to tell
	if got := f.Hidden("m", 7*time.Second, 4000); got != (Range{0, 700, 4000}) {
		t.Errorf("100 a second: %v", got)
	}
	if got := f.Hidden("m", time.Minute, 4000); got != (Range{0, 4000, 4000}) {
		t.Errorf("more than the limit: %v", got)
	}
	if got := f.Hidden("m", time.Minute, 0); got != (Range{0, 6000, 131_072}) {
		t.Errorf("without a limit: %v", got)
	}
	if got := f.Hidden("m", -time.Minute, 10); got != (Range{0, 0, 10}) {
		t.Errorf("a clock that went back: %v", got)
	}
	f.Learn("m", Sample{Hidden: 0, Wait: 5 * time.Second}) // counts, now that it is known to hide
	if got := f.Hidden("m", 10*time.Second, 4000); got.Point >= 1000 || got.Point <= 0 {
		t.Errorf("after an answer without: %v", got)
	}
}

func TestFactorsJSON(t *testing.T) {
	var f, back Factors
	f.Learn("a", Sample{Class: Latin, Counted: 100, Visible: 140, BodyBytes: 500, Input: 100, Hidden: 30, Wait: time.Second})
	f.Learn("b", Sample{BodyBytes: 500, Input: 100})
	data, err := json.Marshal(&f)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(f.models, back.models) {
		t.Errorf("%s came back as %v", data, back.models)
	}
	back.Learn("b", Sample{Class: Latin, Counted: 100, Visible: 140})
	for _, bad := range []string{
		`[]`, `{"models":{"a":null}}`,
		`{"models":{"a":{"visible":{"latin":{"value":99,"samples":1}}}}}`,
		`{"models":{"a":{"per_byte":{"value":-1,"samples":1}}}}`,
		`{"models":{"a":{"hidden_per_second":{"value":1,"samples":-1}}}}`,
	} {
		if err := json.Unmarshal([]byte(bad), &f); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
	if got, n := f.Factor("a", Latin); n != 1 || got == 0 {
		t.Error("an error changed what was learnt")
	}
	var empty Factors
	if err := json.Unmarshal([]byte(`{}`), &empty); err != nil {
		t.Error(err)
	}
	empty.Learn("a", Sample{BodyBytes: 1, Input: 1})
}

func TestFactorsAreBounded(t *testing.T) {
	var f Factors
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 2 * maxModels {
				model := fmt.Sprint(w%2, i)
				f.Learn(model, Sample{Class: Latin, Counted: 100, Visible: 130, BodyBytes: 10, Input: 5})
				f.Visible(model, Latin, 10, 0)
			}
		})
	}
	wg.Wait()
	if len(f.models) != maxModels {
		t.Errorf("%d models", len(f.models))
	}
}
