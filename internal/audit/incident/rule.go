package incident

import (
	"fmt"
	"slices"
	"time"

	"github.com/recoup-gateway/recoup/internal/ledger"
)

// Rule says when breaks are an incident.
type Rule struct {
	Window  time.Duration // breaks that follow each other within it belong together
	Streams int           // at least so many break
	Share   int           // at least so much of what was open, in per cent
	Times   int           // at least so many times as many as usual
}

// DefaultRule is good for agents that answer for minutes.
func DefaultRule() Rule { return Rule{Window: 10 * time.Second, Streams: 5, Share: 50, Times: 5} }

const (
	baseline     = time.Hour // of what is usual
	leastGateway = 2         // breaks by the gateway's doing that are a restart
	leastMore    = 2         // breaks beside others that go on with them
)

// Stream is what the rule has to know of one.
type Stream struct {
	Provider  string
	Principal ledger.ID
	At        time.Time // accepted
	Ended     time.Time // zero: it runs
	Broken    []ledger.Break
}

// Found is an incident that the rule sees.
type Found struct {
	Kind, Provider string
	Start, End     time.Time // [Start, End)
	Why            string
}

// moment is a stream that broke, by one of the causes.
type moment struct {
	at        int64 // unix ms
	began     int64
	principal ledger.ID
}

// Find applies the rule to streams. Those that were accepted in the hour before what
// is looked for say what is usual.
func (r Rule) Find(streams []Stream) []Found {
	by := map[[2]string][]moment{} // cause, and the provider where it is that one's
	for i := range streams {
		s := &streams[i]
		last := map[string]time.Time{}
		for _, k := range s.Broken {
			// One that comes back and breaks again at once is still one stream.
			if before, ok := last[k.Cause]; ok && k.At.Sub(before) <= r.Window {
				continue
			}
			last[k.Cause] = k.At
			key := [2]string{k.Cause}
			if k.Cause == ledger.Upstream {
				key[1] = s.Provider
			}
			by[key] = append(by[key], moment{k.At.UnixMilli(), s.At.UnixMilli(), s.Principal})
		}
	}
	var all []Found
	open := newOpenness(streams)
	for key, moments := range by {
		slices.SortFunc(moments, func(a, b moment) int { return int(a.at - b.at) })
		c := clusters{Rule: r, cause: key[0], provider: key[1], moments: moments, open: open}
		all = append(all, c.find()...)
	}
	slices.SortFunc(all, func(a, b Found) int {
		if d := a.Start.Compare(b.Start); d != 0 {
			return d
		}
		return slices.Compare([]string{a.Kind, a.Provider}, []string{b.Kind, b.Provider})
	})
	return r.joined(all)
}

// joined makes what broke at once on several sides one incident of the network.
func (r Rule) joined(all []Found) (out []Found) {
	for _, f := range all {
		n := len(out) - 1
		for n >= 0 && out[n].Kind == ledger.KindGateway {
			n--
		}
		if f.Kind == ledger.KindGateway || n < 0 || f.Start.Sub(out[n].End) > r.Window {
			out = append(out, f)
			continue
		}
		o := &out[n]
		if o.Kind != f.Kind || o.Provider != f.Provider {
			o.Kind, o.Provider = ledger.KindNetwork, ""
		}
		o.Why += "; " + f.Why
		if f.End.After(o.End) {
			o.End = f.End
		}
	}
	return out
}

// clusters are the breaks of one cause, by time.
type clusters struct {
	Rule
	cause, provider string
	moments         []moment
	open            *openness
}

func (c *clusters) find() (all []Found) {
	for i := 0; i < len(c.moments); {
		end := i + 1
		for end < len(c.moments) && c.moments[end].at-c.moments[end-1].at <= c.Window.Milliseconds() {
			end++
		}
		if f, ok := c.judge(c.moments[i:end], i); ok {
			all = append(all, f)
		}
		i = end
	}
	return all
}

// judge says if breaks that belong together are an incident. A trickle that never
// stops is one cluster too, so the densest window of it decides. What is about as dense
// around it is of the same incident: a deploy ends one process after the other.
func (c *clusters) judge(cluster []moment, before int) (f Found, ok bool) {
	first, n := c.densest(cluster)
	if c.cause == ledger.BrokenByClient || c.cause == ledger.Upstream {
		if n < c.Streams || !c.unusual(before+first, n) {
			return f, false
		}
		from, to := c.dense(cluster, before, first, first+n)
		if f, ok := c.found(cluster[from:to]); ok {
			return f, true
		}
	}
	return c.found(cluster[first : first+n])
}

// dense is from where to where a cluster is about as dense as at its densest, which is
// [from, to): in the time of a Window before or after it at least a quarter as many break,
// and that is unusual too.
func (c *clusters) dense(cluster []moment, before, from, to int) (first, end int) {
	least, window := max((to-from)/4, leastMore), c.Window.Milliseconds()
	many := func(from, to int) bool { return to-from >= least && c.unusual(before+from, to-from) }
	for {
		end := to
		for end < len(cluster) && cluster[end].at-cluster[to-1].at <= window {
			end++
		}
		if !many(to, end) {
			break
		}
		to = end
	}
	for {
		first := from
		for first > 0 && cluster[from].at-cluster[first-1].at <= window {
			first--
		}
		if !many(first, from) {
			return from, to
		}
		from = first
	}
}

// found says if the breaks of a time are an incident, and what is said of it.
func (c *clusters) found(window []moment) (f Found, ok bool) {
	n := len(window)
	f.Start, f.End = time.UnixMilli(window[0].at).UTC(), time.UnixMilli(window[n-1].at+1).UTC()
	const exact = 100 * time.Millisecond
	took := max(f.End.Sub(f.Start).Round(exact), exact)
	switch c.cause {
	case ledger.BrokenByGateway:
		f.Kind, f.Why = ledger.KindGateway, fmt.Sprintf("%d streams broke by the gateway's doing within %v", n, took)
		return f, n >= leastGateway
	case ledger.BrokenByClient:
		f.Kind = ledger.KindDeploy
	case ledger.Upstream:
		f.Kind, f.Provider = ledger.KindProvider, c.provider
	default:
		return f, false // who reads slowly does so alone
	}
	broke, of, whose := c.share(window)
	// An agent that gives up early and asks again breaks many, one after the other.
	if broke < c.Streams || of == 0 || 100*broke < c.Share*of {
		return f, false
	}
	f.Why = fmt.Sprintf("%d of %d open streams%s broke within %v", broke, of, whose, took)
	if c.cause == ledger.Upstream {
		f.Why = fmt.Sprintf("%s failed %d of %d streams within %v", c.provider, broke, of, took)
	}
	return f, true
}

// densest is where in a cluster the most breaks are within Window.
func (c *clusters) densest(cluster []moment) (first, n int) {
	end := 0
	for i := range cluster {
		for end < len(cluster) && cluster[end].at-cluster[i].at <= c.Window.Milliseconds() {
			end++
		}
		if end-i > n {
			first, n = i, end-i
		}
	}
	return first, n
}

// unusual says if n breaks within Window are many, for the time before them.
func (c *clusters) unusual(first, n int) bool {
	start := c.moments[first].at
	usual := 0
	for i := first - 1; i >= 0 && start-c.moments[i].at <= baseline.Milliseconds(); i-- {
		usual++
	}
	windows := baseline.Milliseconds() / max(c.Window.Milliseconds(), 1)
	return int64(n)*windows >= int64(c.Times)*int64(usual)
}

// share is how many broke, of how many, and whose these are: of all, if that is enough,
// else of the caller for whom it is most, if it has as many as it takes.
func (c *clusters) share(window []moment) (broke, of int, whose string) {
	start, end := window[0].at, window[len(window)-1].at
	if c.cause == ledger.Upstream {
		return len(window), c.open.during(c.provider, start, end), ""
	}
	mine := map[ledger.ID]int{}
	for _, m := range window {
		if m.began <= start { // it was open when it began
			mine[m.principal]++
			broke++
		}
	}
	of = c.open.at(ledger.ID{}, start)
	if of > 0 && 100*broke >= c.Share*of {
		return broke, of, ""
	}
	for p, n := range mine {
		if own := c.open.at(p, start); n >= c.Streams && own > 0 && n*of > broke*own {
			broke, of, whose = n, own, " of one caller"
		}
	}
	return broke, of, whose
}
