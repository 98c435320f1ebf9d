package dialect

import "testing"

// Azure's paths have a deployment, and that is no model.
func TestDeployments(t *testing.T) {
	for path, want := range map[string]struct{ endpoint, deployment string }{
		"/openai/deployments/gpt-4o/chat/completions":       {endpointChat, "gpt-4o"},
		"/openai/deployments/my%20own%2Fone/completions":    {endpointCompletions, "my own/one"},
		"/openai/deployments/prod/responses":                {endpointResponses, "prod"},
		"/openai/v1/chat/completions":                       {endpointChat, ""},
		"/openai/responses":                                 {endpointResponses, ""},
		"/openai/deployments/prod/embeddings":               {},
		"/openai/deployments/prod/extensions/chat/searches": {},
		"/openai/deployments//chat/completions":             {endpointChat, ""},
	} {
		endpoint, ok := OpenAI.Endpoint(path)
		if endpoint != want.endpoint || ok != (want.endpoint != "") {
			t.Errorf("%s: endpoint %q", path, endpoint)
		}
		if !ok {
			continue
		}
		req := Locate(OpenAI, Request{Endpoint: endpoint, Model: "body"}, path, "api-version=1")
		if req.Deployment != want.deployment || (req.Model == "") != (want.deployment != "") {
			t.Errorf("%s: %+v", path, req)
		}
		if got := req.Address(); (want.deployment == "") != (got == endpoint) {
			t.Errorf("%s: address %q", path, got)
		}
	}
}

func TestFiltered(t *testing.T) {
	for body, want := range map[string]bool{
		`{"error":{"message":"The response was filtered.","type":null,"param":"prompt","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation"}}}`: true,
		`{"error":{"code":"invalid_value","message":"content_filter"}}`: false,
		`{"error":"content_filter"}`:                                    false,
		`{"error":{"code":"content_filter"`:                             false,
		``:                                                              false,
	} {
		if Filtered([]byte(body)) != want {
			t.Errorf("%s: %v", body, !want)
		}
	}
}
