package audit_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/ledger"
)

// What can't be declared is refused with what to do, and nothing is posted.
func TestIncidentsThatAreRefused(t *testing.T) {
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	s := newSite(t)
	url := s.serve().URL + "/api/v1/incidents"
	open, err := s.books.OpenIncident(ledger.Incident{Name: "is open", Start: time.Now().Add(-time.Hour).Truncate(time.Millisecond)})
	if err != nil {
		t.Fatal(err)
	}
	far := time.Now().AddDate(2, 0, 0).Format(time.RFC3339)
	for _, tt := range []struct {
		path, body string
		status     int
		message    string
	}{
		{"", "", 400, "name: it has none"},
		{"", "null", 400, "name: it has none"},
		{"", `{"name":" "}`, 400, "name: it has none"},
		{"", `{"name":"x"`, 400, "unexpected EOF"},
		{"", `{"name":"x"} and more`, 400, "something follows"},
		{"", `{"name":"x"}{"name":"y"}`, 400, "something follows"},
		{"", `{"name":5}`, 400, "cannot unmarshal number"},
		{"", `{"name":"x","labels":[]}`, 400, "cannot unmarshal array"},
		{"", `{"name":"x","strat":"2026-11-23T00:00:00Z"}`, 400, `unknown field "strat"`},
		{"", `{"name":"a\u001b[2J"}`, 400, "control character"},
		{"", `{"name":"x","kind":"a\nb"}`, 400, "control character"},
		{"", `{"name":"x","labels":{"a":"b\u0000"}}`, 400, "control character"},
		{"", `{"name":"x","labels":{"":"b"}}`, 400, "labels: one has no name"},
		{"", `{"name":"` + strings.Repeat("n", 2000) + `"}`, 400, "2000 bytes"},
		{"", `{"name":"` + strings.Repeat("n", 10<<20) + `"}`, 413, "larger than 64 KiB"},
		{"", `{"name":"x","start":"1969-12-31T00:00:00Z"}`, 400, "from 1970 on"},
		{"", `{"name":"x","start":"` + far + `"}`, 400, "a year ahead"},
		{"", `{"name":"x","end":"` + far + `"}`, 400, "a year ahead"},
		{"", `{"name":"x","start":"2026-11-23T00:00:00Z","end":"2026-11-23T00:00:00.0005Z"}`, 400, "want an end after its start"},
		{"/1/close", `{"end":"2020-01-01T00:00:00Z"}`, 400, "want an end after its start"},
		{"/1/close", `{"end":"` + far + `"}`, 400, "a year ahead"},
		{"/1/close", `{} {}`, 400, "something follows"},
		{"/2/close", "", 404, "no such incident"},
		{"/4294967297/close", "", 404, "no such incident"},
		{"/99999999999999999999/close", "", 404, "no such incident"},
	} {
		var got struct {
			Error struct{ Code, Message string }
		}
		if status := s.call("POST", url+tt.path, tt.body, &got); status != tt.status || !strings.Contains(got.Error.Message, tt.message) {
			t.Errorf("%s %.60s: %d %+v, want %d %s", tt.path, tt.body, status, got, tt.status, tt.message)
		}
	}
	n := 0
	err = s.books.Incidents(t.Context(), func(i ledger.Incident) error {
		n++
		if i.Number != open.Number || !i.End.IsZero() {
			t.Errorf("posted: %+v", i)
		}
		return nil
	})
	if err != nil || n != 1 {
		t.Errorf("%d incidents, %v", n, err)
	}
}

// Of those who close an incident at once, one does.
func TestIncidentClosedAtOnce(t *testing.T) {
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	s := newSite(t)
	srv := s.serve()
	start := time.Now().Add(-time.Hour).UTC().Truncate(time.Millisecond)
	if _, err := s.books.OpenIncident(ledger.Incident{Name: "x", Start: start}); err != nil {
		t.Fatal(err)
	}
	var (
		lock sync.Mutex
		wg   sync.WaitGroup
		ends []time.Time
	)
	for n := range 8 {
		wg.Go(func() {
			end := start.Add(time.Duration(n+1) * time.Minute)
			var got struct{ End time.Time }
			switch status := s.call("POST", srv.URL+"/api/v1/incidents/1/close", `{"end":"`+end.Format(time.RFC3339Nano)+`"}`, &got); status {
			case 200:
				lock.Lock()
				defer lock.Unlock()
				ends = append(ends, got.End)
			case 409:
			default:
				t.Errorf("closed: %d", status)
			}
		})
	}
	wg.Wait()
	if i, err := s.books.Incident(1); err != nil || len(ends) != 1 || !i.End.Equal(ends[0]) {
		t.Errorf("it ends at %v, and was closed at %v: %v", i.End, ends, err)
	}
}
