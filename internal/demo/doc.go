// Package demo shows what the gateway is for, in a quarter of a minute and without
// a key or a network: 24 agents work through it when a deploy cuts most of them off
// in mid-answer, and then the gateway itself is killed. At the end it shows what
// was paid, what of it was of use, what the resumes saved, and whether the books
// agree with the bill of a provider that the gateway did not write.
//
//	cast.go      who the agents are, and what happens to them: data
//	plan.go      the seed's part: where each is cut, and when it returns
//	agent.go     an agent: a program that makes calls and reads answers
//	call.go      one call, and its answer
//	show.go      the acts, in order
//	child.go     the gateway's process
//	admin.go     what its admin plane says
//	bill.go      the provider's bill
//	report.go    all figures, as JSON
//	verdict.go   whether they are right
//	table.go     all figures, for people
//
// The same agents can keep a gateway of somebody else's busy, for as long as it
// runs, so that there is something to see on its dashboards:
//
//	traffic.go   so many of them, and a deploy now and then
//	regulars.go  what they ask for, and what happens to them: data
//	regular.go   one of them
//
// The provider is internal/simulator in this process, which keeps its own bill.
// The gateway is a process of its own, so that it can be killed. The agents are
// goroutines with HTTP clients of their own; they know nothing but HTTP.
//
// # What a seed repeats
//
// Who is cut where, all answers and their lengths, and so all figures after the
// reconciliation. Not repeated are ids, times, and what the gateway estimates
// before it has the bill, which it learns from answers in the order of their end.
package demo
