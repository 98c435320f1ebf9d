package audit

import (
	"cmp"
	"slices"
	"strings"

	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/pricing"
)

// sum is what is being added up of an account.
type sum struct {
	tokens int64
	amount pricing.Sum
}

func (s *sum) add(b ledger.Balance) {
	if !b.Kind.IsTool() {
		s.tokens += b.Tokens
	}
	s.amount = s.amount.Plus(b.Amount)
}

// accountOf is the account that a balance is a part of, without its figures; ok:
// it is one that money is on, and neither the provider's nor a memo.
func accountOf(b ledger.Balance) (a Account, ok bool) {
	a = Account{Provider: b.Provider, Model: b.Model, Direction: "input"}
	if b.Kind.IsOutput() {
		a.Direction = "output"
	}
	family, rest, _ := strings.Cut(b.Account, "/")
	switch family {
	case pending:
		a.Outcome = pending
	case "input", "output":
		a.Outcome, a.Cause, _ = strings.Cut(rest, "/")
	default:
		return a, false
	}
	return a, true
}

// sorted are the accounts with something on them, in the order of their names.
func sorted(sums map[Account]*sum) []Account {
	all := []Account{}
	for a, s := range sums {
		if s.tokens != 0 || s.amount.Sign() != 0 {
			a.Tokens, a.USD = s.tokens, s.amount
			all = append(all, a)
		}
	}
	slices.SortFunc(all, func(a, b Account) int {
		return cmp.Or(cmp.Compare(a.Provider, b.Provider), cmp.Compare(a.Model, b.Model),
			cmp.Compare(a.Direction, b.Direction), cmp.Compare(a.Outcome, b.Outcome), cmp.Compare(a.Cause, b.Cause))
	})
	return all
}
