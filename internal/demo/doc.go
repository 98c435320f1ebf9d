// Package demo shows, with nothing but this machine, what Recoup is for: an
// agent is killed with SIGKILL in the middle of an answer, and a new one comes
// back to the same answer.
//
// The provider is the simulator; it and the gateway run in this process, on
// free loopback ports, with a data directory that is removed at the end. The
// agents are processes of their own ([Agent]), since only a process can be
// killed without a chance to tidy up. There are three, one after the other:
// the first is killed; the second makes the same call again, with the same
// Idempotency-Key, and reads the answer from its start; the third reads by id
// and offset only what the first had missed.
//
// What is claimed at the end is checked, and [Run] fails if it isn't so:
//
//   - The bytes that the second agent read, and those of the first joined with
//     those of the third, equal the bytes that the provider sent. A witness
//     between the provider and its socket keeps these; the gateway has no part
//     in it.
//   - The provider was called once, by its own bill.
//
// Limits: one call of one dialect; and the gateway itself is not killed here.
package demo
