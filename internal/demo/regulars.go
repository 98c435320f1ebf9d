package demo

import "math/rand/v2"

// regulars are the agents of the traffic. How many there are of a role says how
// often it is played.
var regulars = []role{
	{agents: 36, model: large, fate: steady, calls: 1, kib: 6, answer: 450, hidden: 60},
	{agents: 10, model: large, fate: steady, calls: 3, kib: 10, answer: 400, hidden: 40},
	{agents: 24, model: small, fate: steady, calls: 1, kib: 8, answer: 350},

	{agents: 8, model: large, fate: byKey, calls: 1, kib: 8, answer: 500, hidden: 60},
	{agents: 5, model: small, fate: byKey, calls: 2, kib: 8, answer: 400},
	{agents: 4, model: large, fate: byID, calls: 1, kib: 6, answer: 500, hidden: 40},
	{agents: 2, model: large, fate: away, calls: 1, kib: 4, answer: 500, hidden: 40},
	{agents: 2, model: small, fate: away, calls: 1, kib: 6, answer: 500},
	{agents: 2, model: large, fate: keyless, calls: 1, kib: 4, answer: 400},
	{agents: 1, model: small, fate: keyless, calls: 1, kib: 6, answer: 400},

	{agents: 3, model: large, fate: cancels, calls: 1, kib: 4, answer: 500},
	{agents: 2, model: small, fate: upstream, calls: 1, kib: 6, answer: 400},
	{agents: 1, model: large, fate: upstream, calls: 1, kib: 4, answer: 400},
}

// teams are whose agents these are. The last is not touched by deploys.
var teams = []string{"search", "support", "research"}

// job is a plan that the seed draws from roles. Its answer is half to one and a half
// times as long as the role's.
func job(roles []role, number int, seed uint64, run string) *plan {
	random := rand.New(rand.NewPCG(^seed, uint64(number)))
	total := 0
	for _, r := range roles {
		total += r.agents
	}
	drawn := random.IntN(total)
	for _, r := range roles {
		if drawn -= r.agents; drawn < 0 {
			r.answer = r.answer/2 + random.IntN(r.answer)
			return draw(r, number, seed, run)
		}
	}
	panic("demo: no role was drawn") // drawn is below the total
}
