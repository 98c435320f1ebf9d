package deployment

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// root is the top of the repository, seen from this package.
var root = filepath.Join("..", "..")

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func load(ctx context.Context, path string, profiles ...string) (*types.Project, error) {
	o, err := cli.NewProjectOptions([]string{path}, cli.WithName("recoup"), cli.WithProfiles(profiles))
	if err != nil {
		return nil, err
	}
	return o.LoadProject(ctx)
}

// compose is docker-compose.yml with its profile.
func compose(t *testing.T) *types.Project {
	t.Helper()
	p, err := load(t.Context(), filepath.Join(root, "docker-compose.yml"), "demo")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestComposeIsValid(t *testing.T) {
	for profile, want := range map[string][]string{
		"":     {"gateway", "grafana", "otel-collector", "prometheus", "tempo"},
		"demo": {"agents", "gateway", "grafana", "otel-collector", "prometheus", "simulator", "tempo"},
	} {
		p, err := load(t.Context(), filepath.Join(root, "docker-compose.yml"), profile)
		if err != nil {
			t.Errorf("profile %q: %v", profile, err)
			continue
		}
		if got := slices.Sorted(maps.Keys(p.Services)); !slices.Equal(got, want) {
			t.Errorf("profile %q: services %v, want %v", profile, got, want)
		}
	}
	// The check sees what it is for.
	path := filepath.Join(t.TempDir(), "docker-compose.yml")
	if err := os.WriteFile(path, []byte("services: {a: {image: 'b:1', port: ['1:1']}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := load(t.Context(), path); err == nil {
		t.Error("an unknown key is taken")
	}
}

var pinned = regexp.MustCompile(`^[a-z0-9./-]+:v?\d+\.\d+\.\d+$`)

// unchecked are services without a health check, and why.
var unchecked = map[string]string{
	"otel-collector": "its image has no program to run",
	"agents":         "it serves nothing",
}

func TestServices(t *testing.T) {
	for name, s := range compose(t).Services {
		switch {
		case s.Build != nil && s.Image != "recoup:local":
			t.Errorf("%s: is built as %s", name, s.Image)
		case s.Build == nil && !pinned.MatchString(s.Image):
			t.Errorf("%s: the image %s is not pinned", name, s.Image)
		}
		checked := s.HealthCheck != nil && !s.HealthCheck.Disable || s.HealthCheck == nil && s.Build != nil
		if _, ok := unchecked[name]; checked == ok {
			t.Errorf("%s: has a health check: %v", name, checked)
		}
		if s.Restart != types.RestartPolicyUnlessStopped {
			t.Errorf("%s: restarts %q", name, s.Restart)
		}
		if !s.ReadOnly || s.Privileged || !slices.Equal(s.CapDrop, []string{"ALL"}) || len(s.CapAdd) > 0 || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s: it may more than it must", name)
		}
		if s.Logging == nil || s.Logging.Options["max-size"] == "" || s.Logging.Options["max-file"] == "" {
			t.Errorf("%s: its log grows without end", name)
		}
		for other := range s.DependsOn {
			if _, ok := unchecked[other]; ok {
				t.Errorf("%s: waits for %s, which nobody checks", name, other)
			}
		}
	}
}

// What others reach is the data plane and Grafana, from this machine.
func TestPublishedPorts(t *testing.T) {
	p := compose(t)
	if n := p.Networks["inside"]; !n.Internal {
		t.Error("the network inside leads outside")
	}
	published := map[string]string{}
	for name, s := range p.Services {
		for _, port := range s.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s: port %s is published on %q", name, port.Published, port.HostIP)
			}
			published[port.Published] = name
		}
		if _, ok := s.Networks["inside"]; !ok || s.NetworkMode != "" {
			t.Errorf("%s: is not in the network inside", name)
		}
		if _, out := s.Networks["outside"]; out != (len(s.Ports) > 0) {
			t.Errorf("%s: in the network outside: %v, with %d ports", name, out, len(s.Ports))
		}
	}
	if want := map[string]string{"8484": "gateway", "3000": "grafana"}; !maps.Equal(published, want) {
		t.Errorf("published are %v, want %v", published, want)
	}
}

// What is mounted exists, files can't be written, and what grows is a named volume.
func TestMounts(t *testing.T) {
	p := compose(t)
	used := map[string]bool{}
	for name, s := range p.Services {
		for _, v := range s.Volumes {
			switch v.Type {
			case types.VolumeTypeBind:
				if _, err := os.Stat(v.Source); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				if !v.ReadOnly {
					t.Errorf("%s: can write %s", name, v.Source)
				}
			case types.VolumeTypeVolume:
				used[v.Source] = true
				if _, ok := p.Volumes[v.Source]; !ok {
					t.Errorf("%s: the volume %q has no name", name, v.Source)
				}
			default:
				t.Errorf("%s: a mount of type %s", name, v.Type)
			}
		}
	}
	if len(used) != len(p.Volumes) {
		t.Errorf("volumes %v, used are %v", slices.Sorted(maps.Keys(p.Volumes)), used)
	}
}

// Compose must wait longer than the gateway does.
func TestStopGrace(t *testing.T) {
	_, row, ok := strings.Cut(read(t, "docs/configuration.md"), "| `drain_timeout` | duration | `")
	text, _, _ := strings.Cut(row, "`")
	drain, err := time.ParseDuration(text)
	if !ok || err != nil {
		t.Fatalf("docs/configuration.md has no drain_timeout: %q, %v", text, err)
	}
	grace := compose(t).Services["gateway"].StopGracePeriod
	if grace == nil || time.Duration(*grace) < drain+5*time.Second {
		t.Errorf("stop_grace_period %v, drain_timeout %v", grace, drain)
	}
}

// Nothing here tells anyone of it.
func TestNoPhoneHome(t *testing.T) {
	grafana := compose(t).Services["grafana"].Environment
	for name, want := range map[string]string{
		"GF_ANALYTICS_REPORTING_ENABLED": "false", "GF_ANALYTICS_CHECK_FOR_UPDATES": "false", "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
		"GF_NEWS_NEWS_FEED_ENABLED": "false", "GF_SECURITY_DISABLE_GRAVATAR": "true", "GF_PLUGINS_PREINSTALL_DISABLED": "true",
		"GF_AUTH_ANONYMOUS_ENABLED": "false", "GF_USERS_ALLOW_SIGN_UP": "false",
	} {
		if got := grafana[name]; got == nil || *got != want {
			t.Errorf("%s is not %s", name, want)
		}
	}
	if !strings.Contains(read(t, "dashboards/tempo/tempo.yaml"), "reporting_enabled: false") {
		t.Error("Tempo reports")
	}
}
