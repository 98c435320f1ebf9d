package deployment

import (
	"fmt"
	"net"
	"net/url"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/goccy/go-yaml"
)

// decode reads a YAML file of the repository; strictly, if all of it is known here.
func decode(t *testing.T, path string, into any, strictly bool) {
	t.Helper()
	var options []yaml.DecodeOption
	if strictly {
		options = append(options, yaml.Strict())
	}
	if err := yaml.UnmarshalWithOptions([]byte(read(t, path)), into, options...); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// mounted is the path in a service's container of a file or directory of the
// repository.
func mounted(t *testing.T, s types.ServiceConfig, source string) string {
	t.Helper()
	for _, v := range s.Volumes {
		if v.Type != types.VolumeTypeBind {
			continue
		}
		from, err := filepath.Rel(mustAbs(t, root), v.Source)
		if err != nil {
			t.Fatal(err)
		}
		if below, err := filepath.Rel(from, source); err == nil && !strings.HasPrefix(below, "..") {
			return path.Join(v.Target, filepath.ToSlash(below))
		}
	}
	t.Errorf("%s: %s is not mounted", s.Name, source)
	return ""
}

func mustAbs(t *testing.T, p string) string {
	t.Helper()
	abs, err := filepath.Abs(p)
	if err != nil {
		t.Fatal(err)
	}
	return abs
}

func port(t *testing.T, address string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Errorf("%q: %v", address, err)
	}
	return port
}

// reaches says whether a URL is that of a service at a port.
func reaches(t *testing.T, address, service, port string) bool {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Error(err)
		return false
	}
	return u.Scheme == "http" && u.Host == net.JoinHostPort(service, port)
}

// flag is the value of --name=value in a service's command.
func flag(t *testing.T, s types.ServiceConfig, name string) string {
	t.Helper()
	for _, arg := range s.Command {
		if value, ok := strings.CutPrefix(strings.TrimPrefix(arg, "-"), strings.TrimPrefix(name, "-")+"="); ok {
			return value
		}
	}
	t.Errorf("%s: no %s in %v", s.Name, name, s.Command)
	return ""
}

func volume(t *testing.T, s types.ServiceConfig, target string) {
	t.Helper()
	for _, v := range s.Volumes {
		if v.Type == types.VolumeTypeVolume && (target == v.Target || strings.HasPrefix(target, v.Target+"/")) {
			return
		}
	}
	t.Errorf("%s: %s is on no volume", s.Name, target)
}

type gatewayConfig struct {
	Providers map[string]struct {
		BaseURL  string `yaml:"base_url"`
		Dialect  string `yaml:"dialect"`
		OnCancel string `yaml:"on_cancel"`
	} `yaml:"providers"`
}

func TestGateway(t *testing.T) {
	p, env := compose(t), imageEnv(t)
	gateway, simulator, agents := p.Services["gateway"], p.Services["simulator"], p.Services["agents"]
	volume(t, gateway, env["RECOUP_DATA_DIR"])
	if got, want := *gateway.Environment["RECOUP_CONFIG"], mounted(t, gateway, "deploy/recoup.yaml"); got != want {
		t.Errorf("RECOUP_CONFIG is %s, the file is at %s", got, want)
	}
	if want := port(t, env["RECOUP_LISTEN"]); len(gateway.Ports) != 1 || fmt.Sprint(gateway.Ports[0].Target) != want {
		t.Errorf("the data plane is at %s, published is %v", want, gateway.Ports)
	}
	if gateway.User != "" {
		t.Errorf("runs as %s, and not as the image's user", gateway.User)
	}

	// The demo: agents at the gateway, the gateway at the simulator.
	var config gatewayConfig
	decode(t, "deploy/recoup.yaml", &config, false)
	provider, ok := config.Providers["demo"]
	listen := port(t, flag(t, simulator, "--listen"))
	if !ok || !reaches(t, provider.BaseURL, "simulator", listen) || provider.Dialect != "openai" || provider.OnCancel != "billing_stops" {
		t.Errorf("the provider demo is %+v, the simulator listens on %s", provider, listen)
	}
	if got, want := flag(t, agents, "--gateway"), "http://gateway:"+port(t, env["RECOUP_LISTEN"])+"/demo"; got != want {
		t.Errorf("the agents call %s, want %s", got, want)
	}
	if got, want := simulator.HealthCheck.Test[len(simulator.HealthCheck.Test)-1], "--admin-url=http://127.0.0.1:"+listen+"/simulator"; got != want {
		t.Errorf("the simulator is checked with %s, want %s", got, want)
	}
}

type prometheusConfig struct {
	RuleFiles []string `yaml:"rule_files"`
	Scrape    []struct {
		Job     string `yaml:"job_name"`
		Path    string `yaml:"metrics_path"`
		Targets []struct {
			Targets []string `yaml:"targets"`
		} `yaml:"static_configs"`
	} `yaml:"scrape_configs"`
}

func TestPrometheus(t *testing.T) {
	s := compose(t).Services["prometheus"]
	if got, want := flag(t, s, "--config.file"), mounted(t, s, "dashboards/prometheus/prometheus.yml"); got != want {
		t.Errorf("reads %s, the file is at %s", got, want)
	}
	volume(t, s, flag(t, s, "--storage.tsdb.path"))
	if features := flag(t, s, "--enable-feature"); features != "exemplar-storage" {
		t.Errorf("features %s", features)
	}
	flag(t, s, "--storage.tsdb.retention.time")

	var config prometheusConfig
	decode(t, "dashboards/prometheus/prometheus.yml", &config, false)
	if len(config.RuleFiles) == 0 {
		t.Error("no rules")
	}
	for _, pattern := range config.RuleFiles {
		if files, err := filepath.Glob(filepath.Join(root, "dashboards", "prometheus", pattern)); err != nil || len(files) == 0 {
			t.Errorf("no rules in %s, %v", pattern, err)
		}
	}
	want, found := net.JoinHostPort("gateway", port(t, imageEnv(t)["RECOUP_ADMIN_LISTEN"])), false
	for _, job := range config.Scrape {
		for _, group := range job.Targets {
			for _, target := range group.Targets {
				found = found || target == want && (job.Path == "" || job.Path == "/metrics")
				host, _, _ := net.SplitHostPort(target)
				if _, ok := compose(t).Services[host]; !ok && host != "localhost" {
					t.Errorf("scrapes %s, which is no service", target)
				}
			}
		}
	}
	if !found {
		t.Errorf("does not scrape %s", want)
	}
}

type endpoint struct {
	Endpoint string `yaml:"endpoint"`
}

type receivers struct {
	OTLP struct {
		Protocols struct {
			GRPC endpoint `yaml:"grpc"`
			HTTP endpoint `yaml:"http"`
		} `yaml:"protocols"`
	} `yaml:"otlp"`
}

type collectorConfig struct {
	Receivers  receivers `yaml:"receivers"`
	Processors struct {
		MemoryLimiter struct {
			CheckInterval string `yaml:"check_interval"`
			Limit         int64  `yaml:"limit_mib"`
			Spike         int64  `yaml:"spike_limit_mib"`
		} `yaml:"memory_limiter"`
		Batch map[string]any `yaml:"batch"`
	} `yaml:"processors"`
	Exporters map[string]struct {
		Endpoint string `yaml:"endpoint"`
		TLS      struct {
			Insecure bool `yaml:"insecure"`
		} `yaml:"tls"`
	} `yaml:"exporters"`
	Extensions map[string]endpoint `yaml:"extensions"`
	Service    struct {
		Extensions []string `yaml:"extensions"`
		Telemetry  struct {
			Metrics struct {
				Level string `yaml:"level"`
			} `yaml:"metrics"`
		} `yaml:"telemetry"`
		Pipelines map[string]struct {
			Receivers  []string `yaml:"receivers"`
			Processors []string `yaml:"processors"`
			Exporters  []string `yaml:"exporters"`
		} `yaml:"pipelines"`
	} `yaml:"service"`
}

type tempoConfig struct {
	Server struct {
		Port int `yaml:"http_listen_port"`
	} `yaml:"server"`
	Distributor struct {
		Receivers receivers `yaml:"receivers"`
	} `yaml:"distributor"`
	Storage struct {
		Trace struct {
			Backend string `yaml:"backend"`
			WAL     struct {
				Path string `yaml:"path"`
			} `yaml:"wal"`
			Local struct {
				Path string `yaml:"path"`
			} `yaml:"local"`
		} `yaml:"trace"`
	} `yaml:"storage"`
}

// Spans find their way from the gateway over the collector to the trace store.
func TestTraces(t *testing.T) {
	p := compose(t)
	gateway, collector, tempo := p.Services["gateway"], p.Services["otel-collector"], p.Services["tempo"]
	var c collectorConfig
	decode(t, "dashboards/otelcol/config.yaml", &c, true)
	var store tempoConfig
	decode(t, "dashboards/tempo/tempo.yaml", &store, false)

	if e := *gateway.Environment["OTEL_EXPORTER_OTLP_ENDPOINT"]; !reaches(t, e, "otel-collector", port(t, c.Receivers.OTLP.Protocols.GRPC.Endpoint)) {
		t.Errorf("the gateway sends to %s", e)
	}
	if protocol, name := *gateway.Environment["OTEL_EXPORTER_OTLP_PROTOCOL"], *gateway.Environment["OTEL_SERVICE_NAME"]; protocol != "grpc" || name != "recoup" {
		t.Errorf("over %s, as %s", protocol, name)
	}
	port(t, c.Receivers.OTLP.Protocols.HTTP.Endpoint)
	if got, want := flag(t, collector, "--config"), mounted(t, collector, "dashboards/otelcol/config.yaml"); got != want {
		t.Errorf("the collector reads %s, the file is at %s", got, want)
	}
	traces := c.Service.Pipelines["traces"]
	if len(c.Service.Pipelines) != 1 || strings.Join(traces.Receivers, " ") != "otlp" || strings.Join(traces.Processors, " ") != "memory_limiter batch" || len(traces.Exporters) != 1 {
		t.Fatalf("pipelines %+v", c.Service.Pipelines)
	}
	export := c.Exporters[traces.Exporters[0]]
	if want := net.JoinHostPort("tempo", port(t, store.Distributor.Receivers.OTLP.Protocols.GRPC.Endpoint)); export.Endpoint != want || !export.TLS.Insecure {
		t.Errorf("the collector sends to %+v, want %s", export, want)
	}
	if len(c.Service.Extensions) != 1 || c.Extensions[c.Service.Extensions[0]].Endpoint == "" {
		t.Errorf("extensions %v of %v", c.Service.Extensions, c.Extensions)
	}
	if limit := c.Processors.MemoryLimiter; limit.Limit <= limit.Spike || limit.Limit<<20 >= int64(collector.MemLimit) {
		t.Errorf("the collector limits itself to %d MiB, its container has %d", limit.Limit, collector.MemLimit>>20)
	}

	if got, want := flag(t, tempo, "-config.file"), mounted(t, tempo, "dashboards/tempo/tempo.yaml"); got != want {
		t.Errorf("Tempo reads %s, the file is at %s", got, want)
	}
	if store.Storage.Trace.Backend != "local" {
		t.Errorf("Tempo stores in %s", store.Storage.Trace.Backend)
	}
	volume(t, tempo, store.Storage.Trace.WAL.Path)
	volume(t, tempo, store.Storage.Trace.Local.Path)
}
