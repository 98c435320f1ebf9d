package streamlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// copyDir copies what a process that dies now would leave: Badger's files are
// mapped, so what it wrote is there. Holes stay holes.
func copyDir(t testing.TB, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		dst := filepath.Join(to, rel)
		if d.IsDir() {
			return os.MkdirAll(dst, 0o700)
		}
		return copyFile(path, dst)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	info, err := in.Stat()
	if err != nil {
		return err
	}
	for at := int64(0); err == nil; {
		var data, hole int64
		if data, err = in.Seek(at, seekData); err != nil {
			break // ENXIO: there is no more
		}
		if hole, err = in.Seek(data, seekHole); err != nil {
			break
		}
		if _, err = io.Copy(io.NewOffsetWriter(out, data), io.NewSectionReader(in, data, hole-data)); err != nil {
			break
		}
		at = hole
	}
	if !errors.Is(err, syscall.ENXIO) {
		return err
	}
	return errors.Join(out.Truncate(info.Size()), out.Close())
}

// whence of lseek, to leave holes out.
const (
	seekData = 3
	seekHole = 4
)

// crash returns a copy of dir as a process that dies now would leave it.
func crash(t testing.TB, dir string) string {
	t.Helper()
	image := t.TempDir()
	copyDir(t, dir, image)
	return image
}

// damaged is what the streams of a directory held before it was damaged.
type damaged struct {
	dir   string
	ended map[ID][]byte
	open  map[ID][]byte
}

// prepare makes a directory with 40 streams that have ended, 5 that have not, and
// more than one memtable and table file of them.
func prepare(t *testing.T, clean bool) damaged {
	dir := t.TempDir()
	d := damaged{ended: map[ID][]byte{}, open: map[ID][]byte{}}
	opts := Options{Retention: time.Hour}
	for round := range 2 {
		l := openLog(t, dir, opts)
		for _, s := range l.Recovered() {
			appendEvents(t, s, 0, 10)
			d.open[s.Header().ID] = append(d.open[s.Header().ID], bodyOf(0, 10)...)
			s.Release()
		}
		for i := range 20 {
			s := create(t, l)
			d.ended[s.Header().ID] = appendEvents(t, s, 0, 20+i*13)
			finish(t, s)
			s.Release()
		}
		if round == 0 {
			for i := range 5 {
				s := create(t, l)
				d.open[s.Header().ID] = appendEvents(t, s, 0, 30+i*40)
				s.Release()
			}
		}
		if round == 1 && !clean {
			d.dir = crash(t, dir)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if clean {
		d.dir = dir
	}
	return d
}

func bodyOf(from, to int) (all []byte) {
	for i := from; i < to; i++ {
		all = append(all, chunk(i)...)
	}
	return all
}

// verdict counts what became of the streams.
type verdict struct {
	refused                    bool // Open said no
	whole, damaged, gone, open int
}

// inspect opens a damaged directory. Whatever is damaged must say so: a stream
// that has ended is whole, or an error; one that had no end is a beginning of
// itself.
func (d damaged) inspect(t *testing.T, dir string) (v verdict) {
	t.Helper()
	l, err := Open(dir, Options{Retention: time.Hour})
	if err != nil {
		if err.Error() == "" || errors.Is(err, ErrLocked) || errors.Is(err, ErrDiskFull) {
			t.Errorf("open: %v", err)
		}
		return verdict{refused: true}
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}()
	d.inspectForBooks(t, l)
	recovered := map[ID]bool{}
	for _, s := range l.Recovered() {
		id := s.Header().ID
		recovered[id] = true
		got, err := readAll(t, s, 0)
		want := d.open[id]
		if want == nil {
			want = d.ended[id] // its end is lost, so it is not passed off as ended
		}
		if err != ErrWait && !errors.Is(err, ErrDamaged) || !bytes.HasPrefix(want, got) {
			t.Errorf("recovered %s: %d of %d bytes, %v", id, len(got), len(want), err)
		}
		if _, err := s.Finish(End{State: Interrupted, Cause: "crash"}); err != nil {
			t.Errorf("finish: %v", err)
		}
		s.Release()
		v.open++
	}
	for id, want := range d.ended {
		if recovered[id] {
			continue
		}
		s, err := l.Get(alice, id)
		switch {
		case errors.Is(err, ErrNotFound):
			v.gone++
			continue
		case errors.Is(err, ErrDamaged):
			v.damaged++
			continue
		case err != nil:
			t.Errorf("get %s: %v", id, err)
			continue
		}
		got, err := readAll(t, s, 0)
		switch {
		case err == io.EOF && bytes.Equal(got, want):
			v.whole++
		case errors.Is(err, ErrDamaged) && bytes.HasPrefix(want, got):
			v.damaged++
		default:
			t.Errorf("ended stream %s: %d of %d bytes, %v", id, len(got), len(want), err)
		}
		s.Release()
	}
	if _, err := l.List(alice, ID{}, 0, func(Info) bool { return true }); err != nil {
		t.Errorf("list: %v", err)
	}
	s := create(t, l) // and life goes on
	appendEvents(t, s, 0, 10)
	finish(t, s)
	s.Release()
	return v
}

// inspectForBooks settles what is offered: each a beginning of what it was, and
// whole unless it says otherwise.
func (d damaged) inspectForBooks(t *testing.T, l *Log) {
	t.Helper()
	for _, id := range l.Unsettled() {
		s, err := l.ForBooks(id)
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("for the books, %s: %v", id, err)
			}
			continue
		}
		var got []byte
		err = s.History(func(e Entry) error {
			if e.Event != nil {
				got = append(got, e.Event.Data...)
			}
			return nil
		})
		if want := d.ended[id]; err == nil && !bytes.Equal(got, want) || err != nil && !errors.Is(err, ErrDamaged) || !bytes.HasPrefix(want, got) {
			t.Errorf("history of %s: %d of %d bytes, %v", id, len(got), len(want), err)
		}
		if err := s.Settled(); err != nil {
			t.Errorf("settle %s: %v", id, err)
		}
		s.Release()
	}
}

func bucketFiles(t *testing.T, dir, suffix string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "log", "*", "*"+suffix))
	if err != nil {
		t.Fatal(err)
	}
	var used []string
	for _, f := range files {
		if written(t, f) > 0 {
			used = append(used, f)
		}
	}
	return used
}

// written is the length of a file up to its last byte that isn't zero.
func written(t *testing.T, file string) int64 {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var end int64
	for at := int64(0); ; {
		data, err := f.Seek(at, seekData)
		if errors.Is(err, syscall.ENXIO) {
			return end
		}
		if err != nil {
			t.Fatal(err)
		}
		if at, err = f.Seek(data, seekHole); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, at-data)
		if _, err := f.ReadAt(b, data); err != nil {
			t.Fatal(err)
		}
		if b = bytes.TrimRight(b, "\x00"); len(b) > 0 {
			end = data + int64(len(b))
		}
	}
}

func flip(t *testing.T, file string, at int64) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x10
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
}

// TestDamage damages every kind of file in every way, after a clean close and
// after a crash.
func TestDamage(t *testing.T) {
	if !inChild(t) {
		return
	}
	for _, clean := range []bool{true, false} {
		d := prepare(t, clean)
		if v := d.inspect(t, crash(t, d.dir)); v.whole != len(d.ended) || v.open != len(d.open) {
			t.Fatalf("clean %v, undamaged: %+v", clean, v)
		}
		for _, kind := range []string{".vlog", ".mem", ".sst", "MANIFEST", "KEYREGISTRY", "DISCARD"} {
			if len(bucketFiles(t, d.dir, kind)) == 0 {
				continue
			}
			hows := []string{"flip", "cut", "remove"}
			if os.Getenv("RECOUP_FULL") != "" {
				hows = append(hows, "empty", "flip", "flip", "flip", "flip")
			}
			for _, how := range hows {
				t.Run(fmt.Sprintf("clean=%v/%s/%s", clean, strings.TrimPrefix(kind, "."), how), func(t *testing.T) {
					dir := crash(t, d.dir)
					files := bucketFiles(t, dir, kind)
					file := files[rand.IntN(len(files))]
					size := written(t, file)
					at := rand.Int64N(size)
					harm(t, file, how, at)
					v := d.inspect(t, dir)
					t.Logf("%s of %s at %d of %d: %+v", how, filepath.Base(file), at, size, v)
					if kind == ".vlog" && how == "flip" && !v.refused && v.whole < len(d.ended)/2 {
						t.Errorf("one byte cost %d of %d streams", len(d.ended)-v.whole, len(d.ended))
					}
				})
			}
		}
	}
}

func harm(t *testing.T, file, how string, at int64) {
	t.Helper()
	var err error
	switch how {
	case "flip":
		flip(t, file, at)
	case "cut":
		err = os.Truncate(file, at)
	case "empty":
		err = os.Truncate(file, 0)
	case "remove":
		err = os.Remove(file)
	}
	if err != nil {
		t.Fatal(err)
	}
}
