package ledger

import (
	"errors"
	"fmt"

	"github.com/recoup-gateway/recoup/pricing"
)

// Errors that callers tell apart with errors.Is.
var (
	ErrNotFound  = errors.New("ledger: not found")
	ErrPosted    = errors.New("ledger: posted already, with other content")
	ErrNoBill    = errors.New("ledger: no bill")
	ErrRevision  = errors.New("ledger: revision out of turn")
	ErrInvalid   = errors.New("ledger: invalid posting")
	ErrImbalance = errors.New("ledger: posting doesn't balance") // as *Imbalance
	ErrLocked    = errors.New("ledger: in use by another process")
	ErrDamaged   = errors.New("ledger: damaged")
	ErrReadOnly  = errors.New("ledger: opened to be read only")
	ErrClosed    = errors.New("ledger: closed")
	// ErrSummarised: the month that it is of was summarised.
	ErrSummarised = errors.New("ledger: of a month that was summarised")
	// ErrStop ends an iteration when its function returns it; the iteration returns nil.
	ErrStop = errors.New("ledger: stop")
)

// Imbalance is why a posting was refused: its outcomes sum to more than its bill
// (positive) or to less (negative).
type Imbalance struct {
	Attempt AttemptID
	Tokens  int64
	Amount  pricing.Picodollars
}

func (e *Imbalance) Error() string {
	return fmt.Sprintf("%v: outcomes of %s less its bill: %d tokens, %s dollars", ErrImbalance, e.Attempt, e.Tokens, e.Amount)
}

// Is makes every Imbalance an ErrImbalance.
func (e *Imbalance) Is(target error) bool { return target == ErrImbalance }

// Damage is one thing that is wrong with the stored books.
type Damage struct {
	Seq     uint64    // of the entry; 0: not that of one
	Attempt AttemptID // the zero value: not known, or of no one
	File    string    // or where else; Byte is -1 if it isn't known
	Byte    int64
	What    string
}

func (d Damage) String() string {
	switch {
	case d.Seq != 0 && d.Attempt != AttemptID{}:
		return fmt.Sprintf("entry %d, attempt %s: %s", d.Seq, d.Attempt, d.What)
	case d.Seq != 0:
		return fmt.Sprintf("entry %d: %s", d.Seq, d.What)
	case d.Attempt != AttemptID{}:
		return fmt.Sprintf("attempt %s: %s", d.Attempt, d.What)
	case d.File != "" && d.Byte >= 0:
		return fmt.Sprintf("%s, byte %d: %s", d.File, d.Byte, d.What)
	case d.File != "":
		return fmt.Sprintf("%s: %s", d.File, d.What)
	}
	return d.What
}

// damagedf returns an ErrDamaged that says what.
func damagedf(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrDamaged}, args...)...)
}
