package gateway_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"github.com/recoup-gateway/recoup/internal/simulator"
	"github.com/recoup-gateway/recoup/internal/streamlog"
)

// TestDamagedStreamIsNotContinued: an answer that is damaged in its middle is given to
// nobody, and does not tie the key to it: the call is a new one.
func TestDamagedStreamIsNotContinued(t *testing.T) {
	for name, h := range map[string]header{
		"by key":  keyed,
		"by auto": {"Recoup-Resume": "auto"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			body := noisyAnswer(400)
			play := simulator.Script{Replay: &simulator.Replay{Data: body, ContentType: "text/event-stream"}}
			s.sim.Next(play)
			first := s.do(http.MethodPost, chatPath, chatBody, h)
			readUntil(t, first.Body, len(body)/4)
			first.Body.Close()
			s.awaitState(first.Header.Get("Recoup-Stream-Id"), streamlog.Completed)
			s.stop()
			loseBlock(t, s.dir)
			s.start()

			s.sim.Next(play)
			again, got := s.must(200, http.MethodPost, chatPath, chatBody, h)
			sameBytes(t, "the new answer", got, body)
			if resumed := again.Header.Get("Recoup-Resumed"); !strings.HasPrefix(resumed, "no") || s.sim.Calls() != 2 {
				t.Errorf("Recoup-Resumed: %s, %d calls", resumed, s.sim.Calls())
			}
		})
	}
}

// noisyAnswer is a complete answer that can't be compressed away.
func noisyAnswer(events int) []byte {
	var b strings.Builder
	noise := make([]byte, 1<<10)
	for range events {
		_, _ = rand.Read(noise)
		fmt.Fprintf(&b, `data: {"id":"c","choices":[{"index":0,"delta":{"content":" the"},"finish_reason":null}],"obfuscation":"%x"}`+"\n\n", noise)
	}
	b.WriteString(`data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\ndata: [DONE]\n\n")
	return []byte(b.String())
}

// loseBlock takes one block of content out of the middle of the only stream in the
// log, whose layout streamlog keeps to itself: blocks are under a C.
func loseBlock(t *testing.T, dir string) {
	t.Helper()
	buckets, err := filepath.Glob(filepath.Join(dir, "log", "*"))
	if err != nil {
		t.Fatal(err)
	}
	lost := false
	for _, name := range buckets {
		if i, err := os.Stat(name); err != nil || !i.IsDir() {
			continue
		}
		db, err := badger.Open(badger.DefaultOptions(name).WithLoggingLevel(badger.ERROR))
		if err != nil {
			t.Fatal(err)
		}
		err = errors.Join(db.Update(func(txn *badger.Txn) error {
			var blocks [][]byte
			it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte("C")})
			for it.Rewind(); it.Valid(); it.Next() {
				blocks = append(blocks, it.Item().KeyCopy(nil))
			}
			it.Close()
			if len(blocks) < 4 {
				return nil
			}
			lost = true
			return txn.Delete(blocks[len(blocks)/2])
		}), db.Close())
		if err != nil {
			t.Fatal(err)
		}
	}
	if !lost {
		t.Fatal("there are no blocks")
	}
}
