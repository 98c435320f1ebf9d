package streamlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dgraph-io/badger/v4"
)

func TestSecondProcessIsLockedOut(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, testOptions(t))
	if _, err := Open(dir, testOptions(t)); !errors.Is(err, ErrLocked) {
		t.Errorf("second open: %v", err)
	}
	s := create(t, l) // the first one isn't disturbed
	appendEvents(t, s, 0, 3)
	s.Release()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	l = openLog(t, dir, testOptions(t))
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func TestUnwritableDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file, testOptions(t)); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("open below a file: %v", err)
	}
	if os.Getuid() == 0 {
		t.Skip("root may write anywhere")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, testOptions(t)); !errors.Is(err, os.ErrPermission) {
		t.Errorf("open in a directory without permission: %v", err)
	}
}

// onlyBucket opens the one bucket of a closed log.
func onlyBucket(t *testing.T, dir string, fn func(*badger.Txn) error) {
	t.Helper()
	starts, err := bucketStarts(filepath.Join(dir, "log"))
	if err != nil || len(starts) != 1 {
		t.Fatalf("buckets %v, %v", starts, err)
	}
	b, err := openBucket(bucketDir(filepath.Join(dir, "log"), starts[0]), starts[0], testOptions(t), false)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.db.Update(fn), b.close()); err != nil {
		t.Fatal(err)
	}
}

func TestAnotherFormatIsRefused(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, testOptions(t))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	onlyBucket(t, dir, func(txn *badger.Txn) error {
		return txn.Set(metaFormat, append(binary.BigEndian.AppendUint32(nil, formatVersion+1), 0))
	})
	if _, err := Open(dir, testOptions(t)); err == nil || !strings.Contains(err.Error(), "format 0000000200") {
		t.Errorf("format 2: %v", err)
	}
}

func TestEncryption(t *testing.T) {
	if !inChild(t) {
		return
	}
	dir, secret := t.TempDir(), []byte("a word that nobody may read")
	opts := testOptions(t)
	opts.EncryptionKey = bytes.Repeat([]byte{7}, 32)
	l := openLog(t, dir, opts)
	s := create(t, l)
	for range 200 {
		if err := s.Append([]Event{{Data: secret}}); err != nil {
			t.Fatal(err)
		}
	}
	finish(t, s)
	id := s.Header().ID
	s.Release()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		for _, word := range []string{string(secret), "that nobody", "chat/completions"} {
			if bytes.Contains(b, []byte(word)) {
				t.Errorf("%s shows %q", path, word)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	other := opts
	for _, key := range [][]byte{nil, bytes.Repeat([]byte{8}, 32), bytes.Repeat([]byte{7}, 16)} {
		other.EncryptionKey = key
		if _, err := Open(dir, other); err == nil || !strings.Contains(err.Error(), "another encryption key") {
			t.Errorf("key %x: %v", key, err)
		}
	}
	other.EncryptionKey = []byte("short")
	if _, err := Open(t.TempDir(), other); err == nil {
		t.Error("a key of 5 bytes was taken")
	}
	l = openLog(t, dir, opts)
	defer l.Close()
	if s, err = l.Get(alice, id); err != nil {
		t.Fatal(err)
	}
	defer s.Release()
	if got, err := readAll(t, s, 0); err != io.EOF || !bytes.Equal(got, bytes.Repeat(secret, 200)) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestHalfMadeAndHalfRemovedBuckets(t *testing.T) {
	dir := t.TempDir()
	root := filepath.Join(dir, "log")
	for _, d := range []string{"1700000000000", "1700000000001.gone"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, d, "000001.vlog"), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "1700000000000.creating"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l := openLog(t, dir, testOptions(t))
	defer l.Close()
	if n := l.Stats().Buckets; n != 1 {
		t.Errorf("%d buckets", n)
	}
	left, err := filepath.Glob(filepath.Join(root, "17000*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestDiskFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var free atomic.Uint64
		free.Store(1000)
		opts := testOptions(t)
		opts.MinFree = 100
		opts.FreeBytes = func(string) (uint64, error) { return free.Load(), nil }
		dir := t.TempDir()
		l := openLog(t, dir, opts)
		s := create(t, l)
		appendEvents(t, s, 0, 2)

		set := func(n uint64) {
			free.Store(n)
			<-time.After(1100 * time.Millisecond) // of the bubble's clock
			synctest.Wait()
		}
		set(99)
		if _, err := l.Create(Header{}); err != ErrDiskFull || !l.Full() {
			t.Errorf("create: %v, full %v", err, l.Full())
		}
		appendEvents(t, s, 2, 4) // what has begun goes on
		set(49)
		if err := s.Append([]Event{{Data: []byte("x")}}); err != ErrDiskFull {
			t.Errorf("append: %v", err)
		}
		if _, err := s.Attach(Attachment{Via: "id"}); err != nil {
			t.Errorf("attach: %v", err)
		}
		if _, err := s.Finish(End{State: Interrupted, Cause: "disk_full"}); err != nil {
			t.Errorf("finish: %v", err)
		}
		if got, err := readAll(t, s, 0); err != io.EOF || !bytes.Equal(got, bodyOf(0, 4)) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		set(1000)
		create(t, l).Release()
		s.Release()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		free.Store(49)
		if _, err := Open(dir, opts); !errors.Is(err, ErrDiskFull) {
			t.Errorf("open: %v", err)
		}
		opts.FreeBytes = func(string) (uint64, error) { return 0, io.ErrUnexpectedEOF }
		if _, err := Open(dir, opts); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("open where free space can't be measured: %v", err)
		}
	})
}
