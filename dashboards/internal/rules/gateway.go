package rules

import (
	"fmt"

	"github.com/recoup-gateway/recoup/metrics"
)

// Metrics that are not in the catalogue: Prometheus's own, and the process's.
const (
	up           = "up"
	processStart = "process_start_time_seconds"
)

// gatewayAlerts are about the process, its log and its disk.
func gatewayAlerts(t Thresholds) []Alert {
	return append([]Alert{
		{
			Name: "RecoupGatewayDown", Severity: Critical, For: t.DownFor,
			Expr:    fmt.Sprintf("%s{job=%q} == 0\n  or\nabsent(%s{job=%q})", up, t.Job, up, t.Job),
			When:    fmt.Sprintf("Prometheus can't scrape a gateway of job `%s`, or has none, for %s", t.Job, t.DownFor),
			Summary: "A gateway can't be reached, so nobody can call or resume.",
			Description: "{{ with $labels.instance }}The gateway {{ . }} doesn't answer{{ else }}There is no gateway{{ end }} in job {{ $labels.job }}. " +
				"Start it on the same data directory; answers can be resumed until their retention ends.",
		},
		{
			Name: "RecoupRestarting", Severity: Warning,
			Expr: fmt.Sprintf("changes(%s[30m]) >= %s\n  and on (job, instance)\nlast_over_time(%s[30m])",
				processStart, number(t.Restarts), metrics.NameBuildInfo),
			When:    fmt.Sprintf("a gateway was started **%s** times or more in 30 minutes", number(t.Restarts)),
			Summary: "A gateway restarts again and again; each time running answers end.",
			Description: "{{ $labels.instance }} has started {{ $value }} times in the last 30 minutes. " +
				"Its last line on standard error says why it ended; if there is none, something killed it: memory limit, probe, time to stop.",
		},
	}, storageAlerts(t)...)
}

// storageAlerts are about the log, its disk, and what the books take from it.
func storageAlerts(t Thresholds) []Alert {
	var (
		recent    = 2 * t.Retention
		unsettled = sumBy("job, instance", metrics.NameUnsettled)
		calls     = sumBy("job, instance", increase(metrics.NameUpstreamRequests, recent.String()))
		predicted = func(window string) string {
			return fmt.Sprintf("predict_linear(%s[%s], %s) <= 0", metrics.NameLogFreeBytes, window, seconds(t.LogFullWithin))
		}
	)
	return []Alert{
		{
			Name: "RecoupStorageFailed", Severity: Critical,
			Expr:    fmt.Sprintf("max by (job, instance, part) (%s) > 0", metrics.NameFailed),
			When:    "a gateway's log or ledger has failed",
			Summary: "A gateway can't store what it has to; it must be restarted.",
			Description: "The {{ $labels.part }} of {{ $labels.instance }} has failed. With the log, no call is taken; with the ledger, nothing is booked. " +
				"Look at its disk and at its log, then restart it on the same data directory: what was stored is found, and nothing is booked twice.",
		},
		{
			// Where all answers break, all of a retention's calls are unsettled, and that
			// is right: half of those of two retentions, or all of a burst until its
			// retention is over. Where there were no calls there is nothing to compare with.
			Name: "RecoupBooksStuck", Severity: Critical, For: t.Retention + minutes(5),
			Expr:    fmt.Sprintf("%s > %s\n  unless\n%s <= 0.8 * %s", unsettled, number(t.Unsettled), unsettled, calls),
			When:    fmt.Sprintf("more than **%s** streams, and more than 80 %% of the calls of the last %s (two retentions), have ended without an outcome, for %s", number(t.Unsettled), recent, t.Retention+minutes(5)),
			Summary: "The books don't get ahead: what is lost isn't seen, and the log can't be cleared.",
			Description: `{{ $value | printf "%.0f" }} streams of {{ $labels.instance }} have ended and have no outcome. Losses aren't counted meanwhile. ` +
				"Look for a failed ledger in its log and at /readyz, then restart it: nothing is booked twice.",
		},
		{
			Name: "RecoupLogNearlyFull", Severity: Critical, For: minutes(5),
			Expr:    fmt.Sprintf("%s > %s", LogUsed, number(t.LogUsed)),
			When:    fmt.Sprintf("the log takes more than **%s** of what it may take, for 5 minutes", percent(t.LogUsed)),
			Summary: "The stream log has little room left; full, new calls are refused.",
			Description: "The log of {{ $labels.instance }} takes {{ $value | humanizePercentage }} of the room that it has. Full, new calls get 503, and at half of min_free running answers are cut. " +
				"Make room on the disk, or shorten retention (SIGHUP is enough).",
		},
		{
			// The log grows for one retention after a start, and then no more: the short
			// window sees that it has stopped.
			Name: "RecoupLogFilling", Severity: Warning, For: recent,
			Expr:    predicted("1h") + "\n  and\n" + predicted(t.Retention.String()),
			When:    fmt.Sprintf("at the pace of the last hour, and at that of the last %s, the log has no room left in **%s**, for %s", t.Retention, t.LogFullWithin, recent),
			Summary: "The disk of the stream log will be full within hours.",
			Description: "At its present pace the log of {{ $labels.instance }} has no room left within " + t.LogFullWithin.String() + ". " +
				"See whether the log grows or something else on its disk, and make room or shorten retention.",
		},
		{
			Name: "RecoupCommitSlow", Severity: Warning, For: minutes(10),
			Expr:    fmt.Sprintf("%s > %s", CommitSeconds, number(t.CommitSeconds)),
			When:    fmt.Sprintf("one commit of the log in a hundred takes longer than **%s s**, for 10 minutes", number(t.CommitSeconds)),
			Summary: "The disk of the stream log is slow, and every answer waits for it.",
			Description: "One commit in a hundred of {{ $labels.instance }} takes {{ $value | humanizeDuration }} or longer; answers are handed on after their commit. " +
				"See what else uses the disk; the data directory belongs on a fast local one.",
		},
	}
}
