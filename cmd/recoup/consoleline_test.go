package main

import (
	"encoding/json"
	"net/http/httptest"
	"regexp"
	"slices"
	"testing"

	"github.com/recoup-gateway/recoup/dashboards"
	"github.com/recoup-gateway/recoup/internal/console"
)

// TestFirstLineOfConsole: what Grafana has in its first line the console has too, by the
// same names and in the same order.
func TestFirstLineOfConsole(t *testing.T) {
	data, err := dashboards.Grafana.ReadFile("grafana/recoup-tokens-and-money.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Title   string
			GridPos struct{ Y int }
		}
	}
	if err := json.Unmarshal(data, &board); err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for _, p := range board.Panels {
		if p.GridPos.Y == 0 {
			want = append(want, p.Title)
		}
	}
	w := httptest.NewRecorder()
	console.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/firstline.js", nil))
	for _, m := range regexp.MustCompile(`\["([A-Z][^"]+)", \w+, (?:true|false)\]`).FindAllStringSubmatch(w.Body.String(), -1) {
		got = append(got, m[1])
	}
	if len(want) == 0 || !slices.Equal(got, want) {
		t.Errorf("the console has %q, the dashboard %q", got, want)
	}
}
