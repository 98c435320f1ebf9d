package dialect

import (
	"net/http"
	"strconv"

	"github.com/recoup-gateway/recoup/internal/token"
)

// normalConverse brings a usage object of Converse into normal form: its input has the fresh part alone. Where
// only the sum of the cache's writes is said, they live for 5 minutes, which is the default.
func normalConverse(o object) token.Usage {
	u := token.Usage{
		Input:     o.count("inputTokens"),
		CacheRead: known(o.count("cacheReadInputTokens"), o.count("cacheReadInputTokenCount")),
		Output:    o.count("outputTokens"),
	}
	written := known(o.count("cacheWriteInputTokens"), o.count("cacheWriteInputTokenCount"))
	for _, raw := range o.list("cacheDetails") {
		if detail := newObject(raw); detail.text("ttl") == "1h" {
			u.CacheWrite1h = plus(u.CacheWrite1h, detail.count("inputTokens"))
		}
	}
	u.CacheWrite1h = within(u.CacheWrite1h, written)
	if n, ok := written.Get(); ok {
		u.CacheWrite5m = token.Known(n - u.CacheWrite1h.Or(0))
	}
	return u
}

// normalMetrics brings Amazon's own report on a call of InvokeModel into normal form.
func normalMetrics(o object) token.Usage {
	return token.Usage{
		Input:        o.count("inputTokenCount"),
		CacheRead:    o.count("cacheReadInputTokenCount"),
		CacheWrite5m: o.count("cacheWriteInputTokenCount"),
		Output:       o.count("outputTokenCount"),
	}
}

// completed is u, and where u doesn't know, more: its input is taken as a whole, lest parts are counted twice.
func completed(u, more token.Usage) token.Usage {
	if !u.Input.IsKnown() {
		u.Input, u.CacheRead, u.CacheWrite5m, u.CacheWrite1h = more.Input, more.CacheRead, more.CacheWrite5m, more.CacheWrite1h
	}
	u.Output = known(u.Output, more.Output)
	return u
}

// withTier adds the tier that served the call; the default has no name.
func withTier(u token.Usage, tier string) token.Usage {
	if tier != "" && tier != defaultTier {
		u.ServiceTier = tier
	}
	return u
}

// headerUsage is what Amazon reports in the head of an answer of InvokeModel.
func headerUsage(h http.Header) (u token.Usage) {
	count := func(name string) token.Count {
		n, err := strconv.ParseInt(h.Get(bedrockHeader+name), 10, 64)
		if err != nil || n < 0 || n > maxCount {
			return token.Count{}
		}
		return token.Known(n)
	}
	return token.Usage{
		Input:        count("Input-Token-Count"),
		CacheRead:    count("Cache-Read-Input-Token-Count"),
		CacheWrite5m: count("Cache-Write-Input-Token-Count"),
		Output:       count("Output-Token-Count"),
	}
}

// ReadHead shows an observer the head of the answer, for the reports that are there: Bedrock has some.
func ReadHead(o Observer, h http.Header) {
	if r, ok := o.(interface{ head(h http.Header) }); ok {
		r.head(h)
	}
}
