package grafana

import (
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var (
	use     = regexp.MustCompile(`\$(?:(\w+)|\{([\w.]+)(?::\w+)?\})`)
	toBoard = regexp.MustCompile(`^/d/([\w-]+)`)
	setsVar = regexp.MustCompile(`[?&](?:var-(\w+)=|\$\{(\w+):queryparam\})`)
)

// uses are the variables in a text, but for Grafana's own.
func uses(text string) []string {
	var names []string
	for _, m := range use.FindAllStringSubmatch(text, -1) {
		if name := m[1] + m[2]; !strings.HasPrefix(name, "__") {
			names = append(names, name)
		}
	}
	return names
}

// Links lead to dashboards of the set, keep the range of time, and set variables
// that those have.
func TestLinks(t *testing.T) {
	set := all(t)
	for uid, d := range set {
		var reached []string
		for _, l := range d.Links {
			if !l.KeepTime || !l.IncludeVars {
				t.Errorf("%s: link %q forgets the range or the variables", uid, l.Title)
			}
			checkLink(t, set, uid, l)
			reached = append(reached, toBoard.FindStringSubmatch(*l.Url)[1])
		}
		for other := range set {
			if slices.Contains(reached, other) == (other == uid) {
				t.Errorf("%s: links lead to %v", uid, reached)
			}
		}
	}
	eachPanel(t, func(uid string, p dashboard.Panel) {
		for _, l := range p.FieldConfig.Defaults.Links {
			checkLink(t, set, uid, l)
			if toBoard.MatchString(*l.Url) && !strings.Contains(*l.Url, "${__url_time_range}") {
				t.Errorf("%s: %s: link %q forgets the range", uid, *p.Title, l.Title)
			}
		}
	})
}

func checkLink(t *testing.T, set map[string]classic, from string, l dashboard.DashboardLink) {
	t.Helper()
	for _, name := range uses(*l.Url) {
		if !hasVariable(set[from], name) {
			t.Errorf("%s: link %q uses %s, which is no variable there", from, l.Title, name)
		}
	}
	m := toBoard.FindStringSubmatch(*l.Url)
	if m == nil {
		checkExplore(t, from, l)
		return
	}
	to, ok := set[m[1]]
	if !ok || m[1] == from {
		t.Errorf("%s: link %q leads to %s", from, l.Title, m[1])
		return
	}
	for _, v := range setsVar.FindAllStringSubmatch(*l.Url, -1) {
		if name := v[1] + v[2]; !hasVariable(to, name) {
			t.Errorf("%s: link %q sets %s, which %s doesn't have", from, l.Title, name, m[1])
		}
	}
}

// A link to traces is an address that Explore can read once its variables are
// replaced.
func checkExplore(t *testing.T, from string, l dashboard.DashboardLink) {
	t.Helper()
	u, err := url.Parse(strings.NewReplacer("${tempo}", "uid-of-traces", "${__from}", "1", "${__to}", "2").Replace(*l.Url))
	if err != nil || u.Path != "/explore" {
		t.Errorf("%s: link %q: %v", from, l.Title, err)
		return
	}
	var state struct {
		Datasource string
		Queries    []struct {
			Query      string
			QueryType  string
			Datasource struct{ Type, UID string }
		}
		Range struct{ From, To string }
	}
	if err := json.Unmarshal([]byte(u.Query().Get("left")), &state); err != nil {
		t.Errorf("%s: link %q: %v", from, l.Title, err)
		return
	}
	if state.Datasource != "uid-of-traces" || len(state.Queries) != 1 || state.Range.From != "1" || state.Range.To != "2" {
		t.Errorf("%s: link %q: %+v", from, l.Title, state)
		return
	}
	if q := state.Queries[0]; q.Datasource.Type != "tempo" || q.Datasource.UID != "uid-of-traces" || !strings.HasPrefix(q.Query, "{ ") {
		t.Errorf("%s: link %q: %+v", from, l.Title, q)
	}
}

// Deploys and incidents come from Grafana's own store, starts and versions from
// Prometheus.
func TestAnnotations(t *testing.T) {
	tags, measured := map[string]bool{}, 0
	for _, a := range all(t)[uidIncident].Annotations.List {
		if !a.Enable || a.Name == "" || a.IconColor == "" {
			t.Errorf("annotation %q: enabled %v, colour %q", a.Name, a.Enable, a.IconColor)
		}
		var target struct {
			Tags []string
			Expr string
		}
		if err := json.Unmarshal(mustJSON(t, a.Target), &target); err != nil {
			t.Fatal(err)
		}
		switch *a.Datasource.Uid {
		case "-- Grafana --":
			for _, tag := range target.Tags {
				tags[tag] = true
			}
		case "${datasource}":
			measured++
			if *a.Expr != target.Expr || *a.TitleFormat == "" {
				t.Errorf("annotation %q asks for %q and %q", a.Name, *a.Expr, target.Expr)
			}
		default:
			t.Errorf("annotation %q: data source %q", a.Name, *a.Datasource.Uid)
		}
	}
	if !tags["deploy"] || !tags["incident"] || measured != 2 {
		t.Errorf("annotations of tags %v, and %d from Prometheus", tags, measured)
	}
}

func unmarshal(t *testing.T, data []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatal(err)
	}
}
