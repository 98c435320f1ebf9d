// Package rules has the recording and alert rules for Prometheus as Go code. The
// files in dashboards/prometheus are written from it, and a test holds them equal:
//
//	go test ./dashboards/internal/rules -update
//
//	rules.go       what a file of rules is, and how it is written
//	thresholds.go  every number that somebody may want to change
//	recording.go   the recorded series; their names are constants
//	money.go       alerts about what is lost, missed, or booked wrongly
//	streams.go     alerts about resumes and providers
//	gateway.go     alerts about the process and its log
//	expr.go        pieces of PromQL
//
// Each alert has a page in docs/runbooks, and a case that fires and one that
// doesn't in dashboards/prometheus/tests.
package rules
