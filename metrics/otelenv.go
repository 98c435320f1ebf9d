package metrics

import (
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
)

// checkVariables refuses what the exporters would log, and do without. An error names
// the variable, and never what is in it: that may be a credential.
func checkVariables(getenv func(string) string) error {
	for _, suffix := range []string{"ENDPOINT", "HEADERS", "TIMEOUT", "COMPRESSION", "CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY"} {
		for _, prefix := range []string{"OTEL_EXPORTER_OTLP_", "OTEL_EXPORTER_OTLP_TRACES_"} {
			value := getenv(prefix + suffix)
			if value == "" {
				continue
			}
			if want := checkVariable(suffix, value); want != "" {
				return fmt.Errorf("%s: want %s", prefix+suffix, want)
			}
		}
	}
	for _, name := range []string{"OTEL_BSP_SCHEDULE_DELAY", "OTEL_BSP_EXPORT_TIMEOUT", "OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"} {
		if v := getenv(name); v != "" && !positive(v) {
			return fmt.Errorf("%s: want a number, times in milliseconds", name)
		}
	}
	return nil
}

// checkVariable returns what a variable should be; "": what it is.
func checkVariable(suffix, value string) (want string) {
	switch suffix {
	case "ENDPOINT":
		if u, err := url.Parse(value); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return "a URL such as http://collector:4317"
		}
	case "HEADERS":
		for pair := range strings.SplitSeq(value, ",") {
			name, _, ok := strings.Cut(pair, "=")
			if name = strings.TrimSpace(name); !ok || name == "" || strings.ContainsAny(name, ": ") {
				return "name=value pairs with commas between, values percent-encoded"
			}
			if _, err := url.PathUnescape(pair); err != nil {
				return "values that are percent-encoded"
			}
		}
	case "TIMEOUT":
		if !positive(value) {
			return "a number of milliseconds"
		}
	case "COMPRESSION":
		if value != "gzip" && value != "none" {
			return "gzip or none"
		}
	default:
		if _, err := os.ReadFile(value); err != nil {
			return "the path of a file that can be read"
		}
	}
	return ""
}

func positive(text string) bool {
	n, err := strconv.Atoi(text)
	return err == nil && n > 0
}

// reportEvery is how often it is said that spans don't arrive.
const reportEvery = 30 * time.Second

// report has OpenTelemetry's errors in our log, not each of them. What it says beside
// them repeats what it was configured with, so that is not logged.
func report(logger *slog.Logger) {
	otel.SetLogger(logr.Discard())
	var mu sync.Mutex
	var last time.Time
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if now := time.Now(); now.Sub(last) >= reportEvery {
			last = now
			logger.Warn("spans could not be exported", "error", err)
		}
	}))
}
