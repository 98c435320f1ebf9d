// Package awssign signs requests to Amazon Bedrock with AWS credentials that the gateway itself holds, in Amazon's
// Signature Version 4.
//
// Where the credentials come from is the AWS SDK's default chain: the environment, a profile, a web identity, the
// metadata of a container or an instance. They are looked for when a request needs them, kept, and renewed in time.
// Nothing of them is logged, and neither is a signature.
package awssign

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/config"
)

// service is Bedrock's name in a signature, that of its runtime too.
const service = "bedrock"

// A Signer signs with credentials for one region. It may be used from any goroutine.
type Signer struct {
	credentials aws.CredentialsProvider
	region      string
	v4          *v4.Signer
}

// New returns a signer with the credentials of the default chain. It asks nobody for them yet.
func New(ctx context.Context, region string) (*Signer, error) {
	c, err := config.LoadDefaultConfig(ctx, config.WithRegion(region))
	if err != nil {
		return nil, fmt.Errorf("awssign: %w", err)
	}
	return With(c.Credentials, region), nil
}

// With returns a signer with the credentials of a provider.
func With(credentials aws.CredentialsProvider, region string) *Signer {
	return &Signer{credentials: aws.NewCredentialsCache(credentials), region: region, v4: v4.NewSigner()}
}

// Ready reports why there are no credentials, if there are none.
func (s *Signer) Ready(ctx context.Context) error {
	if _, err := s.credentials.Retrieve(ctx); err != nil {
		return fmt.Errorf("awssign: credentials: %w", err)
	}
	return nil
}

// Sign signs a request, in its header. The body is read to its end: what is signed is the hash of all of it. Of the
// headers, those are signed that mean something to Amazon, so that none which changes on the way makes it invalid.
func (s *Signer) Sign(r *http.Request, body io.Reader) error {
	hash := sha256.New()
	if _, err := io.Copy(hash, body); err != nil {
		return fmt.Errorf("awssign: body: %w", err)
	}
	credentials, err := s.credentials.Retrieve(r.Context())
	if err != nil {
		return fmt.Errorf("awssign: credentials: %w", err)
	}
	u := *r.URL
	signed := &http.Request{Method: r.Method, URL: &u, Host: r.Host, Header: http.Header{}, ContentLength: r.ContentLength}
	for name, values := range r.Header {
		if lower := strings.ToLower(name); lower == "content-type" || strings.HasPrefix(lower, "x-amz") {
			signed.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	for _, name := range headers {
		signed.Header.Del(name)
	}
	if err := s.v4.SignHTTP(r.Context(), credentials, signed, hex.EncodeToString(hash.Sum(nil)), service, s.region, time.Now()); err != nil {
		return fmt.Errorf("awssign: %w", err)
	}
	for _, name := range headers {
		r.Header.Del(name)
		if v := signed.Header.Get(name); v != "" {
			r.Header.Set(name, v)
		}
	}
	return nil
}

// headers are those of a signature.
var headers = []string{"Authorization", "X-Amz-Date", "X-Amz-Security-Token", "X-Amz-Content-Sha256"}

// endpoint is the host of a regional endpoint: public, with FIPS, or of a private network.
var endpoint = regexp.MustCompile(`^(?:[a-z0-9-]+\.)?bedrock-runtime(?:-fips)?\.([a-z]{2}(?:-[a-z]+)+-\d+)\.(?:vpce\.)?(?:amazonaws\.com(?:\.cn)?|api\.aws)$`)

// Region is the region that the host of an endpoint names; empty if it names none.
func Region(host string) string {
	if m := endpoint.FindStringSubmatch(strings.ToLower(host)); m != nil {
		return m[1]
	}
	return ""
}
