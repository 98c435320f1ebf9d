package bench

import (
	"encoding/json"
	"fmt"
	"io"
)

// Report is what a run has found.
type Report struct {
	Machine  Machine        `json:"machine"`
	Quick    bool           `json:"quick"`
	Rounds   int            `json:"rounds"`
	Seconds  float64        `json:"seconds"`
	Append   []AppendResult `json:"append,omitempty"`
	Replay   *ReplayResult  `json:"replay,omitempty"`
	Flat     []FlatResult   `json:"flat,omitempty"`
	Relay    []RelayResult  `json:"relay,omitempty"`
	Idle     []IdleResult   `json:"idle,omitempty"`
	Books    []RelayResult  `json:"books,omitempty"`
	Targets  []Target       `json:"targets"`
	Verified Verified       `json:"verified"`
}

// Machine is where it ran.
type Machine struct {
	CPUs int    `json:"cpus"`
	OS   string `json:"os"`
	Arch string `json:"arch"`
	Go   string `json:"go"`
}

// Verified is what was compared byte by byte, and was equal.
type Verified struct {
	Streams int64 `json:"streams"`
	Events  int64 `json:"events"`
	Bytes   int64 `json:"bytes"`
}

// Target is a figure that the design asks for.
type Target struct {
	What     string  `json:"what"`
	Measured float64 `json:"measured"`
	AtLeast  float64 `json:"at_least,omitempty"` // one of these two is set
	AtMost   float64 `json:"at_most,omitempty"`
	Unit     string  `json:"unit"`  // "×" for a ratio
	Known    bool    `json:"known"` // false: it can't be measured on this system
	OK       bool    `json:"ok"`
}

// Missed are the targets that were measured and not reached.
func (r *Report) Missed() []Target {
	var missed []Target
	for _, t := range r.Targets {
		if t.Known && !t.OK {
			missed = append(missed, t)
		}
	}
	return missed
}

func atLeast(what string, measured, limit float64) Target {
	return Target{What: what, Measured: measured, AtLeast: limit, Unit: "×", Known: measured > 0, OK: measured >= limit}
}

func atMost(what string, measured, limit float64) Target {
	return Target{What: what, Measured: measured, AtMost: limit, Unit: "×", Known: measured > 0, OK: measured <= limit}
}

// stillFlat is the ratio up to which two costs count as equal: the spread of a
// small machine between two windows.
const stillFlat = 1.25

// targets are those of the parts that ran.
func (r *Report) targets() []Target {
	var ts []Target
	if len(r.Append) > 0 {
		perSecond := func(a appendRound) float64 { return a.perSecond }
		cpu := func(a appendRound) float64 { return a.cpu }
		file, txn, ours := r.engine(nameFile, false), r.engine(nameTxn, false), r.engine(nameLog, false)
		ts = append(ts,
			atLeast("append, events/s against a file", medianRatio(ours, file, perSecond), .5),
			atMost("append, CPU per event against a file", medianRatio(ours, file, cpu), 1.8),
			atLeast("append, events/s against a transaction per event", medianRatio(ours, txn, perSecond), 4),
			atLeast("the same, with sync_writes", medianRatio(r.engine(nameLog, true), r.engine(nameTxn, true), perSecond), 50),
			atMost("append, bytes on disk per payload byte", medianOf(ours, func(a appendRound) float64 { return a.disk }), .6))
	}
	if r.Replay != nil {
		t := atMost(fmt.Sprintf("replay of %d events, p50", r.Replay.Events), r.Replay.P50, 5)
		t.Unit = "ms"
		ts = append(ts, t)
	}
	for _, f := range r.Flat {
		ts = append(ts, atMost(f.What+": "+f.Cost, f.Ratio, stillFlat))
	}
	ts = append(ts, r.relayTargets()...)
	if len(r.Books) > 0 {
		cpu := func(a relayRound) float64 { return a.cpu }
		ts = append(ts, atMost("books, CPU of whole paced answers against none", medianRatio(r.Books[1].rounds, r.Books[0].rounds, cpu), 1.05))
	}
	return ts
}

func (r *Report) relayTargets() []Target {
	if len(r.Relay) == 0 {
		return nil
	}
	perSecond := func(a relayRound) float64 { return a.perSecond }
	cpu := func(a relayRound) float64 { return a.cpu }
	out, paced := r.relayed(loadFlatOut, nameGateway), r.relayed(loadPaced, nameGateway)
	added := atMost("relay paced, added at p50", paced.AddedP50, 1)
	added.Unit, added.Known = "ms", true
	return []Target{
		atLeast("relay flat out, events/s against a reverse proxy", medianRatio(out.rounds, r.relayed(loadFlatOut, nameProxy).rounds, perSecond), .6),
		atMost("relay flat out, CPU per event against a reverse proxy", medianRatio(out.rounds, r.relayed(loadFlatOut, nameProxy).rounds, cpu), 2.2),
		atMost("relay paced, CPU per event against a reverse proxy", medianRatio(paced.rounds, r.relayed(loadPaced, nameProxy).rounds, cpu), 1.4),
		added,
	}
}

func (r *Report) engine(name string, synced bool) []appendRound {
	for _, a := range r.Append {
		if a.Engine == name && a.SyncWrites == synced {
			return a.rounds
		}
	}
	return nil
}

func (r *Report) relayed(load, target string) RelayResult {
	for _, a := range r.Relay {
		if a.Load == load && a.Target == target {
			return a
		}
	}
	return RelayResult{}
}

// WriteJSON writes the report as JSON.
func (r *Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}
