package ledger

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

func backup(t *testing.T, l *Ledger) ([]byte, Head) {
	t.Helper()
	var b bytes.Buffer
	head, err := l.Backup(t.Context(), &b)
	if err != nil {
		t.Fatal(err)
	}
	if checked, err := CheckBackup(bytes.NewReader(b.Bytes())); err != nil || checked != head {
		t.Errorf("head %v, checked %v, %v", head, checked, err)
	}
	return b.Bytes(), head
}

func restored(t *testing.T, b []byte) *Ledger {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "new")
	r, err := Restore(t.Context(), bytes.NewReader(b), dir, Options{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	l := open(t, dir)
	if l.Head() != r.Head || r.Anchor != r.Head {
		t.Errorf("head %v, %+v", l.Head(), r)
	}
	verify(t, l)
	return l
}

func TestBackup(t *testing.T) {
	l := open(t, t.TempDir())
	empty, _ := backup(t, l)
	post(t, restored(t, empty), example(1))
	year(t, l)
	for _, when := range []string{"whole", "summarised", "summarised again"} {
		switch when {
		case "summarised":
			if _, err := l.Summarise(t.Context(), month(3)); err != nil {
				t.Fatal(err)
			}
		case "summarised again":
			if _, err := l.Summarise(t.Context(), month(5)); err != nil {
				t.Fatal(err)
			}
		}
		b, head := backup(t, l)
		again := restored(t, b)
		wantBalances, wantTotals := state(l)
		balances, totals := state(again)
		if again.Head() != head || !slices.Equal(balances, wantBalances) || !slices.Equal(totals, wantTotals) {
			t.Errorf("%s: %v, %v; want %v, %v", when, balances, totals, wantBalances, wantTotals)
		}
		n, _ := count(t, l)
		if m, _ := count(t, again); m != n {
			t.Errorf("%s: %d attempts, want %d", when, m, n)
		}
		post(t, again, example(90))
		if when != "whole" {
			if _, err := again.Post(inMonth(1, 1)); !errors.Is(err, ErrSummarised) {
				t.Errorf("%s: %v", when, err)
			}
		}
	}
}

// A backup is of one moment, whatever is posted meanwhile.
func TestBackupWhilePosting(t *testing.T) {
	l := open(t, t.TempDir())
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := 1; ctx.Err() == nil; n++ {
			if _, err := l.Post(example(n)); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for range 5 {
		b, head := backup(t, l)
		if got := restored(t, b).Head(); got != head {
			t.Errorf("head %v, want %v", got, head)
		}
	}
	stop()
	wg.Wait()
}

// A backup that was cut or changed is refused, says where, and leaves nothing.
func TestDamagedBackup(t *testing.T) {
	l := open(t, t.TempDir())
	for n := range 12 {
		post(t, l, example(n+1))
	}
	whole, _ := backup(t, l)
	dir := t.TempDir()
	refused := func(what string, b []byte) {
		t.Helper()
		_, err := Restore(t.Context(), bytes.NewReader(b), dir, Options{Logger: quiet})
		if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "byte ") {
			t.Errorf("%s: %v", what, err)
		}
		if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
			t.Errorf("%s: left are %v, %v", what, files, err)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 25 {
		bad := bytes.Clone(whole)
		bad[r.IntN(len(bad))] ^= 1 << r.IntN(8)
		refused("flipped", bad)
	}
	for _, n := range []int{0, 1, len(backupBegin), len(whole) / 3, len(whole) / 2, len(whole) - len(backupEnd), len(whole) - 1} {
		refused("cut", whole[:n])
	}
	refused("longer", append(bytes.Clone(whole), '\n'))
	made := filepath.Join(dir, "made")
	if _, err := Restore(t.Context(), bytes.NewReader(whole[:100]), made, Options{Logger: quiet}); !errors.Is(err, ErrDamaged) {
		t.Errorf("cut, where there was no directory: %v", err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
		t.Errorf("where there was no directory: left are %v, %v", files, err)
	}
	if _, err := Restore(t.Context(), bytes.NewReader(whole), dir, Options{Logger: quiet}); err != nil {
		t.Error(err)
	}
	if _, err := Restore(t.Context(), bytes.NewReader(whole), dir, Options{Logger: quiet}); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("a second time: %v", err)
	}
}

// A restore that a kill cut off is begun anew.
func TestRestoreAfterKill(t *testing.T) {
	l := open(t, t.TempDir())
	post(t, l, example(1))
	whole, _ := backup(t, l)
	dir := written(t)
	if err := os.WriteFile(filepath.Join(dir, databaseName+suffixMaking), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if r, err := Restore(t.Context(), bytes.NewReader(whole), dir, Options{Logger: quiet}); err != nil || r.Entries != 2 || r.Anchor != r.Head {
		t.Errorf("%+v, %v", r, err)
	}
}
