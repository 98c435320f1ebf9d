package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/recoup-gateway/recoup/internal/token"
)

// factorsFile is where what was learnt for estimates outlives the process.
const factorsFile = "factors.json"

// factors are what estimates of tokens are made with.
type factors struct {
	*token.Factors
	path string
}

// loadFactors reads what an earlier process has learnt. Without it estimates
// begin with what is known of models in general, so that is no reason to stop.
func loadFactors(dir string, logger *slog.Logger) *factors {
	f := &factors{Factors: &token.Factors{}, path: filepath.Join(dir, factorsFile)}
	data, err := os.ReadFile(f.path)
	if err == nil {
		err = decodeFactors(data, f.Factors)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		logger.Warn("what was learnt for estimates can't be read; they begin anew", "error", err)
		f.Factors = &token.Factors{}
	}
	return f
}

// decodeFactors reads JSON, and behind it a line with its checksum, which a file of
// an earlier version doesn't have.
func decodeFactors(data []byte, to *token.Factors) error {
	text, sum, ok := bytes.Cut(data, []byte("\n"))
	if ok && string(bytes.TrimSpace(sum)) != factorsSum(text) {
		return errors.New("it isn't what was written")
	}
	return json.Unmarshal(text, to)
}

func factorsSum(text []byte) string {
	return fmt.Sprintf("crc32c %08x", crc32.Checksum(text, crc32.MakeTable(crc32.Castagnoli)))
}

// save keeps what was learnt for the next process.
func (f *factors) save() error {
	data, err := json.Marshal(f.Factors)
	if err != nil {
		return fmt.Errorf("factors: %w", err)
	}
	data = fmt.Appendf(data, "\n%s\n", factorsSum(data))
	next := f.path + ".next"
	if err := os.WriteFile(next, data, 0o600); err != nil {
		return fmt.Errorf("factors: %w", err)
	}
	if err := os.Rename(next, f.path); err != nil {
		return fmt.Errorf("factors: %w", err)
	}
	return nil
}
