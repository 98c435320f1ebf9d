package simulator_test

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

func TestScriptSurvivesJSON(t *testing.T) {
	s := simulator.Script{
		Tokens: 5, TTFT: 1500 * time.Millisecond, Interval: 20 * time.Millisecond, HeaderDelay: time.Microsecond,
		Cut: simulator.CutRST, Usage: simulator.UsageXAI, OnDisconnect: simulator.BillFull, OnFailure: simulator.FailIsFree,
		Tools:   []simulator.Tool{{Name: "f", Arguments: "{}"}},
		Headers: map[string]string{"A": "b"},
		Error:   simulator.ErrorBody{Type: "t"},
		Replay:  &simulator.Replay{Data: []byte("\x00\xff"), Cuts: []int{1}},
	}
	var got simulator.Script
	if err := json.Unmarshal([]byte(s.Header()), &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, s) {
		t.Errorf("got %+v from %s", got, s.Header())
	}
	if zero := (simulator.Script{}).Header(); zero != "{}" {
		t.Errorf("the zero script is %s", zero)
	}
	if err := json.Unmarshal([]byte(`{"ttft":2.5,"interval":"3ms"}`), &got); err != nil || got.TTFT != 2500*time.Microsecond || got.Interval != 3*time.Millisecond || got.Tokens != 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestInvalidScriptsAreRefused(t *testing.T) {
	f := start(t, simulator.Options{})
	for script, want := range map[string]string{
		`{"tokens":`:            "unexpected end",
		`{"tokenz":1}`:          "tokenz",
		`{"cut":"slow"}`:        "want fin, rst or clean",
		`{"ttft":"soon"}`:       "duration",
		`{"ttft":[]}`:           "milliseconds",
		`{"usage":"sometimes"}`: "want always",
		`{"gzip":"on"}`:         "want accepted or forced",
		`{"on_disconnect":"x"}`: "want stop or full",
		`{"on_failure":"x"}`:    "want full or free",
		`{"status":200}`:        "want 400 to 599",
		`{"tools":[{"name":"f","arguments":"{"}]}`: "not JSON",
	} {
		r := f.request(ctx(t), chatPath, chatStream)
		r.Header.Set(simulator.ScriptHeader, script)
		resp := f.open(r)
		var e struct {
			Error struct{ Message, Code string }
		}
		if err := json.NewDecoder(resp.Body).Decode(&e); err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != http.StatusBadRequest || e.Error.Code != "simulator_script" || !strings.Contains(e.Error.Message, want) {
			t.Errorf("%s: %d %+v", script, resp.StatusCode, e)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("Next took an invalid script")
		}
	}()
	f.Next(simulator.Script{Cut: "slow"})
}

func TestScriptsAreChosenInOrder(t *testing.T) {
	f := start(t, simulator.Options{Default: simulator.Script{Tokens: 1}})
	tokens := func(path, body, header string) int {
		t.Helper()
		r := f.request(ctx(t), path, body)
		if header != "" {
			r.Header.Set(simulator.ScriptHeader, header)
		}
		f.open(r)
		return f.last().Billed
	}
	inChat := strings.Replace(chatWhole, `{`, `{"user":"sim:{\"tokens\":2}",`, 1)
	inMessage := strings.Replace(messagesWhole, `{`, `{"metadata":{"user_id":"sim:{\"tokens\":2}"},`, 1)
	for name, tc := range map[string]struct {
		path, body, header string
		want               int
	}{
		"default":          {chatPath, chatWhole, "", 1},
		"body of a chat":   {chatPath, inChat, "", 2},
		"body, messages":   {messagesPath, inMessage, "", 2},
		"an ordinary user": {chatPath, strings.Replace(chatWhole, `{`, `{"user":"bob",`, 1), "", 1},
		"header":           {chatPath, inChat, `{"tokens":3}`, 3},
	} {
		if got := tokens(tc.path, tc.body, tc.header); got != tc.want {
			t.Errorf("%s: %d tokens, want %d", name, got, tc.want)
		}
	}
	f.On(func(r *http.Request, body []byte) *simulator.Script {
		if !strings.Contains(string(body), "hook") {
			return nil
		}
		return &simulator.Script{Tokens: 4}
	})
	hooked := strings.Replace(chatWhole, "hi", "hook", 1)
	if got := tokens(chatPath, hooked, `{"tokens":3}`); got != 4 {
		t.Errorf("hook: %d tokens", got)
	}
	if got := tokens(chatPath, chatWhole, `{"tokens":3}`); got != 3 {
		t.Errorf("a hook without opinion: %d tokens", got)
	}
	f.Next(simulator.Script{Tokens: 5}, simulator.Script{Tokens: 6})
	if a, b, c := tokens(chatPath, hooked, ""), tokens(chatPath, chatWhole, ""), tokens(chatPath, chatWhole, ""); a != 5 || b != 6 || c != 1 {
		t.Errorf("queue: %d %d %d tokens", a, b, c)
	}
}

func TestABrokenHookIsAnError(t *testing.T) {
	f := start(t, simulator.Options{})
	f.On(func(*http.Request, []byte) *simulator.Script { return &simulator.Script{Status: 7} })
	if resp, _, _ := f.post(chatPath, chatStream); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("status %d", resp.StatusCode)
	}
}
