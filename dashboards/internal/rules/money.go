package rules

import (
	"fmt"

	"github.com/recoup-gateway/recoup/metrics"
)

// moneyAlerts are about what is lost, what was missed, and what the books don't
// know.
func moneyAlerts(t Thresholds) []Alert {
	loss, slow, missed := number(t.LossPerHour), number(t.SlowLossPerHour), number(t.MissedPerDay)
	return []Alert{
		{
			Name: "RecoupLosingMoney", Severity: Critical, For: minutes(5),
			Expr:    fmt.Sprintf("%s > %s\n  and\n%s > %s", LossPerHour1h, loss, LossPerHour5m, loss),
			When:    fmt.Sprintf("answers that nobody can use cost more than **$%s an hour**, over the last hour and over the last 5 minutes, for 5 minutes", loss),
			Summary: "Paid answers are being wasted or lost, and it goes on.",
			Description: `Answers that nobody can use have cost ${{ $value | printf "%.2f" }} in the last hour, and are still being lost. ` +
				"Find the cause by provider and model, then stop it: a failing provider, agents that don't come back, or the gateway itself.",
		},
		{
			Name: "RecoupLosingMoneySlowly", Severity: Warning, For: minutes(15),
			Expr:    fmt.Sprintf("%s > %s\n  and\n%s > %s", LossPerHour1d, slow, LossPerHour2h, slow),
			When:    fmt.Sprintf("more than **$%s an hour**, over the last day and over the last 2 hours, for 15 minutes. One large loss counts, too", slow),
			Summary: "Paid answers have been wasted or lost for hours, or many at once.",
			Description: `Answers that nobody can use have cost ${{ $value | printf "%.2f" }} an hour over the last day. ` +
				"See which cause has most of it, and remove that.",
		},
		{
			Name: "RecoupAtRisk", Severity: Warning, For: minutes(3),
			Expr:    fmt.Sprintf("%s > %s", AtRisk, number(t.AtRisk)),
			When:    fmt.Sprintf("output of more than **$%s** has no client, for 3 minutes", number(t.AtRisk)),
			Summary: "Answers worth money have lost their clients, and nobody has come back.",
			Description: `Output worth ${{ $value | printf "%.2f" }} belongs to streams without a client. It is lost when their retention ends (` + t.Retention.String() + `). ` +
				"Bring the agents back: the same calls, with the same keys.",
		},
		{
			Name: "RecoupMissedResumesCostly", Severity: Warning,
			Expr:    fmt.Sprintf("%s > %s\n  and\n%s > %s", Missed1d, missed, Missed6h, number(t.MissedPerDay/4)),
			When:    fmt.Sprintf("answers that were bought twice cost more than **$%s** in a day, and more than a quarter of that in the last 6 hours", missed),
			Summary: "Calls buy again what the gateway could have given them.",
			Description: `Broken answers of ${{ $value | printf "%.2f" }} were bought again in the last day, reason {{ $labels.reason }}. ` +
				"not-opted-in: give these calls an Idempotency-Key. ended: let the grace last longer, or the callers return sooner.",
		},
		{
			Name: "RecoupCausedByGateway", Severity: Warning,
			Expr:    fmt.Sprintf("%s > %s", GatewaysLoss1h, number(t.GatewayPerHour)),
			When:    fmt.Sprintf("answers that ended with the gateway cost more than **$%s** in an hour", number(t.GatewayPerHour)),
			Summary: "The gateway itself has caused losses.",
			Description: `Answers that ended with a gateway process, or that it broke off, have cost ${{ $value | printf "%.2f" }} in the last hour. ` +
				"Find out what stops the process, and give it time to drain.",
		},
		{
			Name: "RecoupBooksImbalance", Severity: Critical,
			Expr:    fmt.Sprintf("max_over_time(%s[1h]) != 0", metrics.NameLedgerImbalance),
			When:    "the ledger refused a posting that doesn't balance, within the last hour or since the start",
			Summary: "The books don't balance: postings were refused.",
			Description: `The ledger of {{ $labels.instance }} has refused postings that were off by {{ $value | printf "%.0f" }} tokens. What it has is right, and these attempts are missing. ` +
				"Keep the log of the process and the data directory, and report it: this is a bug.",
		},
		{
			Name: "RecoupBillUnexplained", Severity: Warning,
			Expr:    fmt.Sprintf("abs(%s) > %s", metrics.NameUnexplained, number(t.Unexplained)),
			When:    fmt.Sprintf("a compared bill and the books differ by more than **$%s**", number(t.Unexplained)),
			Summary: "A provider's bill and the books differ.",
			Description: `The bills of {{ $labels.provider }} and the books of {{ $labels.instance }} differ by ${{ $value | printf "%.2f" }}. ` +
				"Read the findings of the reconciliation: calls that bypass the gateway, a bill of other days, or a wrong bill.",
		},
		{
			Name: "RecoupUnpriced", Severity: Warning,
			Expr:    fmt.Sprintf("%s > 0", sumBy("job, reason", increase(metrics.NameUnpriced, "1h"))),
			When:    "an attempt without a price in the last hour",
			Summary: "Answers are booked without a price, so money figures are too low.",
			Description: `{{ $value | printf "%.0f" }} attempts in the last hour have tokens without a price, reason {{ $labels.reason }}. ` +
				"Find the model and have its price added to the price book.",
		},
	}
}
