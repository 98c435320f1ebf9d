package config

import (
	"context"
	"fmt"
	"regexp"
	"strconv"

	"github.com/recoup-gateway/recoup/gateway"
	"github.com/recoup-gateway/recoup/internal/awssign"
)

var regionName = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]+$`)

func setAWSCredentials(p *gateway.Provider, text string) (err error) {
	if p.AWSCredentials, err = strconv.ParseBool(text); err != nil {
		return fmt.Errorf("%q is neither", text)
	}
	return nil
}

func setRegion(p *gateway.Provider, text string) error {
	if !regionName.MatchString(text) {
		return fmt.Errorf("%q is no region", text)
	}
	p.Region = text
	return nil
}

// makeSigners finds the AWS credentials of providers that the gateway is to sign for, as far as that can be done
// without asking anybody for them.
func (l *loading) makeSigners() {
	for name, p := range l.settings.Gateway.Providers {
		if !p.AWSCredentials {
			continue
		}
		key := keyProviders + "." + name + ".aws_credentials"
		region := p.Region
		if region == "" {
			region = awssign.Region(p.BaseURL.Hostname())
		}
		if region == "" {
			l.refuse(key, "the region is neither in base_url nor said: want a region, such as {region: us-east-1}")
			continue
		}
		signer, err := awssign.New(context.Background(), region)
		if err != nil {
			l.refuse(key, fmt.Sprintf("the AWS configuration of the gateway's environment can't be read: %v", err))
			continue
		}
		p.Signer = signer
		l.settings.Gateway.Providers[name] = p
	}
}
