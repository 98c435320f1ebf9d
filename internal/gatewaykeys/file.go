package gatewaykeys

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

const (
	fileName = "gateway-keys.json"
	format   = 1
)

// file is what is stored.
type file struct {
	Format int      `json:"format"`
	Keys   []stored `json:"keys"`
	Sum    string   `json:"crc32c,omitempty"` // of the keys, compact; a file of an earlier version has none
}

// sum is a checksum of what is stored: who brings a key whose hash has been
// damaged would otherwise be told that there is no such key.
func (f *file) sum() (string, error) {
	data, err := json.Marshal(f.Keys)
	return fmt.Sprintf("%08x", crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))), err
}

type stored struct {
	Key
	SHA256 string `json:"sha256"`
}

// Open reads the keys of a data directory. A file that can't be read is refused:
// taken for none, revoked keys would be forgotten with the others.
func Open(dir string, logger *slog.Logger) (*Store, error) {
	s := &Store{path: filepath.Join(dir, fileName), logger: logger, now: time.Now, keys: map[string]*Key{}, known: map[hash]*Key{}}
	data, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("gatewaykeys: %w", err)
	}
	var f file
	if err := json.Unmarshal(data, &f); err != nil || f.Format != format {
		return nil, fmt.Errorf("gatewaykeys: %s is damaged or of another version (format %d, want %d): put it back from a backup, or remove it and make new keys", s.path, f.Format, format)
	}
	if sum, err := f.sum(); f.Sum != "" && (err != nil || sum != f.Sum) {
		return nil, fmt.Errorf("gatewaykeys: %s is damaged: its checksum is another: put it back from a backup", s.path)
	}
	for _, one := range f.Keys {
		h, err := hex.DecodeString(one.SHA256)
		if err != nil || len(h) != len(hash{}) || one.ID == "" {
			return nil, fmt.Errorf("gatewaykeys: %s is damaged at key %q: put it back from a backup", s.path, one.ID)
		}
		k := one.Key
		s.keys[k.ID], s.known[hash(h)] = &k, &k
	}
	return s, nil
}

// save replaces the file. It is called under the lock.
func (s *Store) save() error {
	f := file{Format: format, Keys: []stored{}}
	for h, k := range s.known {
		f.Keys = append(f.Keys, stored{*k, hex.EncodeToString(h[:])})
	}
	var err error
	if f.Sum, err = f.sum(); err != nil {
		return fmt.Errorf("gatewaykeys: %w", err)
	}
	data, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("gatewaykeys: %w", err)
	}
	err = replace(s.path, append(data, '\n'))
	if s.unsaved = err != nil; s.unsaved {
		return fmt.Errorf("gatewaykeys: store keys: %w", err)
	}
	return nil
}

// replace makes a file have this content, durably, or leaves it as it was.
func replace(path string, content []byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, filepath.Base(path)+".*.tmp") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
