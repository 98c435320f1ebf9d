package proof

import (
	"time"

	"github.com/recoup-gateway/recoup/internal/streamlog"
)

// Proof is what Verify has found.
type Proof struct {
	Dir     string        `json:"dir"`
	Began   time.Time     `json:"began"`
	Took    time.Duration `json:"took_ns"`
	Live    bool          `json:"in_use"` // by a process, while it was read
	Proved  bool          `json:"proved"`
	Damages uint64        `json:"damages"`
	Damaged []Damage      `json:"damaged"` // the first of them

	Files  Files       `json:"files"`
	Log    LogProof    `json:"log"`
	Ledger LedgerProof `json:"ledger"`
	Money  MoneyProof  `json:"money"`
	Usage  UsageProof  `json:"usage"`
}

// Damage is one thing that is not what it was. It has those members that are known.
type Damage struct {
	Part    string `json:"part"` // "files", "log", "ledger", "money", "usage"
	File    string `json:"file,omitempty"`
	Byte    *int64 `json:"byte,omitempty"` // of the file, or of the stream's content
	Stream  string `json:"stream,omitempty"`
	Attempt string `json:"attempt,omitempty"`
	Event   *int64 `json:"event,omitempty"`
	Entry   uint64 `json:"entry,omitempty"` // of the ledger
	What    string `json:"what"`
	Text    string `json:"text"` // all of it in a line
}

// maxDamaged is how many damages are listed. All are counted.
const maxDamaged = 1000

// Files is what was read.
type Files struct {
	Number int   `json:"number"`
	Bytes  int64 `json:"bytes"`
}

// LogProof is what is proved of the stream log.
type LogProof struct {
	Buckets int    `json:"buckets"`
	Groups  uint64 `json:"journal_groups"`
	Streams uint64 `json:"streams"`
	Open    uint64 `json:"streams_without_end"`
	Events  uint64 `json:"events"`
	Bytes   uint64 `json:"event_bytes"`
}

// LedgerProof is what is proved of the books.
type LedgerProof struct {
	Found      bool   `json:"found"`
	Head       uint64 `json:"head"`
	Hash       string `json:"hash,omitempty"`
	Anchor     uint64 `json:"anchor"`
	Entries    uint64 `json:"entries"`
	Attempts   uint64 `json:"attempts"`
	Pending    uint64 `json:"pending_attempts"`
	Revised    uint64 `json:"revised_attempts"`
	Summarised uint64 `json:"summarised_attempts"` // of which only the sums remain
	Totals     uint64 `json:"balances"`            // that are the sums of their postings
	// Adrift are attempts without outcomes in a directory without a log, as a restore
	// makes it: the next start settles them as damaged.
	Adrift uint64 `json:"pending_without_log,omitempty"`
}

// MoneyProof is how many attempts' amounts were recomputed.
type MoneyProof struct {
	Recomputed uint64            `json:"recomputed"`            // rate × tokens of every kind, exactly
	ByBook     uint64            `json:"by_book"`               // of them those whose rates this program's price book has too
	OtherBooks map[string]uint64 `json:"other_books,omitempty"` // of them those of price books that it doesn't have, by version
	Unpriced   uint64            `json:"unpriced"`              // attempts without a rate
}

// UsageProof is how many attempts' usage was read again from what the provider sent.
type UsageProof struct {
	Reread    uint64 `json:"read_again"`       // and is what the bill says
	Estimated uint64 `json:"nothing_reported"` // the provider said nothing, and the books say that they estimate
	Unread    uint64 `json:"unread"`           // a refusal, encoded, or too large to be read twice
	Waiting   uint64 `json:"not_billed_yet"`
	Free      uint64 `json:"nothing_to_bill"`
	Gone      uint64 `json:"content_expired"` // can't be reproduced any more
}

func (p *Proof) add(d Damage) {
	p.Damages++
	if d.Text == "" {
		d.Text = d.What
	}
	if len(p.Damaged) < maxDamaged {
		p.Damaged = append(p.Damaged, d)
	}
}

func (p *Proof) addLog(d streamlog.Damage) {
	out := Damage{Part: "log", File: d.File, What: d.What, Text: d.String()}
	if (d.Stream != streamlog.ID{}) {
		event, offset := int64(d.Event), int64(d.Offset)
		out.Stream, out.Event, out.Byte = d.Stream.String(), &event, &offset
	} else if d.Byte >= 0 {
		out.Byte = &d.Byte
	}
	p.add(out)
}
