package simulator_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

const (
	claudePath = "/model/us.anthropic.claude-haiku-4-5-20251001-v1%3A0/"
	titanPath  = "/model/amazon.titan-text-express-v1/"
	novaBody   = `{"messages":[{"role":"user","content":[{"text":"hi"}]}],"inferenceConfig":{"maxTokens":4096}}`
)

// bedrockEvents are the names and payloads of frames; of a chunk, what is in its bytes.
func bedrockEvents(t testing.TB, body []byte) (names []string, payloads []string) {
	t.Helper()
	for from := bytes.NewReader(body); from.Len() > 0; {
		m, err := eventstream.NewDecoder().Decode(from, nil)
		if err != nil {
			t.Fatalf("%v after %v", err, names)
		}
		name := m.Headers.Get(":event-type")
		if name == nil {
			name = m.Headers.Get(":exception-type")
		}
		var chunk struct{ Bytes []byte }
		if err := json.Unmarshal(m.Payload, &chunk); err != nil {
			t.Fatal(err)
		}
		payload := string(m.Payload)
		if chunk.Bytes != nil {
			payload = string(chunk.Bytes)
		}
		names, payloads = append(names, fmt.Sprint(name)), append(payloads, payload)
	}
	return names, payloads
}

// All forms of an answer have the usage that is billed, and what ends them.
func TestBedrockForms(t *testing.T) {
	for path, wants := range map[string][]string{
		claudePath + "converse":                    {`"stopReason":"tool_use"`, `"outputTokens":`},
		claudePath + "converse-stream":             {`messageStop {"stopReason":"tool_use"`, `metadata`, `"outputTokens":`},
		claudePath + "invoke":                      {`"stop_reason":"tool_use"`, `"output_tokens":`},
		claudePath + "invoke-with-response-stream": {`chunk {"type":"message_stop"`, `"outputTokenCount":`},
		titanPath + "invoke":                       {`"completionReason":"FINISH"`, `"tokenCount":`},
		titanPath + "invoke-with-response-stream":  {`"completionReason":"FINISH"`, `"outputTokenCount":`},
	} {
		t.Run(path, func(t *testing.T) {
			p := start(t, simulator.Options{})
			p.Next(simulator.Script{Tokens: 20, Hidden: 7, ShowHidden: true, Tools: []simulator.Tool{{Name: "look", Arguments: `{"a":"b"}`}}})
			resp, body, err := p.post(path, novaBody)
			if err != nil {
				t.Fatal(err)
			}
			text := string(body)
			if strings.HasSuffix(path, "stream") {
				names, payloads := bedrockEvents(t, body)
				text = ""
				for i := range names {
					text += names[i] + " " + payloads[i] + "\n"
				}
			}
			e := p.last()
			wants[len(wants)-1] += fmt.Sprint(e.Billed)
			for _, want := range wants {
				if !strings.Contains(text, want) {
					t.Errorf("no %s in\n%s", want, text)
				}
			}
			if resp.Header.Get("X-Amzn-Requestid") != e.RequestID || e.Billed < 27 || e.Streamed != strings.HasSuffix(path, "stream") || !strings.Contains(path, e.Model[:15]) {
				t.Errorf("%v, %+v", resp.Header, e)
			}
		})
	}
}

// Faults are those of AWS.
func TestBedrockFaults(t *testing.T) {
	p := start(t, simulator.Options{})
	p.Next(simulator.Script{Status: 429}, simulator.Script{Tokens: 9, ErrorAfterEvents: 4, Status: 503}, simulator.Script{Tokens: 9, CutAfterEvents: 3, Cut: simulator.CutClean})
	resp, body, _ := p.post(claudePath+"converse-stream", novaBody)
	if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("X-Amzn-Errortype") != "ThrottlingException" || !strings.HasPrefix(string(body), `{"message":"`) {
		t.Errorf("%d %v %s", resp.StatusCode, resp.Header, body)
	}
	_, body, _ = p.post(claudePath+"converse-stream", novaBody)
	if names, _ := bedrockEvents(t, body); len(names) != 5 || names[4] != "serviceUnavailableException" {
		t.Errorf("%v", names)
	}
	_, body, _ = p.post(claudePath+"converse-stream", novaBody)
	if names, _ := bedrockEvents(t, body); len(names) != 3 {
		t.Errorf("%v", names)
	}
	if resp, body, _ := p.post(claudePath+"count-tokens", novaBody); resp.StatusCode != 200 || !strings.HasPrefix(string(body), `{"inputTokens":`) {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

// A signature says by which access key it is made, and that has to be one of the keys.
func TestAccessKeysAreKeys(t *testing.T) {
	p := start(t, simulator.Options{Keys: []string{"AKIAKNOWN"}})
	for authorization, want := range map[string]string{
		"AWS4-HMAC-SHA256 Credential=AKIAKNOWN/20261129/us-east-1/bedrock/aws4_request, SignedHeaders=host, Signature=00": "",
		"Bearer AKIAKNOWN": "",
		"AWS4-HMAC-SHA256 Credential=AKIAOTHER/20261129/us-east-1/bedrock/aws4_request, SignedHeaders=host, Signature=00": "UnrecognizedClientException",
		"": "MissingAuthenticationTokenException",
	} {
		r := p.request(ctx(t), claudePath+"converse", novaBody)
		r.Header.Del("Authorization")
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		resp := p.open(r)
		if got := resp.Header.Get("X-Amzn-Errortype"); got != want || (want == "") != (resp.StatusCode == http.StatusOK) {
			t.Errorf("%q: %d, %q", authorization, resp.StatusCode, got)
		}
	}
}
