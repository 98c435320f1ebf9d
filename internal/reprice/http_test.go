package reprice_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/recoup-gateway/recoup/internal/reprice"
	"github.com/recoup-gateway/recoup/pricing"
)

// What isn't one request is refused, and says why.
func TestHandlerRefuses(t *testing.T) {
	s := newSite(t)
	srv := httptest.NewServer(reprice.Handler(s.books, pricing.Embedded, &sync.Mutex{}, slog.New(slog.DiscardHandler)))
	defer srv.Close()
	const good = `{"since":"2026-11-01T00:00:00Z","post":true}`
	for _, tt := range []struct {
		body   string
		status int
		want   string
	}{
		{good, http.StatusOK, `"posted_revisions":0`},
		{"", http.StatusBadRequest, "want since"},
		{"{}", http.StatusBadRequest, "want since"},
		{good + good, http.StatusBadRequest, "something follows"},
		{good[:20], http.StatusBadRequest, "can't be read"},
		{`{"since":"2026-11-01T00:00:00Z","until":"2026-11-01T00:00:00Z"}`, http.StatusBadRequest, "until is not after since"},
		{`{"from":"2026-11-01T00:00:00Z"}`, http.StatusBadRequest, "unknown field"},
		{`{"since":"` + strings.Repeat("2", 5000), http.StatusRequestEntityTooLarge, "request_too_large"},
	} {
		resp, err := srv.Client().Post(srv.URL, "application/json", strings.NewReader(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != tt.status || !strings.Contains(string(text), tt.want) {
			t.Errorf("%.60s: %s %s, %v", tt.body, resp.Status, text, err)
		}
	}
}

// A bill is not compared with books of which a part has other prices already.
func TestHandlerIsAlone(t *testing.T) {
	s := newSite(t)
	var comparing sync.Mutex
	alone := false
	book := func() *pricing.Book {
		if alone = !comparing.TryLock(); !alone {
			comparing.Unlock()
		}
		return pricing.Embedded()
	}
	answer := httptest.NewRecorder()
	request := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(`{"since":"2026-11-01T00:00:00Z"}`))
	reprice.Handler(s.books, book, &comparing, slog.New(slog.DiscardHandler)).ServeHTTP(answer, request)
	if answer.Code != http.StatusOK || !alone || !comparing.TryLock() {
		t.Errorf("%d, alone: %v", answer.Code, alone)
	}
}
