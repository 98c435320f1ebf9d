package rules

import (
	"fmt"

	"github.com/recoup-gateway/recoup/metrics"
)

// streamAlerts are about clients that break off and come back, and about those
// who answer.
func streamAlerts(t Thresholds) []Alert {
	failed, errors := number(t.ResumesFailed), number(t.ProviderErrors)
	return []Alert{
		{
			Name: "RecoupResumesFailing", Severity: Critical, For: minutes(10),
			Expr: fmt.Sprintf("%s > %s\n  and\n%s > %s\n  and on (job)\n%s >= %s", ResumesFailed30m, failed, ResumesFailed5m, failed,
				sumBy("job", increase(metrics.NameResumes, "30m")), number(t.MinResumes)),
			When:    fmt.Sprintf("more than **%s** of the resumes don't get their answer's end, over 30 and over 5 minutes, for 10 minutes, with at least %s in 30 minutes", percent(t.ResumesFailed), number(t.MinResumes)),
			Summary: "Clients come back for their answers and don't get them.",
			Description: "{{ $value | humanizePercentage }} of the resumes of the last 30 minutes ended interrupted, expired or not found. " +
				"Look at which: interrupted is cut again or died with its provider, expired came too late, not found is another caller's or another gateway's.",
		},
		{
			Name: "RecoupProviderFailing", Severity: Critical, For: minutes(2),
			Expr: fmt.Sprintf("%s > %s\n  and\n%s > %s\n  and on (job, provider)\n%s >= %s", ProviderErrors30m, errors, ProviderErrors5m, errors,
				sumBy("job, provider", increase(metrics.NameUpstreamRequests, "30m")), number(t.MinRequests)),
			When:    fmt.Sprintf("more than **%s** of the requests to a provider fail by its fault, over 30 and over 5 minutes, for 2 minutes, with at least %s in 30 minutes", percent(t.ProviderErrors), number(t.MinRequests)),
			Summary: "A provider doesn't answer, or breaks its answers off.",
			Description: "{{ $value | humanizePercentage }} of the requests to {{ $labels.provider }} in the last 30 minutes failed by its fault. " +
				"See which type of error it is and what the provider says of its state; send the agents elsewhere or hold them back.",
		},
		{
			Name: "RecoupSlowReaders", Severity: Info,
			Expr:    fmt.Sprintf(`%s >= %s`, sumBy("job", increase(metrics.NameBreaks+`{cause="slow_reader"}`, "30m")), number(t.SlowReaders)),
			When:    fmt.Sprintf("**%s** clients or more were disconnected in 30 minutes because they didn't read", number(t.SlowReaders)),
			Summary: "Clients are disconnected because they don't read their answers.",
			Description: `{{ $value | printf "%.0f" }} clients took longer than write_timeout for one write in the last 30 minutes. ` +
				"Find what blocks the agents, or a proxy that holds answers back.",
		},
	}
}
