// Package ledgertest has what tests of several packages do with the books.
package ledgertest

import (
	"testing"

	"github.com/recoup-gateway/recoup/internal/ledger"
)

// Open opens real books in a directory, and closes them when the test is over.
func Open(t testing.TB, dir string) *ledger.Ledger {
	t.Helper()
	l, err := ledger.Open(dir, ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}
