package main

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/recoup-gateway/recoup/dashboards"
	"github.com/recoup-gateway/recoup/internal/audit"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/simulator"
)

// TestObserved: a real Prometheus watches a real gateway through a scripted hour in a
// minute. Then every expression of every dashboard, rule and alert has data, or none,
// as the script implies; the totals are the ledger's, also after the kill; exemplars
// lead to traces that a real receiver has.
func TestObserved(t *testing.T) {
	sim := simulator.New(simulator.Options{})
	provider, err := sim.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer provider.Close()
	data, admin, dir := freeAddress(t), freeAddress(t), t.TempDir()
	p := startPrometheus(t, admin)
	traces := startSink(t)
	serve := func() *child {
		return serveChildIn(t, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + traces.Endpoints.HTTP, "OTEL_BSP_SCHEDULE_DELAY=100"}, dir, provider.URL,
			"--listen="+data, "--admin-listen="+admin, "--retention=15s", "--orphan-grace=5s", "--label-tags=team")
	}
	s := &script{t: t, sim: sim, url: "http://" + data}
	began := time.Now()
	c := serve()
	p.scraped()
	s.beforeTheKill()
	before := p.values("recoup_cost_usd_total", p.scraped())
	s.killed(c)
	<-time.After(5 * time.Second) // it is seen to be down
	c = serve()
	for series, v := range p.values("recoup_cost_usd_total", p.scraped()) {
		if was := before[series]; v < was {
			t.Errorf("the kill took from recoup_cost_usd_total %s: %v, was %v", series, v, was)
		}
	}
	s.afterTheKill()
	awaitSettled(t, c)
	var r audit.Reconciliation
	call(t, c, http.MethodPost, "/api/v1/reconcile", s.bill(), &r)
	if len(r.Findings) != 1 {
		t.Errorf("the bill has one call that was made past the gateway, found: %+v", r.Findings)
	}
	await(t, "the alerts that the script gives cause to", func() bool { // some wait for a while, on a fast machine beyond the script's end
		fired := p.fired(began, time.Now())
		return !slices.ContainsFunc(fires, func(name string) bool { return !fired[name] })
	})
	last := p.scraped()
	checkMetrics(t, "http://"+admin)
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, c.log)
	}
	o := &observed{t: t, prometheus: p, began: began, last: last}
	t.Run("totals", func(t *testing.T) { o.totals(t, dir) })
	t.Run("dashboards", o.dashboards)
	t.Run("rules", o.rules)
	t.Run("alerts", o.alerts)
	t.Run("exemplars", func(t *testing.T) { o.exemplars(t, traces) })
}

// awaitSettled waits until every stream's books are settled.
func awaitSettled(t *testing.T, c *child) {
	t.Helper()
	await(t, "all is settled", func() bool {
		var sum audit.Summary
		call(t, c, http.MethodGet, "/api/v1/audit", nil, &sum)
		return sum.Pending == 0 && unsettled(t, c) == 0
	})
}

// observed is what the script has left behind.
type observed struct {
	t           *testing.T
	prometheus  *watcher
	began, last time.Time
}

// totals compares the newest values with the ledger as it lies on the disk.
func (o *observed) totals(t *testing.T, dir string) {
	books, err := ledger.OpenReadOnly(dir, ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer books.Close()
	want := map[string]map[string]float64{}
	add := func(name string, v float64, labels ...string) {
		set := map[string]string{}
		for i := 0; i+1 < len(labels); i += 2 {
			if labels[i+1] != "" {
				set[labels[i]] = labels[i+1]
			}
		}
		if want[name] == nil {
			want[name] = map[string]float64{}
		}
		want[name][fmt.Sprint(set)] += v
	}
	basis := map[bool]string{false: "reported", true: "estimated"}
	total := books.Totals()
	for _, v := range total.Output {
		add("recoup_output_tokens_total", float64(v.Tokens), "provider", v.Provider, "model", v.Model, "outcome", v.Outcome, "cause", v.Cause, "basis", basis[v.Estimated])
	}
	for _, v := range total.Input {
		add("recoup_input_tokens_total", float64(v.Tokens), "provider", v.Provider, "model", v.Model, "kind", string(v.Kind), "outcome", v.Outcome, "basis", basis[v.Estimated])
	}
	for _, v := range total.Cost {
		add("recoup_cost_usd_total", v.Amount.Dollars(), "provider", v.Provider, "model", v.Model, "direction", v.Direction, "outcome", v.Outcome, "cause", v.Cause, "basis", basis[v.Estimated])
	}
	for _, v := range total.Saved {
		add("recoup_saved_usd_total", v.Amount.Dollars(), "provider", v.Provider, "model", v.Model, "direction", v.Direction)
	}
	for _, v := range total.Overhead {
		add("recoup_overhead_usd_total", v.Amount.Dollars(), "provider", v.Provider, "model", v.Model, "kind", v.Kind)
	}
	for _, v := range total.Tagged {
		add("recoup_tagged_output_tokens_total", float64(v.Tokens), "provider", v.Provider, "outcome", v.Outcome, "tag_team", v.Labels["team"])
	}
	for _, v := range total.Adjustments {
		if v.Of == "outcomes" {
			add("recoup_adjustment_tokens_total", float64(v.Tokens), "reason", v.Reason, "sign", v.Sign)
		}
	}
	for _, name := range []string{"recoup_output_tokens_total", "recoup_input_tokens_total", "recoup_cost_usd_total", "recoup_saved_usd_total",
		"recoup_overhead_usd_total", "recoup_tagged_output_tokens_total", "recoup_adjustment_tokens_total"} {
		if len(want[name]) == 0 {
			t.Errorf("the ledger has nothing for %s", name)
		}
		got := o.prometheus.values(name, o.last)
		for series, v := range got {
			close := v == want[name][series]
			if strings.Contains(name, "_usd_") {
				close = math.Abs(v-want[name][series]) <= 1e-9*math.Max(1, v)
			}
			if !close {
				t.Errorf("%s%s: Prometheus has %v, the ledger %v", name, series, v, want[name][series])
			}
			delete(want[name], series)
		}
		for series := range want[name] {
			t.Errorf("%s%s is not exported", name, series)
		}
	}
}

// dashboards asks for all that Grafana would ask for.
func (o *observed) dashboards(t *testing.T) {
	all, err := dashboards.Expressions()
	if err != nil {
		t.Fatal(err)
	}
	templates, err := dashboards.Templates()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{"__rate_interval": "4s", "__interval": "1s", "__range": "2m", "tag": "tag_team"}
	for _, v := range templates {
		if v.Default != "" && values[v.Name] == "" {
			values[v.Name] = v.Default
		}
	}
	for _, e := range all {
		name := e.Dashboard + ", " + e.Panel + ", " + e.RefID
		if e.Kind == dashboards.Variable {
			o.variable(t, name, e.Resolve(values))
			continue
		}
		at := o.last
		query := func() ([]sample, error) { return o.prometheus.over(e.Resolve(values), o.began, at) }
		if e.Kind == dashboards.Instant {
			query = func() ([]sample, error) { return o.prometheus.instant(e.Resolve(values), at) }
		}
		samples, err := query()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		n := 0
		for _, s := range samples {
			n += len(s.numbers())
		}
		if n == 0 { // the script has something for each
			t.Errorf("%s has no data: %s", name, e.Resolve(values))
		}
	}
	t.Logf("%d expressions", len(all))
}

var labelValues = regexp.MustCompile(`^label_values\((?:(.+), *)?(\w+)\)$`)

// variable asks for a variable's values as Grafana does.
func (o *observed) variable(t *testing.T, name, query string) {
	t.Helper()
	m := labelValues.FindStringSubmatch(query)
	if m == nil {
		if !strings.HasPrefix(query, "label_names") {
			t.Errorf("%s: %s", name, query)
		}
		return
	}
	params := url.Values{"start": {stamp(o.began)}, "end": {stamp(o.last)}}
	if m[1] != "" {
		params.Set("match[]", m[1])
	}
	var found []string
	if err := o.prometheus.get("/api/v1/label/"+m[2]+"/values", params, &found); err != nil || len(found) == 0 {
		t.Errorf("%s: %s gives %v, %v", name, query, found, err)
	}
}

// rules expects that every recording rule has recorded something.
func (o *observed) rules(t *testing.T) {
	for name := range ruleNames(t, "record") {
		samples, err := o.prometheus.over(name, o.began, o.last)
		if err != nil {
			t.Error(err)
		}
		n := 0
		for _, s := range samples {
			n += len(s.numbers())
		}
		if n == 0 {
			t.Errorf("%s has recorded nothing", name)
		}
	}
	var status struct {
		Groups []struct {
			Rules []struct{ Name, Health, LastError string }
		}
	}
	if err := o.prometheus.get("/api/v1/rules", nil, &status); err != nil {
		t.Fatal(err)
	}
	for _, g := range status.Groups {
		for _, r := range g.Rules {
			if r.Health != "ok" {
				t.Errorf("%s: %s %s", r.Name, r.Health, r.LastError)
			}
		}
	}
}

// ruleNames are the names of the rules of a kind, record or alert.
func ruleNames(t *testing.T, kind string) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, file := range []string{"recoup-recording.rules.yaml", "recoup-alerts.rules.yaml"} {
		text, err := dashboards.Prometheus.ReadFile("prometheus/" + file)
		if err != nil {
			t.Fatal(err)
		}
		var rules struct {
			Groups []struct {
				Rules []map[string]any
			}
		}
		if err := yaml.Unmarshal(text, &rules); err != nil {
			t.Fatal(err)
		}
		for _, g := range rules.Groups {
			for _, r := range g.Rules {
				if name, ok := r[kind].(string); ok {
					names[name] = true
				}
			}
		}
	}
	if len(names) == 0 {
		t.Fatalf("no rules of the kind %s", kind)
	}
	return names
}

// What the script lets fire. It says nothing of those that depend on the machine.
var (
	fires = []string{"RecoupLosingMoney", "RecoupLosingMoneySlowly", "RecoupAtRisk", "RecoupProviderFailing", "RecoupGatewayDown", "RecoupUnpriced", "RecoupBillUnexplained"}
	may   = []string{"RecoupLogFilling", "RecoupLogNearlyFull", "RecoupCommitSlow"}
)

// alerts expects that those fired that the script gives cause to, and no others.
func (o *observed) alerts(t *testing.T) {
	fired := o.prometheus.fired(o.began, o.last)
	for name := range ruleNames(t, "alert") {
		if want := slices.Contains(fires, name); fired[name] != want && !slices.Contains(may, name) {
			t.Errorf("%s: fired %v, want %v", name, fired[name], want)
		}
	}
	t.Logf("fired: %v", slices.Sorted(maps.Keys(fired)))
}

// fired are the alerts that have fired meanwhile.
func (p *watcher) fired(from, to time.Time) map[string]bool {
	p.t.Helper()
	samples, err := p.over(`ALERTS{alertstate="firing"}`, from, to)
	if err != nil {
		p.t.Fatal(err)
	}
	fired := map[string]bool{}
	for _, s := range samples {
		fired[s.Metric["alertname"]] = true
	}
	return fired
}

// exemplars follows each from Prometheus to the span that the receiver has.
func (o *observed) exemplars(t *testing.T, traces *sink) {
	for _, query := range []string{
		"recoup_time_to_first_event_seconds_bucket", "recoup_breaks_total", "recoup_resumes_total", "recoup_resume_gap_seconds_bucket", "recoup_upstream_errors_total",
		`recoup_output_tokens_total{outcome="lost"}`, `recoup_cost_usd_total{outcome=~"lost|wasted"}`, "gen_ai_client_inference_duration_seconds_bucket",
	} {
		var series []struct {
			Exemplars []struct{ Labels map[string]string }
		}
		if err := o.prometheus.get("/api/v1/query_exemplars", url.Values{"query": {query}, "start": {stamp(o.began)}, "end": {stamp(o.last)}}, &series); err != nil {
			t.Error(err)
			continue
		}
		n := 0
		for _, s := range series {
			for _, e := range s.Exemplars {
				n++
				if !traces.has(e.Labels["trace_id"], e.Labels["span_id"]) {
					t.Errorf("%s: an exemplar leads to %v, which never came", query, e.Labels)
				}
			}
		}
		if n == 0 {
			t.Errorf("%s has no exemplar", query)
		}
	}
}

// has reports whether a span came.
func (s *sink) has(traceID, spanID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.spans, func(r received) bool { return r.TraceID == traceID && r.SpanID == spanID })
}
