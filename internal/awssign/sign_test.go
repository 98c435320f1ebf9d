package awssign

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

var credentials = aws.Credentials{AccessKeyID: "AKIAEXAMPLE", SecretAccessKey: "secret", SessionToken: "session"}

func provide(context.Context) (aws.Credentials, error) { return credentials, nil }

func newRequest(t *testing.T, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, "https://bedrock-runtime.us-east-1.amazonaws.com/model/us.amazon.nova-2-lite-v1%3A0/converse?b=2&a=1", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Amzn-Bedrock-Trace", "ENABLED")
	r.Header.Set("Authorization", "Bearer of-the-client")
	r.Header.Set("X-Amz-Date", "20200101T000000Z")
	r.Header.Set("Traceparent", "00-1-2-3")
	return r
}

// A request is signed as the SDK would, had it only the headers that Amazon looks at.
func TestSign(t *testing.T) {
	const body = `{"messages":[]}`
	r := newRequest(t, body)
	if err := With(aws.CredentialsProviderFunc(provide), "us-east-1").Sign(r, strings.NewReader(body)); err != nil {
		t.Fatal(err)
	}
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil || time.Since(at) > time.Minute {
		t.Fatalf("signed at %s", at)
	}
	if r.URL.RawQuery != "b=2&a=1" || r.Header.Get("Traceparent") == "" {
		t.Errorf("the request has changed: %s %v", r.URL, r.Header)
	}
	again := newRequest(t, body)
	again.Header = http.Header{"Content-Type": {"application/json"}, "X-Amzn-Bedrock-Trace": {"ENABLED"}}
	hash := sha256.Sum256([]byte(body))
	if err := v4.NewSigner().SignHTTP(t.Context(), credentials, again, hex.EncodeToString(hash[:]), "bedrock", "us-east-1", at); err != nil {
		t.Fatal(err)
	}
	for _, name := range headers {
		if got, want := r.Header.Get(name), again.Header.Get(name); got != want || got == "" && name != "X-Amz-Content-Sha256" {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if signature := r.Header.Get("Authorization"); !strings.Contains(signature, "SignedHeaders=content-length;content-type;host;x-amz-date;x-amz-security-token;x-amzn-bedrock-trace") {
		t.Errorf("signed with %s", signature)
	}
}

func TestNoCredentials(t *testing.T) {
	failed := errors.New("nobody knows any")
	s := With(aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return aws.Credentials{}, failed }), "us-east-1")
	if err := s.Ready(t.Context()); !errors.Is(err, failed) {
		t.Error(err)
	}
	r := newRequest(t, "")
	if err := s.Sign(r, strings.NewReader("")); !errors.Is(err, failed) || r.Header.Get("Authorization") != "Bearer of-the-client" {
		t.Errorf("%v, %v", err, r.Header)
	}
}

func TestDefaultChain(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIAFROMENV")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	s, err := New(t.Context(), "eu-west-3")
	if err != nil {
		t.Fatal(err)
	}
	r := newRequest(t, "")
	if err := s.Sign(r, http.NoBody); err != nil || !strings.Contains(r.Header.Get("Authorization"), "Credential=AKIAFROMENV/") || !strings.Contains(r.Header.Get("Authorization"), "/eu-west-3/bedrock/aws4_request") {
		t.Errorf("%v, %s", err, r.Header.Get("Authorization"))
	}
}

func TestRegion(t *testing.T) {
	for host, want := range map[string]string{
		"bedrock-runtime.us-east-1.amazonaws.com":                        "us-east-1",
		"bedrock-runtime-fips.us-gov-west-1.amazonaws.com":               "us-gov-west-1",
		"Bedrock-Runtime.cn-north-1.amazonaws.com.cn":                    "cn-north-1",
		"vpce-0a1b-2c3d.bedrock-runtime.eu-central-1.vpce.amazonaws.com": "eu-central-1",
		"bedrock-runtime.us-west-2.api.aws":                              "us-west-2",
		"127.0.0.1":                                                      "",
		"bedrock-runtime.us-east-1.amazonaws.com.evil.x":                 "",
		"s3.us-east-1.amazonaws.com":                                     "",
	} {
		if got := Region(host); got != want {
			t.Errorf("%s: %q, want %q", host, got, want)
		}
	}
}
