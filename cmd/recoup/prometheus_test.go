package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/dashboards"
)

// watcher is a real Prometheus that scrapes a gateway and evaluates our rules.
type watcher struct {
	t   *testing.T
	url string
}

// compressed is how much faster than the clock the scripted hour goes: windows of
// rules, times that alerts wait and amounts per hour are as much smaller.
const compressed = 60

// startPrometheus starts Debian's package, or whatever is called prometheus, with
// the rules on the clock of the script.
func startPrometheus(t *testing.T, target string) *watcher {
	t.Helper()
	if os.Getenv("RECOUP_PROMETHEUS") == "" && os.Getenv("RECOUP_FULL") == "" {
		t.Skip("RECOUP_PROMETHEUS is not set: no Prometheus is started")
	}
	binary, err := exec.LookPath("prometheus")
	if err != nil {
		t.Fatalf("%v: install it (apt-get install prometheus), or unset RECOUP_PROMETHEUS", err)
	}
	dir, address := t.TempDir(), freeAddress(t)
	for _, name := range []string{"recoup-recording.rules.yaml", "recoup-alerts.rules.yaml"} {
		rules, err := dashboards.Prometheus.ReadFile("prometheus/" + name)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name), compress(string(rules)))
	}
	write(t, filepath.Join(dir, "prometheus.yml"), fmt.Sprintf(`
global: {scrape_interval: 500ms, evaluation_interval: 500ms}
rule_files: ["*.rules.yaml"]
scrape_configs: [{job_name: recoup, static_configs: [{targets: [%q]}]}]
`, target))
	log := newJournal()
	cmd := exec.Command(binary, "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+address, "--enable-feature=exemplar-storage", "--query.lookback-delta=2s", "--log.level=warn")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("prometheus:\n%s", log)
		}
	})
	p := &watcher{t, "http://" + address}
	await(t, "prometheus is ready", func() bool {
		resp, err := client.Get(p.url + "/-/ready")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return p
}

// await looks until it is so.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * patience); !so(); {
		if time.Now().After(deadline) {
			t.Fatalf("not so in time: %s", what)
		}
		<-time.After(50 * time.Millisecond)
	}
}

var (
	durations = regexp.MustCompile(`\b([0-9]+)([smhd])\b`)
	perHour   = regexp.MustCompile(`\b3600 \*`)
	predicted = regexp.MustCompile(`(predict_linear\([^,]*, )([0-9]+)\)`)
	inWords   = regexp.MustCompile(`(?m)^\s+(summary|description|runbook_url):.*$`)
)

// compress puts rules on the clock of the script.
func compress(rules string) string {
	rules = inWords.ReplaceAllString(rules, "")
	rules = regexp.MustCompile(`(?m)^\s+annotations:\n`).ReplaceAllString(rules, "")
	rules = durations.ReplaceAllStringFunc(rules, func(text string) string {
		m := durations.FindStringSubmatch(text)
		n, _ := strconv.Atoi(m[1])
		unit := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}[m[2]]
		return strconv.FormatInt((time.Duration(n)*unit/compressed).Milliseconds(), 10) + "ms"
	})
	rules = perHour.ReplaceAllString(rules, fmt.Sprint(3600/compressed)+" *")
	return predicted.ReplaceAllStringFunc(rules, func(text string) string {
		m := predicted.FindStringSubmatch(text)
		n, _ := strconv.Atoi(m[2])
		return m[1] + fmt.Sprint(n/compressed) + ")"
	})
}

// sample is a series of a query's result.
type sample struct {
	Metric map[string]string
	Value  [2]any   // of an instant
	Values [][2]any // of a range
}

// numbers are the values of a series that are numbers.
func (s sample) numbers() (all []float64) {
	for _, v := range append(s.Values, s.Value) {
		text, ok := v[1].(string)
		if f, err := strconv.ParseFloat(text, 64); ok && err == nil && !math.IsNaN(f) {
			all = append(all, f)
		}
	}
	return all
}

// get asks for a path of the API and decodes its data.
func (p *watcher) get(path string, query url.Values, data any) error {
	resp, err := client.Get(p.url + path + "?" + query.Encode())
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	var answer struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("%w: %s", err, body)
	}
	if answer.Status != "success" {
		return fmt.Errorf("%s: %s", query.Get("query"), answer.Error)
	}
	return json.Unmarshal(answer.Data, data)
}

// instant is what an expression comes to at a time.
func (p *watcher) instant(expr string, at time.Time) ([]sample, error) {
	var data struct{ Result []sample }
	err := p.get("/api/v1/query", url.Values{"query": {expr}, "time": {stamp(at)}}, &data)
	return data.Result, err
}

// over is what it comes to over a time, twice a second.
func (p *watcher) over(expr string, from, to time.Time) ([]sample, error) {
	var data struct{ Result []sample }
	err := p.get("/api/v1/query_range", url.Values{"query": {expr}, "start": {stamp(from)}, "end": {stamp(to)}, "step": {"500ms"}}, &data)
	return data.Result, err
}

func stamp(t time.Time) string { return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64) }

// scraped waits until there is a scrape that began after now, and returns a time at
// which its values are the newest.
func (p *watcher) scraped() time.Time {
	p.t.Helper()
	asked := time.Now()
	var at time.Time
	await(p.t, "a scrape", func() bool {
		var data struct {
			ActiveTargets []struct {
				LastScrape time.Time
				Health     string
			}
		}
		if err := p.get("/api/v1/targets", nil, &data); err != nil || len(data.ActiveTargets) != 1 {
			return false
		}
		at = data.ActiveTargets[0].LastScrape
		return data.ActiveTargets[0].Health == "up" && at.After(asked)
	})
	return at.Add(time.Millisecond)
}

// values are those of all series with this name, by their other labels.
func (p *watcher) values(name string, at time.Time) map[string]float64 {
	p.t.Helper()
	samples, err := p.instant(name, at)
	if err != nil {
		p.t.Fatal(err)
	}
	all := map[string]float64{}
	for _, s := range samples {
		for _, own := range []string{"__name__", "job", "instance"} {
			delete(s.Metric, own)
		}
		for _, v := range s.numbers() {
			all[fmt.Sprint(s.Metric)] = v
		}
	}
	return all
}

// checkMetrics lints what the gateway exports by Prometheus' own rules.
func checkMetrics(t *testing.T, admin string) {
	t.Helper()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Get(admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	exported, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, promtool, "check", "metrics")
	cmd.Stdin = bytes.NewReader(exported)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}
