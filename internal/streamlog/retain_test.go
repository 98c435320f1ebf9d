package streamlog

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// pass lets the bubble's clock run, and all that waits for it.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// settle ends a stream and does what is owed for it.
func settle(t testing.TB, s *Stream) {
	finish(t, s)
	if err := s.Settled(); err != nil {
		t.Error(err)
	}
}

func bucketsOnDisk(t *testing.T, dir string) int {
	t.Helper()
	starts, err := bucketStarts(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	return len(starts)
}

func TestRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := testOptions(t)
		opts.Retention = 4 * time.Minute // a bucket every minute
		dir := t.TempDir()
		l := openLog(t, dir, opts)

		held := create(t, l)
		body := appendEvents(t, held, 0, 300)
		settle(t, held)
		s := create(t, l)
		key := Hash{5}
		keyed, err := l.Create(Header{Principal: alice, Key: key})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []*Stream{s, keyed} {
			appendEvents(t, s, 0, 10)
			settle(t, s)
			s.Release()
		}
		r, err := held.Reader(100)
		if err != nil {
			t.Fatal(err)
		}
		id := s.Header().ID

		pass(4 * time.Minute)
		get := func() error {
			s, err := l.Get(alice, id)
			if err == nil {
				s.Release()
			}
			return err
		}
		if err := get(); err != nil {
			t.Errorf("within the retention: %v", err)
		}
		pass(2 * time.Second)
		if err := get(); err != ErrExpired {
			t.Errorf("after the retention: %v", err)
		}
		if _, err := l.Get(Hash{2}, id); err != ErrNotFound {
			t.Errorf("somebody else's expired stream: %v", err)
		}
		if _, err := l.ByKey(alice, key); err != ErrExpired {
			t.Errorf("expired, by key: %v", err)
		}
		if infos, err := l.List(alice, ID{}, 0, func(Info) bool { return true }); err != nil || len(infos) != 0 {
			t.Errorf("expired streams are listed: %v, %v", infos, err)
		}
		l.SetRetention(time.Hour)
		if err := get(); err != nil {
			t.Errorf("after a longer retention was set: %v", err)
		}
		l.SetRetention(4 * time.Minute)

		pass(10 * time.Minute)
		if n := bucketsOnDisk(t, dir); n != 2 {
			t.Errorf("%d buckets, want the one that is held and the newest", n)
		}
		all, err := r.Read(1 << 20) // who holds an expired stream reads on
		if err != nil || !bytes.Equal(joined(all), bodyOf(100, 300)) || len(body) == 0 {
			t.Errorf("held: %d events, %v", len(all), err)
		}
		if _, err := r.Read(1 << 20); err != io.EOF {
			t.Errorf("held, at the end: %v", err)
		}
		r.Close()
		held.Release()
		pass(10 * time.Minute)
		if n := bucketsOnDisk(t, dir); n != 1 {
			t.Errorf("%d buckets, want the newest", n)
		}
		if err := get(); err != ErrNotFound {
			t.Errorf("after the bucket has gone: %v", err)
		}
		if st := l.Stats(); st.Streams != 0 || st.QueuedBytes != 0 || st.Buckets != 1 {
			t.Errorf("left: %+v", st)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
}

func joined(events []Event) (all []byte) {
	for _, e := range events {
		all = append(all, e.Data...)
	}
	return all
}

// Under a constant load the disk stays flat: what comes goes after the
// retention, whatever else is going on.
func TestDiskStaysFlat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := testOptions(t)
		opts.Retention = 4 * time.Minute
		dir := t.TempDir()
		l := openLog(t, dir, opts)
		noise := make([]byte, 4<<10)
		var after []int64
		for minute := range 18 {
			s := create(t, l)
			for i := range 100 {
				for j := range noise { // does not compress
					noise[j] = byte((j*j + i*31 + minute*17) * (j + 7) >> 3)
				}
				if err := s.Append([]Event{{Data: noise}}); err != nil {
					t.Fatal(err)
				}
			}
			settle(t, s)
			s.Release()
			pass(time.Minute)
			if minute >= 8 {
				if n := bucketsOnDisk(t, dir); n > 8 {
					t.Fatalf("%d buckets in minute %d", n, minute)
				}
				after = append(after, l.Stats().DiskBytes)
			}
		}
		half := len(after) / 2
		if early, late := maxOf(after[:half]), maxOf(after[half:]); late > early+early/5 {
			t.Errorf("disk grows: %d, then %d bytes", early, late)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
}

func maxOf(all []int64) (m int64) {
	for _, n := range all {
		m = max(m, n)
	}
	return m
}

// An idle log opens no database after the other.
func TestIdleLogRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		l := openLog(t, dir, testOptions(t))
		before, err := os.ReadDir(filepath.Join(dir, "log"))
		if err != nil {
			t.Fatal(err)
		}
		pass(20 * time.Minute)
		after, err := os.ReadDir(filepath.Join(dir, "log"))
		if err != nil || len(after) != len(before) || after[0].Name() != before[0].Name() {
			t.Errorf("before %v, after %v, %v", before, after, err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A process that is restarted more often than its streams expire must not keep
// them forever.
func TestRestartsDoNotProlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := testOptions(t)
		opts.Retention = 4 * time.Minute
		dir := t.TempDir()
		for range 8 {
			l := openLog(t, dir, opts)
			s := create(t, l)
			appendEvents(t, s, 0, 5)
			settle(t, s)
			s.Release()
			pass(2 * time.Minute)
			if n := bucketsOnDisk(t, dir); n > 6 {
				t.Fatalf("%d buckets", n)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// The clock may go back: what counts is that buckets stay in order, are made, and
// go.
func TestClockGoesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := testOptions(t)
		dir := t.TempDir()
		l := openLog(t, dir, opts)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		starts, err := bucketStarts(filepath.Join(dir, "log"))
		if err != nil {
			t.Fatal(err)
		}
		root := filepath.Join(dir, "log")
		ahead := bucketDir(root, starts[0].AddDate(1, 0, 0)) // made before the clock was set right
		if err := os.Rename(bucketDir(root, starts[0]), ahead); err != nil {
			t.Fatal(err)
		}
		l = openLog(t, dir, opts)
		s := create(t, l)
		appendEvents(t, s, 0, 5)
		id := s.Header().ID
		settle(t, s)
		s.Release()
		for range 6 {
			create(t, l).Release()
			pass(time.Minute)
		}
		if _, err := os.Stat(ahead); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the bucket from the future: %v", err)
		}
		if _, err := l.Get(alice, id); err == nil {
			t.Error("the stream does not expire")
		}
		if n := l.Stats().Buckets; n < 3 {
			t.Errorf("%d buckets after six minutes", n)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
}

// While streams of two buckets are live, neither holds up the other.
func TestTwoBucketsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := testOptions(t)
		dir := t.TempDir()
		l := openLog(t, dir, opts)
		old := create(t, l)
		want := appendEvents(t, old, 0, 30)
		pass(2 * time.Minute)
		young := create(t, l)
		if old.bucket == young.bucket {
			t.Fatal("one bucket")
		}
		want = append(want, appendEvents(t, old, 30, 100)...) // a block of the old one falls due
		wantYoung := appendEvents(t, young, 0, 200)
		synctest.Wait()
		if old.mu.Lock(); old.sealed.rec == 0 {
			t.Error("the old bucket's blocks are not written")
		}
		old.mu.Unlock()
		for _, s := range []*Stream{old, young} {
			settle(t, s)
		}
		if got, err := readAll(t, old, 0); err != io.EOF || !bytes.Equal(got, want) {
			t.Errorf("old: %d bytes, %v", len(got), err)
		}
		if got, err := readAll(t, young, 0); err != io.EOF || !bytes.Equal(got, wantYoung) {
			t.Errorf("young: %d bytes, %v", len(got), err)
		}
		old.Release()
		young.Release()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
}
