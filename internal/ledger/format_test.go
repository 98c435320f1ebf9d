package ledger

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"
)

// TestFormat posts the attempt of the package's documentation and compares each
// byte of its first entry: an auditor's own program relies on them.
func TestFormat(t *testing.T) {
	l := open(t, t.TempDir())
	p := example(1)
	p.Attempt.Tags, p.Attempt.AskedModel, p.Attempt.ResponseID, p.Attempt.ServiceTier = nil, "", "", ""
	p.Evidence = json.RawMessage(`{}`)
	post(t, l, p)
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	flat := strings.NewReplacer("\n", "", "//", "", "\t", "").Replace(string(doc))
	var prev Hash
	for seq := uint64(1); seq <= 2; seq++ {
		var e *entry
		if err := l.db.View(func(txn *badger.Txn) (err error) { e, err = readEntry(txn, seq); return err }); err != nil {
			t.Fatal(err)
		}
		e.Posted = 1_763_880_011_000
		body, err := e.encode()
		if err != nil {
			t.Fatal(err)
		}
		prev = chain(prev, seq, body)
		if want := hex.EncodeToString(prev[:]) + " " + string(body); !strings.Contains(flat, want) {
			t.Errorf("not in the documentation:\n%s", want)
		}
	}
}
