package rules

import (
	"slices"
	"testing"

	"github.com/goccy/go-yaml"
)

// The configuration reads the rules, scrapes the job that the alerts know, and
// keeps both kinds of histograms.
func TestConfiguration(t *testing.T) {
	var c struct {
		RuleFiles []string `yaml:"rule_files"`
		Scrape    []struct {
			Job     string `yaml:"job_name"`
			Native  bool   `yaml:"scrape_native_histograms"`
			Classic bool   `yaml:"always_scrape_classic_histograms"`
			Static  []struct {
				Targets []string `yaml:"targets"`
			} `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}
	if err := yaml.Unmarshal([]byte(read(t, prometheusDir, "prometheus.yml")), &c); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(c.RuleFiles, []string{recordingName, alertsName}) {
		t.Errorf("rule files %q", c.RuleFiles)
	}
	s := c.Scrape[0]
	if s.Job != Defaults().Job || !s.Native || !s.Classic || !slices.Equal(s.Static[0].Targets, []string{"gateway:8485"}) {
		t.Errorf("the gateway's scrape is %+v", s)
	}
}
