//go:build !linux

package ledger

import "os"

// datasync makes durable what is in f.
func datasync(f *os.File) error { return f.Sync() }
