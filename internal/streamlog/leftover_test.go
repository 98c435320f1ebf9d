package streamlog

import (
	"os"
	"path/filepath"
	"testing"
)

// TestLeftoverTable: a process that is killed while Badger makes a table leaves a
// part of one, which the manifest doesn't list. It is no damage.
func TestLeftoverTable(t *testing.T) {
	dir, opts := t.TempDir(), testOptions(t)
	l := openLog(t, dir, opts)
	s := create(t, l)
	appendEvents(t, s, 0, 10)
	if _, err := s.Finish(End{State: Completed}); err != nil {
		t.Fatal(err)
	}
	id := s.Header().ID
	s.Release()
	bucket := l.buckets[0].dir
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	leftover := filepath.Join(bucket, "000099.sst")
	for _, half := range [][]byte{nil, make([]byte, 5000)} {
		if err := os.WriteFile(leftover, half, 0o600); err != nil {
			t.Fatal(err)
		}
		l = openLog(t, dir, opts)
		if _, err := l.Get(alice, id); err != nil {
			t.Errorf("beside %d bytes of a table: %v", len(half), err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(leftover); err == nil {
			t.Errorf("%d bytes of a table are still there", len(half))
		}
	}
}
