package books

import "github.com/recoup-gateway/recoup/pricing"

// Kinds of overhead. Crash is the third.
const (
	Retry     = "retry"     // the gateway added the attempt
	Unclaimed = "unclaimed" // generated without an owner, for nobody
)

// Overhead is what the gateway cost: a part of what is wasted and lost, and with the
// whole bill of its input too. Tokens are of the output.
type Overhead struct {
	Kind   string
	Tokens int64
	Amount pricing.Picodollars
}

// burden works out the overhead, and the net of it.
func (a *Account) burden(b *Books) error {
	o := a.overhead(b)
	if o.Tokens != 0 || o.Amount != 0 {
		b.Overhead = []Overhead{o}
	}
	net, err := b.Saved.Input.Plus(b.Saved.Output)
	if err != nil {
		return err
	}
	b.Net, err = net.Plus(-o.Amount)
	return err
}

func (a *Account) overhead(b *Books) Overhead {
	f := &a.history.Facts
	switch {
	case a.killedOff, !a.delivered && a.brokeByGateway():
		return a.whole(b, Crash)
	case f.Retry:
		return a.whole(b, Retry)
	case !a.delivered && f.Streamed && f.OnCancel != BilledInFull:
		tokens := a.pos.tokens(a.alone)
		if a.cause == Cancelled {
			tokens = tokens.minus(a.pos.tokens(a.written())) // they are delivered
		}
		return Overhead{Unclaimed, tokens.total(), a.cost(b.OutputAmount, tokens)}
	}
	return Overhead{}
}

// brokeByGateway says if the last break was none of the client's.
func (a *Account) brokeByGateway() bool {
	n := len(a.breaks)
	return n > 0 && a.breaks[n-1].cause != Client
}

// whole is the bill if nothing was delivered, else what is wasted and lost of it.
func (a *Account) whole(b *Books, kind string) Overhead {
	o := Overhead{Kind: kind}
	for _, r := range b.Outcomes {
		if r.Outcome != Delivered {
			o.Tokens += r.Tokens
			o.Amount += r.Amount
		}
	}
	if b.InputOutcome != Delivered {
		o.Amount += b.InputAmount // part of b.Bill
	}
	return o
}
