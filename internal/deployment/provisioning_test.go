package deployment

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/recoup-gateway/recoup/dashboards"
)

type datasources struct {
	APIVersion  int  `yaml:"apiVersion"`
	Prune       bool `yaml:"prune"`
	Datasources []struct {
		Name      string `yaml:"name"`
		UID       string `yaml:"uid"`
		Type      string `yaml:"type"`
		Access    string `yaml:"access"`
		URL       string `yaml:"url"`
		IsDefault bool   `yaml:"isDefault"`
		Editable  bool   `yaml:"editable"`
		JSONData  struct {
			HTTPMethod   string `yaml:"httpMethod"`
			TimeInterval string `yaml:"timeInterval"`
			Exemplars    []struct {
				Name string `yaml:"name"`
				UID  string `yaml:"datasourceUid"`
			} `yaml:"exemplarTraceIdDestinations"`
		} `yaml:"jsonData"`
	} `yaml:"datasources"`
}

type providers struct {
	APIVersion int `yaml:"apiVersion"`
	Providers  []struct {
		Name            string `yaml:"name"`
		OrgID           int    `yaml:"orgId"`
		Folder          string `yaml:"folder"`
		FolderUID       string `yaml:"folderUid"`
		Type            string `yaml:"type"`
		DisableDeletion bool   `yaml:"disableDeletion"`
		AllowUIUpdates  bool   `yaml:"allowUiUpdates"`
		UpdateInterval  int    `yaml:"updateIntervalSeconds"`
		Options         struct {
			Path    string `yaml:"path"`
			Folders bool   `yaml:"foldersFromFilesStructure"`
		} `yaml:"options"`
	} `yaml:"providers"`
}

// embedded reads a file of dashboards.Provisioning, strictly.
func embedded(t *testing.T, name string, into any) {
	t.Helper()
	data, err := fs.ReadFile(dashboards.Provisioning, name)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalWithOptions(data, into, yaml.Strict()); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func TestDatasources(t *testing.T) {
	var d datasources
	embedded(t, "provisioning/datasources/recoup.yaml", &d)
	var store tempoConfig
	decode(t, "dashboards/tempo/tempo.yaml", &store, false)
	types := map[string]string{}
	for _, s := range d.Datasources {
		types[s.UID] = s.Type
	}
	if d.APIVersion != 1 || len(d.Datasources) != 2 || types["prometheus"] != "prometheus" || types["tempo"] != "tempo" {
		t.Fatalf("%+v", d)
	}
	for _, s := range d.Datasources {
		want := map[string]string{"prometheus": "9090", "tempo": fmt.Sprint(store.Server.Port)}[s.UID]
		if !reaches(t, s.URL, s.UID, want) || s.Access != "proxy" || s.Editable || s.IsDefault != (s.UID == "prometheus") {
			t.Errorf("%+v, want port %s", s, want)
		}
		if (len(s.JSONData.Exemplars) > 0) != (s.Type == "prometheus") {
			t.Errorf("%s: exemplars lead to %+v", s.UID, s.JSONData.Exemplars)
		}
		for _, e := range s.JSONData.Exemplars {
			if e.Name != "trace_id" || types[e.UID] != "tempo" {
				t.Errorf("%s: the exemplar's label %s leads to %q", s.UID, e.Name, e.UID)
			}
		}
	}
}

func TestDashboardProvider(t *testing.T) {
	var p providers
	embedded(t, "provisioning/dashboards/recoup.yaml", &p)
	grafana := compose(t).Services["grafana"]
	if p.APIVersion != 1 || len(p.Providers) != 1 {
		t.Fatalf("%+v", p)
	}
	one := p.Providers[0]
	if one.Type != "file" || one.Folder != "Recoup" || one.AllowUIUpdates || one.UpdateInterval < 10 || one.Options.Folders {
		t.Errorf("%+v", one)
	}
	if want := mounted(t, grafana, "dashboards/grafana"); one.Options.Path != want {
		t.Errorf("it looks in %s, the dashboards are at %s", one.Options.Path, want)
	}
	for _, kind := range []string{"datasources", "dashboards"} {
		if got, want := mounted(t, grafana, "dashboards/provisioning/"+kind), "/etc/grafana/provisioning/"+kind; got != want {
			t.Errorf("mounted at %s, Grafana reads %s", got, want)
		}
	}
	volume(t, grafana, "/var/lib/grafana")
}

// The dashboards name no data source of their own: they have a variable, or
// Grafana's built-in ones, or a uid that is provisioned.
func TestDashboardsFindTheirDatasources(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "dashboards", "grafana", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no dashboards: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var board any
		if err := json.Unmarshal(data, &board); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		walk(board, func(uid string) {
			switch {
			case strings.HasPrefix(uid, "$"), uid == "-- Grafana --", uid == "grafana", uid == "prometheus", uid == "tempo":
			default:
				t.Errorf("%s: the data source %q is nowhere", filepath.Base(file), uid)
			}
		})
	}
}

// walk calls fn with the uid of each data source below v.
func walk(v any, fn func(uid string)) {
	switch v := v.(type) {
	case map[string]any:
		if source, ok := v["datasource"].(map[string]any); ok {
			if uid, ok := source["uid"].(string); ok {
				fn(uid)
			}
		}
		for _, below := range v {
			walk(below, fn)
		}
	case []any:
		for _, below := range v {
			walk(below, fn)
		}
	}
}
