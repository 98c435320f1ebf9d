// Package bench measures Recoup against what it is compared with, in one run
// on one machine: the stream log against a plain file and against simpler uses
// of Badger, and the gateway against a plain reverse proxy and against no proxy
// at all.
//
// What it guarantees:
//
//   - Competitors are measured in turns, round after round, and compared within
//     a round; a figure is the median of the rounds. So a ratio stands where an
//     absolute figure depends on the hour.
//   - What is measured is also checked: each relayed body is compared byte by
//     byte with what the provider sends without a proxy, and of each log a sample of streams
//     is read back after it was closed and opened again. A difference is an
//     error of Run, not a figure.
//   - Provider, proxy and gateway are processes of their own, so that CPU and
//     memory are of one of them and not of the load. They live on loopback, end
//     with Run, however it ends, and leave no files.
//
// Limits: the load is generated on the machine that is measured, so on a small
// one events/s says how all of them share it; CPU per event is the figure to
// trust. Append figures include the load. CPU and memory of processes are
// read from /proc, and are not there on systems without it.
package bench
