package bench

import (
	"bytes"
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// diskUsage sums what the files below dir take on disk.
func diskUsage(dir string) (sum int64) {
	// A file that goes while we look takes nothing.
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		if info, err := d.Info(); err == nil {
			sum += allocated(info)
		}
		return nil
	})
	return sum
}

// clockTick is the unit of the times in /proc: USER_HZ, which Linux has fixed
// at 100 a second for all programs.
const clockTick = 10 * time.Millisecond

// usage is what a process has used so far and holds now.
type usage struct {
	known bool          // there is a /proc to read it from
	cpu   time.Duration // user and system
	rss   int64         // bytes
	anon  int64         // of these, bytes that no file backs
}

func usageOf(pid int) usage {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return usage{}
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return usage{}
	}
	cpu, ok := parseStat(stat)
	return usage{known: ok, cpu: cpu, rss: statusField(status, "VmRSS:"), anon: statusField(status, "RssAnon:")}
}

// parseStat reads the CPU time. The name of the program, in parentheses, may
// hold blanks and parentheses, so fields are counted from its end.
func parseStat(stat []byte) (time.Duration, bool) {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	const user, system = 14 - 3, 15 - 3 // numbers in proc(5); the first field here is number 3
	if len(fields) <= system {
		return 0, false
	}
	u, err1 := strconv.ParseInt(string(fields[user]), 10, 64)
	s, err2 := strconv.ParseInt(string(fields[system]), 10, 64)
	return time.Duration(u+s) * clockTick, err1 == nil && err2 == nil
}

// statusField reads a field in kB; 0 if it isn't there.
func statusField(status []byte, name string) int64 {
	_, rest, ok := bytes.Cut(status, []byte(name))
	if !ok {
		return 0
	}
	fields := bytes.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	kb, err := strconv.ParseInt(string(fields[0]), 10, 64)
	if err != nil {
		return 0
	}
	return kb << 10
}

// median returns 0 for nothing.
func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// quantile returns the value below which a share q of the values is. It sorts v.
func quantile[T cmp.Ordered](v []T, q float64) (z T) {
	if len(v) == 0 {
		return z
	}
	slices.Sort(v)
	return v[min(int(q*float64(len(v))), len(v)-1)]
}

// ratio is a/b, and 0 where one of them was not measured.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}
