package main

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/recoup-gateway/recoup/internal/bench"
)

// TestBenchMeasuresWhatIsServed runs the part that needs all three children
// and ends soonest: the gateway among them is the one of serve.
func TestBenchMeasuresWhatIsServed(t *testing.T) {
	t.Setenv(asCommand, "1")
	t.Setenv("RECOUP_LISTEN", "not an address") // of the user's gateway, not of ours
	t.Setenv("TMPDIR", t.TempDir())
	var out, log bytes.Buffer
	p := program{environ: os.Environ(), stdout: &out, stderr: &log}
	if code := p.run(t.Context(), []string{"bench", "--quick", "--only", bench.PartIdle, "--format", "json"}); code != 0 {
		t.Fatalf("exit code %d\n%s", code, log.String())
	}
	var report bench.Report
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	// 200 streams of at least 5 events, and 32 before them, through each of two.
	if report.Verified.Events < 2*(200+32)*5 || len(report.Targets) != 0 {
		t.Errorf("%+v", report)
	}
	if !strings.Contains(log.String(), "recoup gateway") {
		t.Errorf("no progress on standard error: %q", log.String())
	}
}

func TestBenchRefusesWhatItCannotDo(t *testing.T) {
	for _, args := range [][]string{{"--format", "yaml"}, {"--only", "speed"}, {"--rounds", "many"}} {
		var out, log bytes.Buffer
		p := program{environ: os.Environ(), stdout: &out, stderr: &log}
		if code := p.run(t.Context(), append([]string{"bench", "--quiet"}, args...)); code == 0 || !strings.Contains(log.String(), args[1]) {
			t.Errorf("%v: exit code %d, %q", args, code, log.String())
		}
	}
}

func TestBenchChildrenGetNoneOfTheUsersSettings(t *testing.T) {
	got := withoutSettings([]string{"PATH=/bin", "RECOUP_LISTEN=:1", "RECOUPED=1", "RECOUP_DATA_DIR=/x"})
	if !slices.Equal(got, []string{"PATH=/bin", "RECOUPED=1"}) {
		t.Errorf("%q", got)
	}
}
