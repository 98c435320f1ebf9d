package config

import (
	"strings"
	"testing"
)

const bedrockFile = "providers:\n  bedrock: {base_url: 'https://%host', dialect: bedrock, on_cancel: billed_in_full, aws_credentials: true%more}\n"

// The region is that of the base URL, or the one that is said.
func TestAWSCredentials(t *testing.T) {
	for _, test := range []struct{ host, more, refused string }{
		{"bedrock-runtime.eu-central-1.amazonaws.com", "", ""},
		{"vpce-0a-1b.bedrock-runtime.us-gov-west-1.vpce.amazonaws.com", "", ""},
		{"proxy.internal", ", region: us-east-1", ""},
		{"proxy.internal", "", "providers.bedrock.aws_credentials: the region is neither in base_url nor said"},
		{"proxy.internal", ", region: Frankfurt", `providers.bedrock.region: "Frankfurt" is no region`},
		{"bedrock-runtime.eu-central-1.amazonaws.com", ", dialect: openai", "only for a provider of the dialect bedrock"},
		{"bedrock-runtime.eu-central-1.amazonaws.com", ", api_key_env: KEY", "only for a provider of the dialect bedrock without api_key_env"},
	} {
		file := strings.NewReplacer("%host", test.host, "%more", test.more).Replace(bedrockFile)
		if strings.Contains(test.more, "dialect") {
			file = strings.Replace(file, "dialect: bedrock, ", "", 1)
		}
		s, err := load(t, sources{file: file, env: []string{"KEY=k"}})
		switch {
		case test.refused == "" && err != nil:
			t.Errorf("%s%s: %v", test.host, test.more, err)
		case test.refused == "" && (s.Gateway.Providers["bedrock"].Signer == nil || !strings.Contains(providersText(s), "bedrock billed_in_full with aws_credentials")):
			t.Errorf("%s%s: %s", test.host, test.more, providersText(s))
		case test.refused != "" && (err == nil || !strings.Contains(err.Error(), test.refused)):
			t.Errorf("%s%s: %v, want %s", test.host, test.more, err, test.refused)
		}
	}
}
