package ledger

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

// childEnv is a directory, and the first attempt, from which on this process posts
// until it is killed.
const childEnv = "RECOUP_LEDGER_CHILD"

// callers is how many post at once.
const callers = 16

func TestMain(m *testing.M) {
	if arg := os.Getenv(childEnv); arg != "" {
		dir, first, _ := strings.Cut(arg, "\n")
		n, err := strconv.Atoi(first)
		if err == nil {
			err = postForever(dir, n)
		}
		fmt.Println("error", err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/golang/glog.(*fileSink).flushDaemon"))
}

// ofKill is the n-th posting of the test: every third attempt is posted in two
// parts, and every fifth is revised.
func ofKill(n int) []Posting {
	p := example(n)
	if n%2 == 0 {
		p = resumed(n)
	}
	all := []Posting{p}
	if n%3 == 0 {
		bill, outcomes := p, p
		bill.Outcomes, outcomes.Bill = nil, nil
		all = []Posting{bill, outcomes}
	}
	if n%5 == 0 {
		r := revised(n, 1)
		if n%2 == 0 {
			r = resumed(n)
			r.Revision, r.Reason = 1, Correction
			r.Outcomes.Saved = Saving{}
		}
		all = append(all, r)
	}
	return all
}

// postForever says on stdout what was acknowledged: "a attempt part".
func postForever(dir string, first int) error {
	l, err := Open(dir, Options{Logger: quiet})
	if err != nil {
		return err
	}
	var next sync.Mutex
	errs := make(chan error, 1)
	for range callers {
		go func() {
			for {
				next.Lock()
				n := first
				first++
				next.Unlock()
				for part, p := range ofKill(n) {
					if _, err := l.Post(p); err != nil {
						errs <- err
						return
					}
					fmt.Printf("a %d %d\n", n, part)
				}
			}
		}()
	}
	return <-errs
}

// TestKill kills a process that posts, again and again in the same directory. What
// was acknowledged is there once, the books are sound, and to post all again, as
// recovery does, adds only what is missing. A kill of the process proves nothing
// about power loss.
func TestKill(t *testing.T) {
	kills := 6
	if os.Getenv("RECOUP_FULL") != "" {
		kills = 30
	}
	dir := t.TempDir()
	acked := map[int]int{} // parts, by attempt
	next, total, ahead := 1, 0, 0
	for i := range kills {
		n := postAndKill(t, dir, next, rand.IntN(400), acked)
		total += n
		if i%3 == 1 { // an auditor comes first
			if found := findings(t, dir); len(found) > 0 {
				t.Fatal(found)
			}
		}
		anchored, _, err := readAnchor(dir)
		if err != nil && !errors.Is(err, errNoAnchor) {
			t.Fatal(err)
		}
		l := open(t, dir)
		if l.Head().Seq > anchored.Seq {
			ahead++
		}
		next = checkKilled(t, l, next, acked) + 1
		shut(t, l)
		if t.Failed() {
			return
		}
	}
	t.Logf("%d kills, %d acknowledgements, the database was ahead of the anchor %d times", kills, total, ahead)
}

// checkKilled compares the books with what was acknowledged, then posts all of it
// again that came since from. It returns the last attempt that there is.
func checkKilled(t *testing.T, l *Ledger, from int, acked map[int]int) (last int) {
	t.Helper()
	verify(t, l)
	for n, parts := range acked {
		last = max(last, n)
		row, err := l.Get(stream(n), 1)
		if err != nil {
			t.Errorf("attempt %d, %d parts acknowledged: %v", n, parts, err)
			continue
		}
		for i, p := range ofKill(n)[:parts] {
			stored := row.Current
			if p.Revision < len(row.Earlier) {
				stored = row.Earlier[p.Revision]
			}
			if stored.Number != p.Revision || p.Bill != nil && !equalJSON(p.Bill, &stored.Bill) || p.Outcomes != nil && !equalJSON(p.Outcomes, stored.Outcomes) {
				t.Errorf("attempt %d, part %d: %+v", n, i, row)
			}
		}
	}
	for n := last + 1; n <= last+2*callers; n++ { // some were stored and not acknowledged, in any order
		if _, err := l.Get(stream(n), 1); err == nil {
			last = n
		}
	}
	var wg sync.WaitGroup
	for first := range callers {
		wg.Go(func() {
			for n := from + first; n <= last; n += callers {
				for part, p := range ofKill(n) {
					if posted, err := l.Post(p); err != nil || posted && part < acked[n] {
						t.Errorf("attempt %d, part %d again: %v, %v", n, part, posted, err)
					}
				}
			}
		})
	}
	wg.Wait()
	for n := from; n <= last; n++ {
		acked[n] = len(ofKill(n))
	}
	if r := verify(t, l); r.Attempts != uint64(last) || r.Pending != 0 || r.Revised != uint64(last/5) {
		t.Errorf("%d attempts: %+v", last, r)
	}
	checkKilledTotals(t, l, last)
	return last
}

// checkKilledTotals compares balances and counters with those of all postings up
// to the last.
func checkKilledTotals(t *testing.T, l *Ledger, last int) {
	t.Helper()
	b := newBook()
	for n := 1; n <= last; n++ {
		for _, p := range ofKill(n) {
			b.post(p)
		}
	}
	b.compare(t, l)
}

// postAndKill starts a child and kills it once it has acknowledged n times.
func postAndKill(t *testing.T, dir string, first, n int, acked map[int]int) (lines int) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), childEnv+"="+dir+"\n"+strconv.Itoa(first))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	scan := bufio.NewScanner(out)
	for scan.Scan() { // to the end of what it said before it died
		var attempt, part int
		if _, err := fmt.Sscanf(scan.Text(), "a %d %d", &attempt, &part); err != nil {
			t.Errorf("child: %s", scan.Text())
			continue
		}
		acked[attempt] = max(acked[attempt], part+1)
		if lines++; lines > n {
			once.Do(func() {
				if err := cmd.Process.Kill(); err != nil {
					t.Error(err)
				}
			})
		}
	}
	_ = cmd.Wait() // it was killed
	return lines
}
