package ledger

import (
	"os"
	"syscall"
)

// datasync makes durable what is in f. Its times of change needn't be.
func datasync(f *os.File) error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); err != syscall.EINTR {
			return err
		}
	}
}
