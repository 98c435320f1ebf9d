package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/audit"
	"github.com/recoup-gateway/recoup/internal/audit/proof"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/simulator"
	"github.com/recoup-gateway/recoup/internal/streamlog"
	"github.com/recoup-gateway/recoup/pricing"
)

// kinds of calls that a data directory for verify is made of.
var verifyCalls = []struct{ path, body string }{
	{"/v1/chat/completions", `{"model":"gpt-5.5","stream":true,"messages":[{"role":"user","content":"Hi"}]}`},
	{"/v1/chat/completions", `{"model":"gpt-5-mini","messages":[{"role":"user","content":"Hi"}]}`},
	{"/v1/responses", `{"model":"gpt-5.5","stream":true,"input":"Hi"}`},
	{"/v1/messages", `{"model":"claude-sonnet-4-5","stream":true,"max_tokens":500,"messages":[{"role":"user","content":"Hi"}]}`},
}

// verifyTraffic makes calls: three in four are read to their end, the others break
// off in the middle, and half of those come back.
func verifyTraffic(t *testing.T, url string, calls int) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range calls {
		wg.Go(func() {
			call := verifyCalls[i%len(verifyCalls)]
			key := fmt.Sprintf("run-%d:%d", time.Now().UnixNano(), i)
			send := func() *http.Response {
				req, err := http.NewRequest(http.MethodPost, url+call.path, strings.NewReader(call.body))
				if err != nil {
					panic(err)
				}
				req.Header.Set("Authorization", "Bearer key")
				req.Header.Set("Content-Type", "application/json")
				req.Header.Set("Idempotency-Key", key)
				req.Header.Set("Recoup-Tags", fmt.Sprintf("team=t%d", i%3))
				if strings.HasSuffix(call.path, "/messages") {
					req.Header.Set("Anthropic-Version", "2023-06-01")
				}
				resp, err := client.Do(req)
				if err != nil {
					return nil
				}
				return resp
			}
			resp := send()
			if resp == nil {
				return
			}
			if i%4 == i/4%4 { // breaks off
				_, _ = io.CopyN(io.Discard, resp.Body, 2000)
				resp.Body.Close()
				if i%8 < 4 {
					return
				}
				if resp = send(); resp == nil {
					return
				}
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		})
	}
	wg.Wait()
}

// verifyDir is a data directory with all that one can have: settled streams in
// tables, of a process that was stopped, and of one that was killed live ones in logs.
func verifyDir(t *testing.T) string {
	t.Helper()
	sim := simulator.New(simulator.Options{Default: simulator.Script{Tokens: 60, Interval: time.Millisecond, Usage: simulator.UsageAlways}})
	provider, err := sim.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer provider.Close()
	dir := t.TempDir()
	c := serveChild(t, dir, provider.URL, "--label-tags=team")
	verifyTraffic(t, c.url, 48)
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, c.log)
	}
	c = serveChild(t, dir, provider.URL, "--label-tags=team")
	verifyTraffic(t, c.url, 24)
	for settled := int64(0); settled < 60; runtime.Gosched() {
		var sum audit.Summary
		call(t, c, http.MethodGet, "/api/v1/audit", nil, &sum)
		settled = sum.Evidence["reported"].Attempts + sum.Evidence["estimated"].Attempts - sum.Pending
	}
	load(t, c, 8, 30_000) // and kills it
	return dir
}

func prove(t *testing.T, dir string) *proof.Proof {
	t.Helper()
	p, err := proof.Verify(t.Context(), proof.VerifyOptions{
		Dir: dir, Scratch: t.TempDir(), Book: pricing.Embedded(), Files: func() []proof.Damage { return checkFiles(dir) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestVerify proves a directory that was left by a kill, twice, and one in use; and
// changes nothing in it.
func TestVerify(t *testing.T) {
	dir := verifyDir(t)
	before := tree(t, dir)
	p := prove(t, dir)
	if !p.Proved || p.Live {
		t.Fatalf("in use %v, damaged: %v", p.Live, texts(p))
	}
	if p.Log.Streams < 72 || p.Log.Open == 0 || p.Ledger.Attempts < 60 || p.Ledger.Head != p.Ledger.Anchor && p.Ledger.Head == 0 {
		t.Errorf("%+v, %+v", p.Log, p.Ledger)
	}
	if p.Usage.Reread < 50 || p.Money.Recomputed != p.Ledger.Attempts || p.Money.ByBook != p.Money.Recomputed || p.Usage.Gone != 0 {
		t.Errorf("%+v, %+v of %d attempts", p.Usage, p.Money, p.Ledger.Attempts)
	}
	if after := tree(t, dir); !maps.Equal(before, after) {
		t.Error("verify has changed the directory")
	}
	var out, errs bytes.Buffer
	run := program{stdout: &out, stderr: &errs}
	if code := run.run(t.Context(), []string{"verify", "--data-dir", dir}); code != 0 {
		t.Errorf("exit code %d: %s", code, &errs)
	}
	contains(t, out.String(), dir+": proved", "stream log ", "books ", "money ", "usage ", "0 attempts can't be reproduced any more")
	if errs.Len() > 0 {
		t.Errorf("not silent: %q", &errs)
	}
	out.Reset()
	if code := run.run(t.Context(), []string{"verify", "--data-dir", dir, "--format", "json"}); code != 0 {
		t.Errorf("exit code %d: %s", code, &errs)
	}
	var again proof.Proof
	if err := json.Unmarshal(out.Bytes(), &again); err != nil || !again.Proved || again.Log != p.Log || again.Usage != p.Usage {
		t.Errorf("%v: %s", err, &out)
	}
}

// TestVerifyInUse verifies while a gateway runs and takes calls.
func TestVerifyInUse(t *testing.T) {
	sim := simulator.New(simulator.Options{Default: simulator.Script{Tokens: 40, Interval: time.Millisecond, Usage: simulator.UsageAlways}})
	provider, err := sim.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer provider.Close()
	c := serve(t, t.TempDir(), "--provider=openai="+provider.URL, "--provider=anthropic="+provider.URL)
	verifyTraffic(t, c.url, 16)
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			verifyTraffic(t, c.url, 8)
		}
	})
	for range 3 {
		if p := prove(t, c.dir); !p.Proved || !p.Live || p.Log.Streams < 16 {
			t.Errorf("in use %v, %+v, damaged: %v", p.Live, p.Log, texts(p))
		}
	}
	stop()
	wg.Wait()
	c.stop(t)
	if p := prove(t, c.dir); !p.Proved || p.Live {
		t.Errorf("in use %v, damaged: %v", p.Live, texts(p))
	}
}

// TestVerifyFlips flips one bit after the other. Each is found, or it is proved
// that nothing that can be read back has changed.
func TestVerifyFlips(t *testing.T) {
	flips, seed := 60, uint64(time.Now().UnixNano())
	if raceDetector {
		flips = 12 // nothing here is a race
	}
	if os.Getenv("RECOUP_FULL") != "" {
		flips = 500
	}
	if s := os.Getenv("RECOUP_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("RECOUP_SEED=%d", seed)
	dir := verifyDir(t)
	original := content(t, dir)
	places := newPlaces(t, dir, rand.New(rand.NewPCG(seed, 0)))
	found, harmless := map[string]int{}, map[string]int{}
	for range flips {
		path, at, bit := places.next()
		name := kindOfFile(dir, path)
		flip(t, path, at, bit)
		p := prove(t, dir)
		if p.Proved {
			if now := content(t, dir); now != original {
				t.Errorf("%s, byte %d, bit %d: verify proves it, and what is read back is another", path, at, bit)
			}
			harmless[name]++
		} else {
			found[p.Damaged[0].Part+", "+name]++
			checkNamed(t, p, path)
		}
		flip(t, path, at, bit)
	}
	if now := content(t, dir); now != original {
		t.Error("the directory is not what it was")
	}
	t.Logf("%d flips: found %d %v, harmless %d %v", flips, sum(found), found, sum(harmless), harmless)
}

// checkNamed wants a damage to have its place: the file that was flipped, if not
// the stream.
func checkNamed(t *testing.T, p *proof.Proof, path string) {
	t.Helper()
	for _, d := range p.Damaged {
		if d.File == path || strings.Contains(d.Text, filepath.Base(path)) || d.Stream != "" || d.Entry != 0 || strings.HasPrefix(path, d.File) && d.File != "" {
			return
		}
	}
	t.Errorf("%s: nothing is named: %v", path, texts(p))
}

func sum(by map[string]int) (n int) {
	for _, v := range by {
		n += v
	}
	return n
}

// texts are the first of what is damaged.
func texts(p *proof.Proof) (all []string) {
	for _, d := range p.Damaged[:min(len(p.Damaged), 5)] {
		all = append(all, d.Part+": "+d.Text)
	}
	return all
}

// kindOfFile is what a file is, whatever its number.
func kindOfFile(dir, path string) string {
	rel, _ := filepath.Rel(dir, path)
	parts := strings.Split(rel, string(filepath.Separator))
	name := parts[len(parts)-1]
	if ext := filepath.Ext(name); ext == ".sst" || ext == ".vlog" || ext == ".mem" {
		name = "*" + ext
	}
	if len(parts) > 1 {
		return parts[0] + "/" + name
	}
	return name
}

func flip(t *testing.T, path string, at int64, bit uint) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1 << bit
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
}

// places chooses bytes: half of them from all that is written, half from a file that
// is chosen first, so that small ones come up too; one in sixteen from the zeros of a
// sparse file.
type places struct {
	random *rand.Rand
	files  []writtenFile
	bytes  int64
}

type writtenFile struct {
	path   string
	size   int64
	blocks []int64 // that are not zero
}

const placeBlock = 512

func newPlaces(t *testing.T, dir string, random *rand.Rand) *places {
	t.Helper()
	p := &places{random: random}
	for path := range tree(t, dir) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f := writtenFile{path: path, size: int64(len(data))}
		for at := 0; at < len(data); at += placeBlock {
			if len(bytes.Trim(data[at:min(len(data), at+placeBlock)], "\x00")) > 0 {
				f.blocks = append(f.blocks, int64(at))
			}
		}
		if len(f.blocks) > 0 {
			p.files = append(p.files, f)
			p.bytes += int64(len(f.blocks))
		}
	}
	slices.SortFunc(p.files, func(a, b writtenFile) int { return strings.Compare(a.path, b.path) })
	return p
}

func (p *places) next() (path string, at int64, bit uint) {
	f := p.files[p.random.IntN(len(p.files))]
	if p.random.IntN(2) == 0 {
		n := p.random.Int64N(p.bytes)
		for _, f = range p.files {
			if n -= int64(len(f.blocks)); n < 0 {
				break
			}
		}
	}
	at = f.blocks[p.random.IntN(len(f.blocks))]
	at += p.random.Int64N(min(placeBlock, f.size-at))
	if p.random.IntN(16) == 0 {
		at = p.random.Int64N(f.size)
	}
	return f.path, at, uint(p.random.IntN(8))
}

// tree is all files below dir, with their sizes and times.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		files[path] = fmt.Sprint(info.Size(), info.ModTime())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// content is a digest of all that can be read back from a data directory.
func content(t *testing.T, dir string) string {
	t.Helper()
	d := &digest{t: t, sum: sha256.New()}
	_, err := streamlog.Verify(t.Context(), dir, streamlog.VerifyOptions{
		Scratch: t.TempDir(), Report: func(streamlog.Damage) {}, See: func(s streamlog.Settling) error {
			info := s.Info()
			d.add(info.Header, info.State, info.Attempts, info.Head, info.End, info.Events, info.Bytes, s.Open, s.Settled)
			return s.History(func(e streamlog.Entry) error {
				d.add(e)
				return nil
			})
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	l, _, err := ledger.OpenCopy(t.Context(), dir, t.TempDir(), ledger.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d.add(l.Head())
	for _, err := range []error{
		l.Attempts(t.Context(), 0, func(r ledger.Row) error { d.add(r); return nil }),
		l.Between(t.Context(), time.Time{}, time.Now().Add(time.Hour), func(r ledger.Row) error { d.add(r.ID()); return nil }),
		l.Misses(t.Context(), func(m ledger.Miss) error { d.add(m); return nil }),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	d.add(fmt.Sprint(sortedText(l.Totals().Output), sortedText(l.Totals().Cost), sortedText(l.Balances())))
	for _, name := range []string{secretName, factorsFile} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		d.add(data)
	}
	return fmt.Sprintf("%x", d.sum.Sum(nil))
}

type digest struct {
	t   *testing.T
	sum hash.Hash
}

func (d *digest) add(all ...any) {
	for _, v := range all {
		if err := json.NewEncoder(d.sum).Encode(v); err != nil {
			d.t.Fatal(err)
		}
	}
}

func sortedText[T any](all []T) []string {
	var lines []string
	for _, v := range all {
		lines = append(lines, fmt.Sprint(v))
	}
	slices.Sort(lines)
	return lines
}
