package ledger

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
)

// TestLabels: what is posted with labels is counted by them too, once, over a
// restart, and Verify knows it from the entries.
func TestLabels(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	post := func(n int, p Posting, labels map[string]string) {
		t.Helper()
		p.Outcomes.Labels = labels
		if posted, err := l.Post(p); err != nil || !posted {
			t.Fatalf("posting %d: %v, %v", n, posted, err)
		}
	}
	post(1, example(1), map[string]string{"team": "search", "feature": ""})
	post(2, resumed(2), map[string]string{"team": "search", "feature": ""})
	post(3, example(3), map[string]string{"team": "b=\"c\"", "feature": "chat"})
	post(4, resumed(4), nil)
	// Again, as a recovery does that knows other labels.
	again := example(1)
	again.Outcomes.Labels = map[string]string{"team": "other"}
	if posted, err := l.Post(again); err != nil || posted {
		t.Errorf("the same figures with other labels: %v, %v", posted, err)
	}

	want := []string{
		"openai delivered map[feature: team:search] 1500 0.055",
		"openai lost map[feature: team:search] 412 0.01236",
		"openai lost map[feature:chat team:b=\"c\"] 412 0.01236",
		"openai wasted map[feature: team:search] 600 0.028", // the input goes with it
		"openai wasted map[feature:chat team:b=\"c\"] 600 0.028",
	}
	check := func(when string) {
		t.Helper()
		var got []string
		for _, v := range l.Totals().Tagged {
			got = append(got, fmt.Sprintln(v.Provider, v.Outcome, v.Labels, v.Tokens, v.Amount.String()))
		}
		for i := range got {
			got[i] = got[i][:len(got[i])-1]
		}
		slices.SortFunc(got, cmp.Compare)
		if !slices.Equal(got, want) {
			t.Errorf("%s:\n%q\nwant\n%q", when, got, want)
		}
		if _, err := l.Verify(t.Context(), func(d Damage) { t.Errorf("%s: %s", when, d) }); err != nil {
			t.Errorf("%s: %v", when, err)
		}
	}
	check("posted")
	shut(t, l)
	l = open(t, dir)
	check("opened again")

	// A revision goes to the adjustments, as without labels.
	revision := resumed(2)
	revision.Revision, revision.Reason = 1, Reconciled
	revision.Bill.Output.Tokens, revision.Outcomes.Output[1].Tokens = 1510, 910
	revision.Outcomes.Labels = map[string]string{"team": "search", "feature": ""}
	if _, err := l.Post(revision); err != nil {
		t.Fatal(err)
	}
	check("revised")
}
