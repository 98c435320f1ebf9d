package rules

import (
	"time"

	"github.com/prometheus/common/model"
)

// Thresholds are the numbers in the alerts that depend on who runs the gateway.
type Thresholds struct {
	Job string // of the gateway's scrapes, for the alert that they fail

	LossPerHour     float64 // dollars an hour lost, for which somebody is woken
	SlowLossPerHour float64 // dollars an hour, over a day
	AtRisk          float64 // dollars
	MissedPerDay    float64 // dollars
	GatewayPerHour  float64 // dollars an hour that the gateway's own end has cost
	Unexplained     float64 // dollars, of a compared bill

	ResumesFailed  float64 // share
	MinResumes     float64 // in half an hour, below which the share says nothing
	ProviderErrors float64 // share
	MinRequests    float64 // in half an hour, likewise
	SlowReaders    float64 // disconnected in half an hour

	LogUsed       float64 // share of what the log may take
	LogFullWithin model.Duration
	CommitSeconds float64        // of one commit in a hundred; one of the classic buckets
	Retention     model.Duration // the gateway's own
	Unsettled     float64        // streams, below which the books are never called stuck
	Restarts      float64        // in half an hour
	DownFor       model.Duration // longer than an upgrade takes
}

// Defaults are the thresholds of the committed files.
func Defaults() Thresholds {
	return Thresholds{
		Job: "recoup",

		LossPerHour:     20,
		SlowLossPerHour: 2,
		AtRisk:          20,
		MissedPerDay:    20,
		GatewayPerHour:  5,
		Unexplained:     0.01,

		ResumesFailed:  0.3,
		MinResumes:     10,
		ProviderErrors: 0.2,
		MinRequests:    20,
		SlowReaders:    5,

		LogUsed:       0.9,
		LogFullWithin: minutes(4 * 60),
		CommitSeconds: 0.1,
		Retention:     minutes(15),
		Unsettled:     100,
		Restarts:      3,
		DownFor:       minutes(2),
	}
}

func minutes(n int) model.Duration { return model.Duration(time.Duration(n) * time.Minute) }
