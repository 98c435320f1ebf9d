package bucket_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/audit/bucket"
	"github.com/recoup-gateway/recoup/pricing"
)

// What isn't one statement is refused, and nothing of it posted.
func TestHandlerRefuses(t *testing.T) {
	s := newSite(t)
	s.post(call{model: "gpt-5.5", at: day.Add(time.Hour)})
	s.dollars("gpt-5.5", day, "0.25")
	srv := httptest.NewServer(bucket.Handler(bucket.Options{
		Ledger: s.books, Prices: pricing.Embedded, Now: func() time.Time { return day.AddDate(0, 1, 0) }, Logger: slog.New(slog.DiscardHandler), One: &sync.Mutex{},
	}))
	defer srv.Close()
	ask := func(body io.Reader) (int, string) {
		t.Helper()
		resp, err := srv.Client().Post(srv.URL, "application/json", body)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(text)
	}
	good, err := json.Marshal(bucket.Request{Statement: *s.statement(), Post: true})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		body   io.Reader
		status int
		want   string
	}{
		"something behind it": {strings.NewReader(string(good) + "{}"), http.StatusBadRequest, "something follows"},
		"half of it":          {strings.NewReader(string(good[:len(good)/2])), http.StatusBadRequest, "can't be read"},
		"another member":      {strings.NewReader(`{"statment":{}}`), http.StatusBadRequest, `unknown field`},
		"nothing":             {strings.NewReader(""), http.StatusBadRequest, `provider \"\"`},
		"too much":            {io.MultiReader(strings.NewReader(`{"statement":{"provider":"`), &endless{}), http.StatusRequestEntityTooLarge, "statement_too_large"},
	} {
		if status, text := ask(tt.body); status != tt.status || !strings.Contains(text, tt.want) {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	s.expectStands(0, map[string]string{})
	if status, text := ask(strings.NewReader(string(good))); status != http.StatusOK {
		t.Errorf("as it should be: %d %s", status, text)
	}
}

// endless is a text that doesn't stop by itself.
type endless struct{ n int }

func (e *endless) Read(p []byte) (int, error) {
	if e.n += len(p); e.n > 64<<20 {
		return 0, io.EOF
	}
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}
