package badgerfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Hold keeps other processes from taking the lock file at path until release is
// called. live: one has it already, and nothing is held. Nothing is changed; a file
// that isn't there has never been locked.
func Hold(path string) (release func(), live bool, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return func() {}, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("lock: %w", err)
	}
	release = func() { f.Close() }
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return release, true, nil
	case err != nil:
		release()
		return nil, false, fmt.Errorf("lock %s: %w", path, err)
	}
	return release, false, nil
}

// ErrNoRoom is the error of a copy that would not fit.
var ErrNoRoom = errors.New("not enough free space for a copy to read")

// room is what Badger needs beside what it is given, and never fills.
const room = 64 << 20

// CheckRoom is ErrNoRoom unless the directory to has space for a copy of from. A full
// disk ends the process, inside Badger's mapped files.
func CheckRoom(from, to string) error {
	need := uint64(room)
	files, err := os.ReadDir(from)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("copy to read: %w", err)
	}
	for _, f := range files {
		if info, err := os.Stat(filepath.Join(from, f.Name())); err == nil {
			if st, ok := info.Sys().(*syscall.Stat_t); ok {
				need += uint64(st.Blocks) * 512
			}
		}
	}
	var st syscall.Statfs_t
	if err := syscall.Statfs(to, &st); err != nil {
		return fmt.Errorf("free space of %s: %w", to, err)
	}
	if free := st.Bavail * uint64(st.Bsize); free < need {
		return fmt.Errorf("%w: %s has %d MiB, it takes %d MiB", ErrNoRoom, to, free>>20, need>>20)
	}
	return nil
}
