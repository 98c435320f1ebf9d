// Package incident finds incidents by themselves, and makes the figures of those that
// are over final.
//
//	rule.go   when breaks are an incident, and of which kind
//	open.go   how many streams were open at a time
//	watch.go  beside a running gateway: what was found is posted, what is over made final
//
// # The rule
//
// Breaks that follow each other within Window belong together. Where they are densest,
// with what is at least a quarter as dense around it, they are an incident
//
//   - a client's deploy: where the clients of at least Streams streams broke off, that
//     is Times as many as in the hour before came in such a time, and at least Streams of
//     those that one caller had open when it began, or that all had, and Share of them;
//   - a provider's failure: where it failed as many, likewise, of the streams that it
//     was answering in that time;
//   - a restart of the gateway: where at least two broke by its doing;
//   - the network: where clients and a provider, or several providers, broke off at once.
//
// What tells a deploy from closed tabs is the share: of a process that ends, all
// streams break within seconds; of users who close tabs, a few of many do. What a
// caller is, its credential tells.
//
// # Limits
//
// A break is known once the bill of its attempt is posted: when the attempt has ended,
// at the latest after the grace. So an incident is found up to about a minute late,
// and its end may move until it is final.
package incident
