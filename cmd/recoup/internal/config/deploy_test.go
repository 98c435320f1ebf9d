package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/recoup-gateway/recoup/gateway"
)

// The gateway of docker-compose.yml takes its configuration. What else has to be so
// there, internal/deployment knows.
func TestDeployedConfiguration(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "deploy", "recoup.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	s := mustLoad(t, sources{file: string(data), env: []string{"RECOUP_ADMIN_LISTEN=0.0.0.0:8485", "RECOUP_LISTEN=0.0.0.0:8484"}})
	if p := s.Gateway.Providers["demo"]; p.OnCancel != gateway.BillingStops || p.Dialect == nil || len(s.Gateway.Providers) != 5 {
		t.Errorf("%+v", s.Gateway.Providers)
	}
	if len(s.Warnings) > 0 || !s.AdminExposed() || s.LogFormat != "json" {
		t.Errorf("%+v", s)
	}
}
