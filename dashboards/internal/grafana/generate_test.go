package grafana

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"

	"github.com/recoup-gateway/recoup/dashboards"
)

var update = flag.Bool("update", false, "write dashboards/grafana")

func TestMain(m *testing.M) {
	plugins.RegisterDefaultPlugins() // so that options and queries are decoded strictly too
	os.Exit(m.Run())
}

// The committed dashboards are what the code makes, to the byte, and there are no
// others. Run with -update after changing the code.
func TestCommitted(t *testing.T) {
	folder := filepath.Join("..", "..", "grafana")
	files, err := Files()
	if err != nil {
		t.Fatal(err)
	}
	wanted := map[string]bool{}
	for _, f := range files {
		wanted[f.Name] = true
		if *update {
			if err := os.WriteFile(filepath.Join(folder, f.Name), f.Content, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		committed, err := dashboards.Grafana.ReadFile("grafana/" + f.Name)
		if err != nil || string(committed) != string(f.Content) {
			t.Errorf("%s is behind (%v): run go test ./dashboards/internal/grafana -update", f.Name, err)
		}
	}
	committed, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range committed {
		if !wanted[f.Name()] {
			t.Errorf("%s is made by no code", f.Name())
		}
	}
}

// Grafana's own schema takes them, with no field that it doesn't know, and nothing
// is lost on the way: what was decoded says the same.
func TestStrictSchema(t *testing.T) {
	files, err := Files()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		d := committed(t, strings.TrimSuffix(f.Name, ".json"))
		if err := d.Validate(); err != nil {
			t.Errorf("%s: %v", f.Name, err)
		}
		var before, after any
		unmarshal(t, f.Content, &before)
		unmarshal(t, mustJSON(t, d), &after)
		if !reflect.DeepEqual(before, after) {
			t.Errorf("%s is another one once it was decoded", f.Name)
		}
	}
}

// committed is a dashboard as it is committed, strictly decoded.
func committed(t *testing.T, uid string) classic {
	t.Helper()
	content, err := dashboards.Grafana.ReadFile("grafana/" + uid + ".json")
	if err != nil {
		t.Fatal(err)
	}
	d, err := decode(content)
	if err != nil {
		t.Fatalf("%s: %v", uid, err)
	}
	return d
}

// decode decodes strictly. The library's strict decoder finds what is wrong, but
// for the fields of panels, which it is lax with; and because what it returns is
// never a nil error, it loses panels on its own way. So what is decoded is what the
// ordinary decoder makes of it.
func decode(content []byte) (classic, error) {
	var strict, d classic
	var raw struct {
		Panels []struct{ FieldConfig json.RawMessage }
	}
	err := errors.Join(json.Unmarshal(content, &d), json.Unmarshal(content, &raw), ofText(strict.UnmarshalJSONStrict(content)))
	for _, p := range raw.Panels {
		var fields dashboard.FieldConfigSource
		err = errors.Join(err, ofText(fields.UnmarshalJSONStrict(p.FieldConfig)))
	}
	return d, err
}

// ofText is an error that says something, else nil.
func ofText(err error) error {
	if err == nil || err.Error() == "" {
		return nil
	}
	return err
}

// The strict decoder is one: what Grafana doesn't know, or can't do without, is an
// error, at every depth.
func TestStrictSchemaIsStrict(t *testing.T) {
	const board = `{"schemaVersion": 42, "templating": {}, "annotations": {}, "panels": [%s]}`
	for wrong, want := range map[string]bool{
		fmt.Sprintf(board, ``):                                                                                                     true,
		fmt.Sprintf(board, `{"type": "stat"}`):                                                                                     true,
		strings.Replace(board, `"panels": [%s]`, `"colour": 1`, 1):                                                                 false,
		fmt.Sprintf(board, `{"type": "stat", "colour": 1}`):                                                                        false,
		fmt.Sprintf(board, `{"type": "stat", "options": {"x": 1}}`):                                                                false,
		fmt.Sprintf(board, `{"type": "stat", "title": 1}`):                                                                         false,
		fmt.Sprintf(board, `{"type": "row", "title": "x", "id": 1}`):                                                               false,
		fmt.Sprintf(board, `{"type": "stat", "fieldConfig": {"defaults": {"colour": 1}, "overrides": []}}`):                        false,
		fmt.Sprintf(board, `{"type": "timeseries", "fieldConfig": {"defaults": {"custom": {"colour": 1}}, "overrides": []}}`):      false,
		fmt.Sprintf(board, `{"type": "stat", "targets": [{"datasource": {"type": "prometheus"}, "expr": "up", "expression": 1}]}`): false,
	} {
		if _, err := decode([]byte(wrong)); (err == nil) != want {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}
