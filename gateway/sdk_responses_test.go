package gateway_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	sdkoption "github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"

	"github.com/recoup-gateway/recoup/internal/clients/gosdk"
	"github.com/recoup-gateway/recoup/internal/simulator"
)

// An SDK that has read some events of a response reads on with its own means: by the response's id and the
// number of the last event.
func TestAnSDKReadsOnInItsResponse(t *testing.T) {
	s := newSite(t, func(s *site) { s.config.OrphanGrace = time.Hour })
	s.sim.Next(simulator.Script{Tokens: 60, StallAfterEvents: responsePrelude + 8})
	client := openai.NewClient(sdkoption.WithBaseURL(s.server.URL+"/v1"), sdkoption.WithAPIKey("sk-alice"), sdkoption.WithHTTPClient(s.client),
		sdkoption.WithHeader("Recoup-On-Disconnect", "continue"))
	params := responses.ResponseNewParams{Model: "gpt-5.5", Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("hello")}}
	var head *http.Response
	first := client.Responses.NewStreaming(t.Context(), params, sdkoption.WithResponseInto(&head))
	var id, text string
	var last int64
	for range responsePrelude + 8 {
		if !first.Next() {
			t.Fatal(first.Err())
		}
		e := first.Current()
		last = e.SequenceNumber
		text += e.Delta
		if e.Type == "response.created" {
			id = e.Response.ID
		}
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	stream := head.Header.Get("Recoup-Stream-Id")
	s.awaitConnections(stream, 0)
	s.releaseStalled()
	rest := gosdk.ReadResponse(client.Responses.GetStreaming(t.Context(), id, responses.ResponseGetParams{StartingAfter: openai.Int(last)}), gosdk.Call{})
	if rest.Fault.Kind != "" || rest.Finish != "completed" || rest.Output != 60 || len(strings.Fields(text+rest.Text)) != 60 || !strings.Contains(strings.Join(rest.Objects, ""), text+rest.Text) {
		t.Errorf("%q, then %s", text, show(rest))
	}
	if n := s.sim.Calls(); n != 1 {
		t.Errorf("%d calls", n)
	}
	s.awaitConnections(stream, 0)
	s.expire()
	if b := s.books(stream); !strings.HasPrefix(b.String(), "delivered/live 8, delivered/resumed 52;") {
		t.Errorf("booked as %s", b)
	}
}
