package demo

// fate is what happens to an agent in its last call.
type fate string

const (
	steady   fate = "steady"   // nothing: it reads its answer to the end
	byKey    fate = "by key"   // cut by the deploy; makes the same call again, with the same key
	byID     fate = "by id"    // cut by the deploy; asks for the rest, by the stream's id and its offset
	away     fate = "away"     // cut by the deploy, and never comes back; its answer is completed nevertheless
	graced   fate = "graced"   // cut by the deploy, and never comes back; the gateway gives its answer up
	keyless  fate = "keyless"  // cut by the deploy; had no key, so that it buys the answer again
	cancels  fate = "cancels"  // has seen enough, and says so
	upstream fate = "upstream" // its provider fails in mid-answer; it asks again
	killed   fate = "killed"   // the gateway is killed while it reads; it asks again
)

// cut says if the deploy cuts an agent off.
func (f fate) cut() bool {
	switch f {
	case byKey, byID, away, graced, keyless:
		return true
	}
	return false
}

const (
	large = "gpt-5.5"
	small = "gpt-5.5-mini"
)

// role is a number of agents that do the same.
type role struct {
	agents int
	model  string
	fate   fate
	calls  int // the last gives the answer; those before ask for a tool
	kib    int // what they send: instructions, documents, code
	answer int // tokens that can be read
	hidden int // tokens of reasoning before them
}

// cast is everybody. Two thirds of the 24 are cut by the deploy.
var cast = []role{
	{agents: 2, model: large, fate: steady, calls: 3, kib: 24, answer: 600, hidden: 120},
	{agents: 1, model: small, fate: steady, calls: 1, kib: 16, answer: 500},

	{agents: 4, model: large, fate: byKey, calls: 1, kib: 20, answer: 1000, hidden: 160},
	{agents: 1, model: large, fate: byKey, calls: 3, kib: 28, answer: 800, hidden: 80},
	{agents: 2, model: small, fate: byKey, calls: 2, kib: 20, answer: 900},
	{agents: 3, model: large, fate: byID, calls: 1, kib: 16, answer: 1100, hidden: 120},
	{agents: 1, model: small, fate: byID, calls: 1, kib: 24, answer: 900},
	{agents: 1, model: large, fate: away, calls: 1, kib: 12, answer: 500, hidden: 60},
	{agents: 1, model: small, fate: away, calls: 1, kib: 20, answer: 600},
	{agents: 1, model: large, fate: graced, calls: 1, kib: 12, answer: 1000, hidden: 100},
	{agents: 1, model: small, fate: graced, calls: 1, kib: 16, answer: 1000},
	{agents: 1, model: large, fate: keyless, calls: 1, kib: 12, answer: 600},

	{agents: 1, model: large, fate: cancels, calls: 1, kib: 12, answer: 800},
	{agents: 1, model: large, fate: upstream, calls: 1, kib: 12, answer: 600},

	{agents: 1, model: large, fate: killed, calls: 1, kib: 12, answer: 600, hidden: 60},
	{agents: 2, model: small, fate: killed, calls: 1, kib: 20, answer: 700},
}

// count is how many agents there are of whom it is true.
func count(is func(role) bool) (n int) {
	for _, r := range cast {
		if is(r) {
			n += r.agents
		}
	}
	return n
}

// size is how many agents there are.
func size() int { return count(func(role) bool { return true }) }
