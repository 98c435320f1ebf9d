package clients

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

// otherKey is another caller's.
const otherKey = "sk-bob"

// atEnd is what is to be done behind the last test.
var atEnd []func()

func TestMain(m *testing.M) {
	if text := os.Getenv(jobEnv); text != "" {
		if err := drive(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	flag.Parse()
	err := page.load()
	if err == nil {
		page.stale, err = page.complete()
	}
	if err == nil && page.stale && *update {
		err = page.save()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if scratch, err = os.MkdirTemp("", "recoup-clients-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	defer func() {
		for _, end := range atEnd {
			end()
		}
	}()
	return m.Run()
}
