package gateway_test

import (
	"net/http"
	"testing"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

func TestRelaysWhatTheProviderSends(t *testing.T) {
	s := newSite(t)
	for _, c := range []struct{ path, body string }{{chatPath, chatBody}, {messagesPath, messagesBody}} {
		resp, data := s.must(200, http.MethodPost, c.path, c.body, script(simulator.Script{Tokens: 200}))
		id := resp.Header.Get("Recoup-Stream-Id")
		if resp.Header.Get("Recoup-Resumed") != "no" || resp.Header.Get("Recoup-Stream-Status") != "streaming" {
			t.Errorf("headers: %v", resp.Header)
		}
		_, again := s.must(200, http.MethodGet, "/recoup/streams/"+id, "", nil)
		sameBytes(t, "replay of "+c.path, again, data)
	}
	if n := s.sim.Calls(); n != 2 {
		t.Errorf("%d calls, want 2", n)
	}
}
