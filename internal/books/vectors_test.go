package books_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/books"
	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// vector is a line of books-vectors.jsonl: a history and its books, in a form that
// belongs to no language.
type vector struct {
	ID      int `json:"id"`
	History struct {
		Facts    vectorFacts  `json:"facts"`
		Timeline []vectorStep `json:"timeline"`
	} `json:"history"`
	Books vectorBooks `json:"books"`
}

type vectorFacts struct {
	Input       map[token.Kind]int64        `json:"input"`
	Rates       map[token.Kind]pricing.Rate `json:"rates"`
	G           int64                       `json:"G"`
	H           int64                       `json:"H"`
	R           *int64                      `json:"R"`
	Visible     []int64                     `json:"visible"`
	Terminal    *int                        `json:"terminal"`
	Streamed    bool                        `json:"streamed"`
	OnCancel    string                      `json:"on_cancel"`
	Reclaimable bool                        `json:"reclaimable"`
	Caching     string                      `json:"caching"`
	Marked      int64                       `json:"marked"`
	Retry       bool                        `json:"retry"`
}

type vectorStep struct {
	T       int64           `json:"t"`
	Do      books.Do        `json:"do"`
	N       int             `json:"n"`
	Conn    string          `json:"conn"`
	From    json.RawMessage `json:"from"`
	To      int             `json:"to"`
	Observe bool            `json:"observe"`
	Cause   string          `json:"cause"`
	Marks   map[string]int  `json:"marks"`
}

type vectorBooks struct {
	Outcomes     map[string][2]int64 `json:"outcomes"`
	Input        int64               `json:"input_pd"`
	Bill         int64               `json:"bill_pd"`
	InputOutcome string              `json:"input_outcome"`
	SavedOut     int64               `json:"saved_out"`
	SavedIn      int64               `json:"saved_in"`
	Claim        int64               `json:"claim_pd"`
	Upper        int64               `json:"upper_pd"`
	Overhead     map[string][2]int64 `json:"overhead"`
	Net          int64               `json:"net_pd"`
	R            int64               `json:"R"`
	Pending      []int64             `json:"pending"`
}

func TestVectors(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(strconv.Itoa(v.ID), func(t *testing.T) {
			h := v.history()
			a, err := books.Open(h)
			if err != nil {
				t.Fatal(err)
			}
			for i, want := range v.Books.Pending {
				if !a.Next() || a.Pending() != want {
					t.Errorf("%d pending after step %d (%s), not %d", a.Pending(), i, h.Steps[i].Do, want)
				}
			}
			got, err := a.Books()
			if err != nil {
				t.Fatal(err)
			}
			if a.Next() || !got.Settled {
				t.Error("not settled at the end")
			}
			v.Books.check(t, got)
			balanced(t, h, got)
			checkEveryStep(t, h)
			checkCompact(t, h, got)
		})
	}
}

func (want *vectorBooks) check(t *testing.T, got books.Books) {
	t.Helper()
	outcomes := map[string][2]int64{}
	for _, o := range got.Outcomes {
		outcomes[o.Outcome+"/"+o.Cause] = [2]int64{o.Tokens, int64(o.Amount)}
	}
	overhead := map[string][2]int64{}
	for _, o := range got.Overhead {
		overhead[o.Kind] = [2]int64{o.Tokens, int64(o.Amount)}
	}
	if !maps.Equal(outcomes, want.Outcomes) {
		t.Errorf("outcomes %v, not %v", outcomes, want.Outcomes)
	}
	if !maps.Equal(overhead, want.Overhead) {
		t.Errorf("overhead %v, not %v", overhead, want.Overhead)
	}
	if got.InputOutcome != want.InputOutcome {
		t.Errorf("input is %s, not %s", got.InputOutcome, want.InputOutcome)
	}
	for _, n := range []struct {
		name      string
		got, want int64
	}{
		{"input", int64(got.InputAmount), want.Input},
		{"bill", int64(got.Bill), want.Bill},
		{"saved output", got.Saved.OutputTokens, want.SavedOut},
		{"saved input", got.Saved.InputTokens, want.SavedIn},
		{"claim", int64(got.Saved.Amount()), want.Claim},
		{"upper", int64(got.Upper.Amount()), want.Upper},
		{"net", int64(got.Net), want.Net},
		{"received", got.Received, want.R},
	} {
		if n.got != n.want {
			t.Errorf("%s: %d, not %d", n.name, n.got, n.want)
		}
	}
}

func (v *vector) history() books.History {
	f := v.History.Facts
	h := books.History{Facts: books.Facts{
		Input: f.Input, Rates: pricing.Rates{PerToken: f.Rates}, Output: f.G, Hidden: f.H, Received: f.R,
		Events: len(f.Visible), Visible: f.Visible, Terminal: books.NoTerminal, Streamed: f.Streamed,
		OnCancel: f.OnCancel, Reclaimable: f.Reclaimable, Caching: f.Caching, Marked: f.Marked, Retry: f.Retry,
	}}
	if f.Terminal != nil {
		h.Terminal = *f.Terminal
	}
	for _, s := range v.History.Timeline {
		h.Steps = append(h.Steps, s.step())
	}
	return h
}

func (s *vectorStep) step() books.Step {
	step := books.Step{At: time.Unix(s.T, 0).UTC(), Do: s.Do, N: s.N, Conn: connNumber(s.Conn), To: s.To,
		Observe: s.Observe, Cause: s.Cause}
	switch from := string(s.From); from {
	case "":
	case `"now"`:
		step.FromNow = true
	default:
		step.From, _ = strconv.Atoi(from)
		step.Explicit = step.From > 0
	}
	for conn, mark := range s.Marks {
		if step.Marks == nil {
			step.Marks = make(map[uint32]int)
		}
		step.Marks[connNumber(conn)] = mark
	}
	return step
}

func connNumber(name string) uint32 {
	n, _ := strconv.ParseUint(strings.TrimPrefix(name, "c"), 10, 32)
	return uint32(n)
}

// vectors reads the file that lies beside the recorded streams.
func vectors(tb testing.TB) (all []vector) {
	tb.Helper()
	streams := os.Getenv("RECOUP_STREAMS")
	if streams == "" {
		streams = filepath.Join(root(tb), "..", "shared", "streams")
	}
	f, err := os.Open(filepath.Join(filepath.Dir(filepath.Clean(streams)), "books-vectors.jsonl"))
	if errors.Is(err, fs.ErrNotExist) {
		tb.Skip(err)
	} else if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var v vector
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			tb.Fatal(err)
		}
		all = append(all, v)
	}
	if err := lines.Err(); err != nil || len(all) == 0 {
		tb.Fatalf("%d vectors, %v", len(all), err)
	}
	return all
}

// root is the top of the repository.
func root(tb testing.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	for ; err == nil; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	tb.Fatal("no go.mod above this package: ", err)
	return ""
}

// balanced checks the identities of the design's section 7.1.
func balanced(t testing.TB, h books.History, b books.Books) {
	t.Helper()
	var tokens int64
	var amount pricing.Picodollars
	seen := map[[2]string]bool{}
	for _, o := range b.Outcomes {
		tokens += o.Tokens
		amount += o.Amount
		if o.Tokens <= 0 || seen[[2]string{o.Outcome, o.Cause}] {
			t.Errorf("outcome %+v twice, or empty", o)
		}
		seen[[2]string{o.Outcome, o.Cause}] = true
	}
	switch {
	case !b.Settled && (len(b.Outcomes) > 0 || b.InputOutcome != "" || b.Pending > h.Output):
		t.Errorf("not settled, and has %v, input %q, %d pending of %d", b.Outcomes, b.InputOutcome, b.Pending, h.Output)
	case b.Settled && (tokens+b.Pending != h.Output || amount != b.OutputAmount):
		t.Errorf("%d tokens (%v) and %d pending, billed %d (%v)", tokens, amount, b.Pending, h.Output, b.OutputAmount)
	}
	var input pricing.Picodollars
	for _, l := range b.Input {
		input += l.Amount
	}
	if input != b.InputAmount || b.InputAmount+b.OutputAmount != b.Bill {
		t.Errorf("input %v of %v and output %v, bill %v", input, b.InputAmount, b.OutputAmount, b.Bill)
	}
}
