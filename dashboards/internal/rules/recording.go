package rules

import (
	"fmt"

	"github.com/recoup-gateway/recoup/metrics"
)

// Names of the recorded series: the labels that are left, what it is, and how it
// was calculated.
const (
	LossPerHour5m = "job:recoup_loss_usd_per_hour:rate5m"
	LossPerHour1h = "job:recoup_loss_usd_per_hour:rate1h"
	LossPerHour2h = "job:recoup_loss_usd_per_hour:rate2h"
	LossPerHour1d = "job:recoup_loss_usd_per_hour:rate1d"

	CostPerHour    = "job_provider_model_outcome:recoup_cost_usd_per_hour:rate1h"
	TokensPerHour  = "job_provider_model_outcome:recoup_output_tokens_per_hour:rate1h"
	AtRisk         = "job:recoup_at_risk_usd:sum"
	Net1d          = "job:recoup_net_usd:increase1d"
	Missed6h       = "job_reason:recoup_missed_resumes_usd:increase6h"
	Missed1d       = "job_reason:recoup_missed_resumes_usd:increase1d"
	GatewaysLoss1h = "job:recoup_overhead_crash_usd:increase1h"

	BreaksResumed1h   = "job:recoup_breaks_resumed:ratio_rate1h"
	ResumesFailed5m   = "job:recoup_resumes_failed:ratio_rate5m"
	ResumesFailed30m  = "job:recoup_resumes_failed:ratio_rate30m"
	ProviderErrors5m  = "job_provider:recoup_upstream_errors:ratio_rate5m"
	ProviderErrors30m = "job_provider:recoup_upstream_errors:ratio_rate30m"

	LogUsed       = "job_instance:recoup_log_used:ratio"
	CommitSeconds = "job_instance:recoup_commit_seconds:p99_rate5m"
)

// RecordingFile is recoup-recording.rules.yaml. Sums over hours and days read many
// samples, so they are taken less often, though before a sample counts as old
// (5 minutes).
func RecordingFile() File {
	return File{[]Group{
		{Name: "recoup-recorded", Interval: "30s", Rules: recordedOften()},
		{Name: "recoup-recorded-long", Interval: "2m", Rules: recordedSeldom()},
	}}
}

func recordedOften() []Rule {
	return []Rule{
		{Record: LossPerHour5m, Expr: lossPerHour("5m"), Says: "dollars an hour, wasted and lost"},
		{Record: LossPerHour1h, Expr: lossPerHour("1h"), Says: "likewise"},
		{Record: AtRisk, Expr: sumBy("job", metrics.NameAtRisk), Says: "dollars of output without a client"},
		{Record: GatewaysLoss1h, Expr: sumBy("job", increase(metrics.NameOverhead+`{kind="crash"}`, "1h")), Says: "dollars that the gateway's own end has cost, in an hour"},
		{Record: BreaksResumed1h, Expr: fmt.Sprintf("clamp_max(\n%s,\n1)",
			share("job", rate(metrics.NameResumes+foundAgain, "1h"), rate(metrics.NameBreaks, "1h"))), Says: "share of breaks after which somebody came back and found the answer"},
		{Record: ResumesFailed5m, Expr: resumesFailed("5m"), Says: "share of resumes that didn't get the answer's end"},
		{Record: ResumesFailed30m, Expr: resumesFailed("30m"), Says: "likewise"},
		{Record: ProviderErrors5m, Expr: providerErrors("5m"), Says: "share of requests that failed by the provider's fault: 408, 429, 5xx, no response, an error in the answer, cut"},
		{Record: ProviderErrors30m, Expr: providerErrors("30m"), Says: "likewise"},
		{Record: LogUsed, Expr: fmt.Sprintf("sum by (job, instance) (%s)\n  /\nsum by (job, instance) (%s + %s)",
			metrics.NameLogBytes, metrics.NameLogBytes, metrics.NameLogFreeBytes), Says: "share of what the log may take that it takes"},
		{Record: CommitSeconds, Expr: fmt.Sprintf("histogram_quantile(0.99, %s)",
			sumBy("job, instance, le", rate(metrics.NameCommitSeconds+"_bucket", "5m"))), Says: "seconds; one commit of the log in a hundred takes longer"},
	}
}

func recordedSeldom() []Rule {
	const pairOutcome = "job, provider, model, outcome"
	return []Rule{
		{Record: LossPerHour2h, Expr: lossPerHour("2h"), Says: "dollars an hour, wasted and lost"},
		{Record: LossPerHour1d, Expr: lossPerHour("1d"), Says: "likewise"},
		{Record: CostPerHour, Expr: "3600 * " + sumBy(pairOutcome, rate(metrics.NameCost, "1h")), Says: "dollars an hour by what became of them"},
		{Record: TokensPerHour, Expr: "3600 * " + sumBy(pairOutcome, rate(metrics.NameOutputTokens, "1h")), Says: "output tokens an hour by what became of them"},
		{Record: Net1d, Expr: fmt.Sprintf("%s\n  -\n%s",
			sumBy("job", increase(metrics.NameSaved, "1d")), sumBy("job", increase(metrics.NameOverhead, "1d"))), Says: "dollars that resumes avoided less those that the gateway caused, in a day"},
		{Record: Missed6h, Expr: sumBy("job, reason", increase(metrics.NameMissedCost, "6h")), Says: "dollars of broken answers that were bought again, in 6 hours"},
		{Record: Missed1d, Expr: sumBy("job, reason", increase(metrics.NameMissedCost, "1d")), Says: "likewise, in a day"},
	}
}

func lossPerHour(window string) string {
	return "3600 * " + sumBy("job", rate(metrics.NameCost+unusable, window))
}

func resumesFailed(window string) string {
	return share("job", rate(metrics.NameResumes+notCompleted, window), rate(metrics.NameResumes, window))
}

func providerErrors(window string) string {
	return share("job, provider", rate(metrics.NameUpstreamErrors+providersFault, window), rate(metrics.NameUpstreamRequests, window))
}
