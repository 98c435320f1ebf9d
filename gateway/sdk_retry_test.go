package gateway_test

import (
	"reflect"
	"testing"

	"github.com/recoup-gateway/recoup/internal/clients/gosdk"
	"github.com/recoup-gateway/recoup/internal/simulator"
)

// A provider that closes the connection before it answers has called for one
// retry, the SDK's: the gateway makes none of its own, and a key that named the
// failed call names the next.
func TestAnSDKRetriesWhereTheProviderGaveNoAnswer(t *testing.T) {
	eachSDK(t, func(t *testing.T, k sdk) {
		s := newSite(t, deterministic)
		call := gosdk.Call{Base: s.server.URL + k.root, Stream: true}
		whole, _ := s.run(k, call, simulator.Script{Tokens: 40}) // leaves a connection to the provider to be used again
		for _, key := range []string{"", "run-7:step-3"} {
			call.Key = key
			got, seen := s.run(k, call, simulator.Script{Drop: true}, simulator.Script{Tokens: 40})
			if !reflect.DeepEqual(got, whole) || got.Output != 40 {
				t.Errorf("key %q: %s\nwant\n%s", key, show(got), show(whole))
			}
			if len(seen) != 2 || seen[1].Header.Get("X-Stainless-Retry-Count") != "1" {
				t.Errorf("key %q: the provider saw %+v, want the call and one retry by the SDK", key, seen)
			}
		}
	})
}
