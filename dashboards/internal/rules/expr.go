package rules

import (
	"fmt"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
)

// Matchers that several rules share.
const (
	unusable = `{outcome=~"wasted|lost"}`
	// What of the types of errors a provider is to blame for. A cancel is the
	// caller's, an end of the gateway its own, and 4xx are about the request, but
	// for a timeout and a limit.
	providersFault = `{error_type=~"408|429|5..|no_response|error_event|cut"}`
	notCompleted   = `{result!="completed"}`
	foundAgain     = `{result=~"completed|interrupted"}`
)

func increase(selector, window string) string {
	return fmt.Sprintf("increase(%s[%s])", selector, window)
}

func rate(selector, window string) string { return fmt.Sprintf("rate(%s[%s])", selector, window) }

func sumBy(labels, expr string) string { return fmt.Sprintf("sum by (%s) (%s)", labels, expr) }

// share is part of whole: 0 where there is no part yet, nothing where there is
// no whole.
func share(labels, part, whole string) string {
	all := sumBy(labels, whole)
	return fmt.Sprintf("(\n  %s\n    or\n  0 * %s\n)\n  /\n(%s > 0)", sumBy(labels, part), all, all)
}

// number is how PromQL and people read f.
func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// percent is a share in words.
func percent(f float64) string { return strconv.FormatFloat(100*f, 'f', -1, 64) + " %" }

func seconds(d model.Duration) string { return number(time.Duration(d).Seconds()) }
