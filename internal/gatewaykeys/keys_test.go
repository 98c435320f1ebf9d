package gatewaykeys

import (
	"bytes"
	"errors"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func create(t *testing.T, s *Store, n New) (Key, string) {
	t.Helper()
	k, secret, err := s.Create(n)
	if err != nil {
		t.Fatal(err)
	}
	return k, secret
}

func TestKeysOutliveTheProcess(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	k, secret := create(t, s, New{Name: "ci", Tags: map[string]string{"team": "search"}, Resume: ResumeOff})
	other, otherSecret := create(t, s, New{Name: "ci"})
	if !strings.HasPrefix(secret, "rk_") || len(secret) != 46 || secret == otherSecret || k.ID == other.ID {
		t.Fatalf("%q and %q, %s and %s", secret, otherSecret, k.ID, other.ID)
	}
	if _, err := s.Revoke(other.ID); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Store{s, open(t, dir)} {
		got, err := s.Use(secret)
		if err != nil || got.ID != k.ID || got.Name != "ci" || !maps.Equal(got.Tags, k.Tags) || got.Resume != ResumeOff || got.Used != time.Now().UTC().Format(time.DateOnly) {
			t.Errorf("%+v, %v", got, err)
		}
		if got, err := s.Use(otherSecret); !errors.Is(err, ErrRevoked) || got.ID != other.ID {
			t.Errorf("a revoked key: %+v, %v", got, err)
		}
		for _, none := range []string{"", "rk_", secret[:len(secret)-1], secret + "x", "sk-other"} {
			if _, err := s.Use(none); !errors.Is(err, ErrUnknown) {
				t.Errorf("%q: %v", none, err)
			}
		}
		if n := len(s.List()); n != 2 {
			t.Errorf("%d keys", n)
		}
	}
	path := filepath.Join(dir, fileName)
	data, err := os.ReadFile(path)
	if err != nil || bytes.Contains(data, []byte(secret[3:])) {
		t.Errorf("the key is in the file, or %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if left, _ := filepath.Glob(path + ".*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestExpiry(t *testing.T) {
	s := open(t, t.TempDir())
	now := time.Now()
	s.now = func() time.Time { return now }
	_, secret := create(t, s, New{Name: "short", Expires: now.Add(time.Hour)})
	if _, err := s.Use(secret); err != nil {
		t.Error(err)
	}
	now = now.Add(time.Hour)
	if _, err := s.Use(secret); !errors.Is(err, ErrExpired) {
		t.Errorf("an hour later: %v", err)
	}
}

func TestRefused(t *testing.T) {
	s := open(t, t.TempDir())
	for _, n := range []New{
		{}, {Name: "a\nb"}, {Name: strings.Repeat("x", 129)}, {Name: "x", Resume: "maybe"}, {Name: "x", Expires: time.Now().Add(-time.Hour)},
		{Name: "x", Tags: map[string]string{"": "v"}}, {Name: "x", Tags: map[string]string{"a,b": "v"}},
	} {
		if _, _, err := s.Create(n); !errors.Is(err, ErrInvalid) {
			t.Errorf("%+v: %v", n, err)
		}
	}
	if _, err := s.Revoke("key_none"); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
}

// What can't be stored didn't happen.
func TestUnwritable(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	k, secret := create(t, s, New{Name: "kept"})
	there := s.path
	s.path = filepath.Join(dir, "gone", fileName)
	if _, _, err := s.Create(New{Name: "lost"}); err == nil {
		t.Error("it was created")
	}
	if _, err := s.Use(secret); err != nil {
		t.Errorf("a call fails since the day can't be stored: %v", err)
	}
	for range 2 { // it is said each time that it is not stored
		if _, err := s.Revoke(k.ID); err == nil {
			t.Error("the revocation was stored")
		}
	}
	if _, err := s.Use(secret); !errors.Is(err, ErrRevoked) {
		t.Errorf("a key that was to be revoked: %v", err)
	}
	s.path = there
	if _, err := s.Revoke(k.ID); err != nil {
		t.Error(err)
	}
	if again := open(t, dir); again.List()[0].Revoked.IsZero() {
		t.Error("the revocation was not stored in the end")
	}
	if n := len(s.List()); n != 1 {
		t.Errorf("%d keys", n)
	}
}

func TestDamagedFile(t *testing.T) {
	for _, content := range []string{"", "{", `{"format":2,"keys":[]}`, `{"format":1,"keys":[{"id":"key_1","sha256":"00"}]}`} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, fileName), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%q is taken for keys", content)
		}
	}
}

func TestAtOnce(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			k, secret, err := s.Create(New{Name: "x"})
			if err != nil {
				t.Error(err)
				return
			}
			if got, err := s.Use(secret); err != nil || got.ID != k.ID {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := len(open(t, dir).List()); n != 20 {
		t.Errorf("%d of 20 are stored", n)
	}
}
