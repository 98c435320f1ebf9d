package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/audit/bucket"
	"github.com/recoup-gateway/recoup/internal/audit/vendor"
	"github.com/recoup-gateway/recoup/internal/simulator"
	"github.com/recoup-gateway/recoup/pricing"
)

// injected is a call that makes the bill another than the books, and what must be found of
// it: the part, requests, and tokens as fresh+read+written for 5m+for 1h/output. What an
// estimate leaves open is "?": that the parts are the difference is seen to apart.
type injected struct {
	model  string
	way    way
	script simulator.Script
	find   []string
}

// way is how a call is made.
type way string

const (
	through way = "through the gateway"
	around  way = "around it"
	cut     way = "through it, by a client that leaves"
)

// Models whose reports are changed behind the calls.
var (
	dear     = []string{"gpt-5.4", "claude-opus-5"}       // the bill has output at twice the list's price
	searched = []string{"o3", "claude-opus-4-8"}          // it charges for three searches of each call
	shifted  = []string{"gpt-4.1-mini", "claude-fable-5"} // it has 40 tokens of another kind
	late     = []string{"gpt-5.1", "claude-sonnet-4-0"}   // it has them in another bucket
)

var whole = simulator.Script{Tokens: 40, Input: 200, Usage: simulator.UsageAlways}

// differences are the seven kinds, of both vendors. Of each model that the gateway knows
// there is also a call that agrees.
var differences = map[string][]injected{
	vendor.OpenAI: {
		{"gpt-5.5", cut, simulator.Script{Seed: 1, Tokens: 300, StallAfterEvents: 60, TailTokens: 12}, []string{"estimated 0 ?/12"}},
		{"gpt-4.1", cut, simulator.Script{Seed: 1, Tokens: 300, StallAfterEvents: 60, OnDisconnect: simulator.BillFull}, []string{"estimated 0 ?/64", "on_cancel 0 0+0+0+0/177"}},
		{"gpt-5-mini", around, simulator.Script{Tokens: 25, Input: 70, CacheRead: 30}, []string{"bypassed 1 70+30+0+0/25"}},
		{"gpt-of-nobody", around, simulator.Script{Tokens: 9, Input: 50}, []string{"bypassed 1 50+0+0+0/9"}},
		{"gpt-5.2", around, simulator.Script{Tokens: 25, Input: 70, Tier: "batch"}, []string{"batch: bypassed 1 70+0+0+0/25"}},
		{"gpt-5.4-mini", through, simulator.Script{Tokens: 25, Input: 70, Tier: "flex", Usage: simulator.UsageAlways}, nil},
		{"gpt-5", through, simulator.Script{Tokens: 40, Input: 200, BillExtra: 7, Usage: simulator.UsageAlways}, []string{"unexplained 0 0+0+0+0/7"}},
		{"gpt-5.4", through, whole, []string{"price 0 0+0+0+0/0 $0.0012"}}, // both calls' 80 tokens
		{"o3", through, whole, []string{"other_charges 0 0+0+0+0/0 $0.06"}},
		{"gpt-5.1", through, whole, nil}, // late only by hours
		{"gpt-4.1-mini", through, simulator.Script{Tokens: 40, Input: 200, CacheRead: 100, Usage: simulator.UsageAlways}, []string{"unexplained 0 40+-40+0+0/0"}},
	},
	vendor.Anthropic: {
		{"claude-haiku-4-5", cut, simulator.Script{Seed: 1, Tokens: 300, StallAfterEvents: 60, TailTokens: 12}, []string{"estimated 0 ?/?"}},
		{"claude-opus-4-5", cut, simulator.Script{Seed: 1, Tokens: 300, StallAfterEvents: 60, OnDisconnect: simulator.BillFull}, []string{"estimated 0 ?/?"}},
		{"claude-sonnet-4-5", around, simulator.Script{Tokens: 25, Input: 70, CacheRead: 30, CacheWrite: 20, CacheWrite1h: 10}, []string{"bypassed 0 70+30+20+10/25"}},
		{"claude-of-nobody", around, simulator.Script{Tokens: 9, Input: 50}, []string{"bypassed 0 50+0+0+0/9"}},
		{"claude-opus-4-1", around, simulator.Script{Tokens: 25, Input: 70, Tier: "batch"}, []string{"batch: bypassed 0 70+0+0+0/25"}},
		{"claude-sonnet-4-6", through, simulator.Script{Tokens: 25, Input: 70, Tier: "priority"}, nil},
		{"claude-sonnet-5", through, simulator.Script{Tokens: 40, Input: 200, CacheWrite: 300, CacheWrite1h: 100, BillExtra: 7}, []string{"unexplained 0 0+0+0+0/7"}},
		{"claude-opus-5", through, whole, []string{"price 0 0+0+0+0/0 $0.002"}},
		{"claude-opus-4-8", through, whole, []string{"other_charges 0 0+0+0+0/0 $0.06"}},
		{"claude-opus-4-7", through, simulator.Script{Tokens: 40, Input: 200, Searches: 2}, nil}, // which the books have too
		{"claude-sonnet-4-0", through, whole, nil},
		{"claude-fable-5", through, simulator.Script{Tokens: 40, Input: 200, CacheWrite: 100, CacheWrite1h: 100}, []string{"unexplained 0 0+0+-40+40/0"}},
	},
}

// spoil is what the reports say of a call.
func (b *billed) spoil(r *simulator.Reported) {
	switch {
	case slices.Contains(late, r.Model):
		r.At = r.At.Add(b.delay)
	case slices.Contains(searched, r.Model):
		r.Searches += 3
	case slices.Contains(shifted, r.Model) && r.CacheRead > 0:
		r.CacheRead, r.Input = r.CacheRead-40, r.Input+40
	case slices.Contains(shifted, r.Model) && r.CacheWrite > 0:
		r.CacheWrite, r.CacheWrite1h = r.CacheWrite-40, r.CacheWrite1h+40
	}
}

// charge is what the bill has for tokens.
func charge(r *simulator.Reported, kind string, n int) string {
	if kind == "output" && slices.Contains(dear, r.Model) {
		n *= 2
	}
	return listPrice(r, kind, n)
}

var paths = map[string]string{vendor.OpenAI: "/v1/chat/completions", vendor.Anthropic: "/v1/messages"}

// inject makes all calls of a vendor, and returns what must be found.
func (b *billed) inject(of string) (want []string) {
	b.t.Helper()
	for _, d := range differences[of] {
		if !strings.HasSuffix(d.model, "-of-nobody") {
			b.ask(b.url, paths[of], d.model, whole)
			b.attempts++
		}
		switch d.way {
		case through:
			b.ask(b.url, paths[of], d.model, d.script)
		case around:
			b.ask(b.upstream, paths[of], d.model, d.script)
		case cut:
			b.leave(paths[of], d.model, d.script)
		}
		if d.way != around {
			b.attempts++
		}
		for _, f := range d.find {
			want = append(want, d.model+": "+f)
		}
	}
	slices.Sort(want)
	b.settled(b.attempts)
	return want
}

// partsOf is what a result names, as the tables of injected have it.
func partsOf(r *bucket.Result) (all []string) {
	for _, c := range r.Cells {
		for _, p := range c.Parts {
			t, tier := p.Tokens, c.Tier
			if tier != "" {
				tier += ": "
			}
			input := fmt.Sprintf("%d+%d+%d+%d", t.Input, t.CacheRead, t.CacheWrite5m, t.CacheWrite1h)
			text := fmt.Sprintf("%s: %s%s %d %s/%d", c.Model, tier, p.Name, p.Requests, input, t.Output)
			switch {
			case p.Name == bucket.OtherCharges: // whose model is no model
				text = fmt.Sprintf("%s: %s 0 0+0+0+0/0 $%s", searchedBy(r.Provider), p.Name, p.USD)
			case p.Name == bucket.Estimated && r.Provider == vendor.OpenAI:
				text = fmt.Sprintf("%s: %s %d ?/%d", c.Model, p.Name, p.Requests, t.Output)
			case p.Name == bucket.Estimated:
				text = fmt.Sprintf("%s: %s %d ?/?", c.Model, p.Name, p.Requests)
			case t.Size() == 0:
				text += " $" + p.USD.String()
			}
			all = append(all, text)
		}
	}
	slices.Sort(all)
	return all
}

func searchedBy(provider string) string {
	if provider == vendor.OpenAI {
		return searched[0]
	}
	return searched[1]
}

// billedBy is what the provider's own bill comes to.
func (b *billed) billedBy(of string) (s bucket.Side) {
	b.t.Helper()
	for _, e := range b.sim.Bill() {
		r := simulator.Reported{
			At: e.Started, Anthropic: of == vendor.Anthropic, Model: e.Model, Tier: e.Tier, Input: e.Input, CacheRead: e.CacheRead, CacheWrite: e.CacheWrite,
			CacheWrite1h: e.CacheWrite1h, Output: e.Billed, Searches: e.Searches,
		}
		b.spoil(&r)
		s.Tokens = s.Tokens.Plus(vendor.Tokens{
			Input: int64(r.Input), CacheRead: int64(r.CacheRead), CacheWrite5m: int64(r.CacheWrite), CacheWrite1h: int64(r.CacheWrite1h), Output: int64(r.Output),
		})
		for kind, n := range map[string]int{
			"input": r.Input, "cache_read": r.CacheRead, "cache_write_5m": r.CacheWrite, "cache_write_1h": r.CacheWrite1h, "output": r.Output, "web_search": r.Searches,
		} {
			usd, err := pricing.ParseDollars(charge(&r, kind, n))
			if err != nil {
				b.t.Fatal(err)
			}
			if !(r.Tier == "priority" && r.Anthropic) {
				s.USD = s.USD.Add(usd)
			}
		}
	}
	return s
}

// exact sees to it that the figures are those of the bill, to the token and to a millionth
// of a dollar, that the parts are the difference, and that each costs what its tokens do.
func (b *billed) exact(r *bucket.Result) {
	b.t.Helper()
	if bill := b.billedBy(r.Provider); r.Billed.Tokens != bill.Tokens || !close6(r.Billed.USD, bill.USD) {
		b.t.Errorf("the bill has %+v $%s, and is read as %+v $%s", bill.Tokens, bill.USD, r.Billed.Tokens, r.Billed.USD)
	}
	var sum bucket.Side
	for _, c := range r.Cells {
		var parts vendor.Tokens
		for _, p := range c.Parts {
			sum.USD, parts = sum.USD.Plus(p.USD), parts.Plus(p.Tokens)
			if p.Tokens.Size() > 0 && !close6(p.USD, b.listed(r.Provider, c.Model, c.Tier, p.Tokens)) {
				b.t.Errorf("%s %s: %+v for $%s", c.Model, p.Name, p.Tokens, p.USD)
			}
		}
		if want := c.Billed.Tokens.Minus(c.Booked.Tokens); parts != want {
			b.t.Errorf("%s: the parts are %+v, the difference is %+v", c.Model, parts, want)
		}
		sum.Tokens = sum.Tokens.Plus(parts)
	}
	if r.Booked.Tokens.Plus(sum.Tokens) != r.Billed.Tokens || !close6(r.Booked.USD.Plus(sum.USD), r.Billed.USD) || sum.USD != r.Adjustment {
		b.t.Errorf("the books have %+v $%s, the parts are %+v $%s, and the bill has %+v $%s; the adjustment is $%s",
			r.Booked.Tokens, r.Booked.USD, sum.Tokens, sum.USD, r.Billed.Tokens, r.Billed.USD, r.Adjustment)
	}
}

// listed is what tokens cost by the list.
func (b *billed) listed(provider, model, tier string, t vendor.Tokens) (sum pricing.Sum) {
	b.t.Helper()
	rates, _ := pricing.Embedded().Rates(pricing.Query{Provider: provider, Model: model, At: time.Now(), ServiceTier: tier})
	for kind, n := range t.Kinds() {
		rate, ok := rates.Of(kind)
		if !ok {
			continue
		}
		usd, err := rate.Times(max(n, -n))
		if err != nil {
			b.t.Fatal(err)
		}
		if n < 0 {
			usd = -usd
		}
		sum = sum.Add(usd)
	}
	return sum
}

// close6 is equal but for rounding.
func close6(a, b pricing.Sum) bool {
	d := a.Minus(b).Dollars()
	return -1e-6 < d && d < 1e-6
}

// Each difference that was made is named with its figures, and none is invented: shown,
// posted on the gateway that runs, and read back by everybody who reads the books.
func TestReconcileKinds(t *testing.T) {
	for of := range differences {
		t.Run(of, func(t *testing.T) {
			b := newBilled(t)
			since := midnight(time.Now())
			want := b.inject(of)
			until := since.AddDate(0, 0, 1)
			if !midnight(time.Now()).Equal(since) {
				t.Skip("midnight has passed meanwhile: the calls are of two days")
			}
			window := []string{"--base-url=" + b.upstream, "--provider=" + of, "--since=" + since.Format(time.DateOnly), "--until=" + until.Format(time.DateOnly)}
			shown := b.reconcile(time.Now(), window...)
			b.found("shown", &shown, want)
			b.exact(&shown)
			if table := b.tryReconcile(time.Now(), window...); !strings.Contains(table.stdout, "; of other kinds: input ") {
				t.Errorf("tokens of another kind don't show: %+v", table)
			}
			long := append(window, "--since="+since.AddDate(0, 0, -40).Format(time.DateOnly)) // the later of both counts
			pages := b.reconcile(time.Now(), long...)
			b.found("of two pages", &pages, want)
			b.byHours(of, want)
			b.fromConsole(of, since, want)
			b.refused(append(window, "--post"))
			b.ahead.Store(int64(time.Until(until.Add(2 * time.Hour))))
			b.posted(window, want)
			b.stop(t)
			again := b.reconcile(until.Add(2*time.Hour), append(window, "--post", "--data-dir="+b.dir)...)
			if b.found("of the books without a gateway", &again, want); again.Posted != 0 || again.Standing != shown.Adjustment {
				t.Errorf("%d posted, $%s stand, $%s should", again.Posted, again.Standing, shown.Adjustment)
			}
			if strings.Contains(b.log.String(), adminKey) {
				t.Error("the admin key is in the log")
			}
		})
	}
}

func (b *billed) found(how string, r *bucket.Result, want []string) {
	b.t.Helper()
	if got := partsOf(r); !slices.Equal(got, want) {
		b.t.Errorf("%s:\n  %s\nwant\n  %s", how, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// refused is what can't be posted: a day that isn't over, and without the operator's token.
func (b *billed) refused(post []string) {
	b.t.Helper()
	did := b.tryReconcile(time.Now(), post...)
	if did.code != exitFailed || !strings.Contains(did.stderr, "an hour after its end") {
		b.t.Errorf("today: %+v", did)
	}
	token := filepath.Join(b.t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(strings.Repeat("0", 64)), 0o600); err != nil {
		b.t.Fatal(err)
	}
	for what, more := range map[string][]string{"another token": {}, "only to show, with another token": {"--post=false"}} {
		args := slices.Concat(post, more, []string{"--admin-token-file=" + token})
		did := b.tryReconcile(time.Now(), args...)
		if did.code != exitFailed || !strings.Contains(did.stderr, "401") || !strings.Contains(did.stderr, "--admin-token-file names") {
			b.t.Errorf("%s: %+v", what, did)
		}
	}
	own := b.dir
	b.dir = b.t.TempDir()
	if did := b.tryReconcile(time.Now(), post...); did.code != exitFailed || !strings.Contains(did.stderr, "401") {
		b.t.Errorf("without a token: %+v", did)
	}
	if b.dir = own; len(b.unexplained()) > 0 {
		b.t.Errorf("posted: %v", b.unexplained())
	}
}

// unexplained are the days that the audit of the running gateway shows, as model, tier and dollars.
func (b *billed) unexplained() (all []string) {
	b.t.Helper()
	did := b.command(b.t, nil, "audit", "--format=json", "--since=2026-11-01")
	var audited struct {
		Bills struct {
			Days []struct {
				Provider, Model, Tier, Day string
				USD                        pricing.Sum
			} `json:"unexplained"`
		} `json:"reconciliation"`
	}
	if err := json.Unmarshal([]byte(did.stdout), &audited); err != nil || did.code != 0 {
		b.t.Fatalf("%v %+v", err, did)
	}
	for _, d := range audited.Bills.Days {
		if d.USD.Sign() != 0 {
			all = append(all, fmt.Sprintf("%s %s %s %s $%s", d.Provider, d.Model, d.Tier, d.Day, d.USD))
		}
	}
	slices.Sort(all)
	return all
}

// posted posts twice, with the default of --until.
func (b *billed) posted(window, want []string) {
	b.t.Helper()
	tomorrow := time.Now().Add(time.Duration(b.ahead.Load()))
	post := append(slices.DeleteFunc(slices.Clone(window), func(arg string) bool { return strings.HasPrefix(arg, "--until") }), "--post")
	r := b.reconcile(tomorrow, post...)
	b.found("posted", &r, want)
	amounts := map[string]pricing.Sum{} // what has no price in the book has no amount, or is of "other"
	for _, c := range r.Cells {
		if _, known := pricing.Embedded().Resolve(r.Provider, c.Model); !known {
			c.Model = "other"
		}
		if c.Adjustment.Sign() != 0 {
			place := fmt.Sprintf("%s %s %s %s", r.Provider, c.Model, c.Tier, c.Day)
			amounts[place] = amounts[place].Plus(c.Adjustment)
		}
	}
	var stands []string
	for place, usd := range amounts {
		stands = append(stands, place+" $"+usd.String())
	}
	slices.Sort(stands)
	if got := b.unexplained(); !slices.Equal(got, stands) || r.Posted != len(stands) || len(stands) < 8 {
		b.t.Errorf("%d posted; the audit has\n%s\nwant\n%s", r.Posted, strings.Join(got, "\n"), strings.Join(stands, "\n"))
	}
	again := b.reconcile(tomorrow, post...)
	if b.found("posted again", &again, want); again.Posted != 0 || again.Standing != r.Adjustment || !slices.Equal(b.unexplained(), stands) {
		b.t.Errorf("again: %d posted, $%s stand, $%s were posted", again.Posted, again.Standing, r.Adjustment)
	}
}
