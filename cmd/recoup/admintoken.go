package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"

	"github.com/recoup-gateway/recoup/cmd/recoup/internal/config"
)

const (
	adminTokenName  = "admin-token"
	adminTokenBytes = 32 // of chance; the file has them in hex
)

// adminTokens are the tokens that guard the admin plane.
type adminTokens struct {
	all      string // for all but health, metrics and the console's files; empty: none is asked for
	operator string // for what shows answers, stops them, makes keys or can change the books: there always is one
}

// newAdminTokens returns the configured token or, where there is none, the gateway's
// own, which is in the data directory, made at the first start. The log says where it
// is, never what. On a loopback address, where others than the operator may be too,
// it guards what is not theirs.
func newAdminTokens(settings *config.Settings, logger *slog.Logger) (adminTokens, error) {
	if settings.AdminToken != "" {
		return adminTokens{settings.AdminToken, settings.AdminToken}, nil
	}
	path := filepath.Join(settings.DataDir, adminTokenName)
	token, err := config.ReadToken(path)
	made := errors.Is(err, fs.ErrNotExist)
	if made {
		if err := createAdminToken(settings.DataDir); err != nil {
			return adminTokens{}, fmt.Errorf("make the admin token: %w", err)
		}
		token, err = config.ReadToken(path)
	}
	if err != nil {
		return adminTokens{}, fmt.Errorf("the admin token: %w; remove the file, and the next start makes a new one", err)
	}
	if !settings.AdminExposed() {
		logger.Info("streams, calls and keys of the admin plane, and what can change the books, ask for the token in this file", "file", path, "made_now", made)
		return adminTokens{operator: token}, nil
	}
	logger.Info("the admin plane asks for the token in this file", "file", path, "made_now", made)
	return adminTokens{token, token}, nil
}

func createAdminToken(dir string) error {
	token := make([]byte, adminTokenBytes)
	if _, err := rand.Read(token); err != nil {
		return err
	}
	return createOnce(dir, adminTokenName, []byte(hex.EncodeToString(token)+"\n"))
}
