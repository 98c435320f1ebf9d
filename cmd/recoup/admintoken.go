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

// adminToken is the token that guards the admin plane; empty: none does. Where
// others can reach that plane and no token is configured, the gateway has one of
// its own in the data directory, made at the first start. The log says where it
// is, never what.
func adminToken(settings *config.Settings, logger *slog.Logger) (string, error) {
	if settings.AdminToken != "" || !settings.AdminExposed() {
		return settings.AdminToken, nil
	}
	path := filepath.Join(settings.DataDir, adminTokenName)
	token, err := config.ReadToken(path)
	made := errors.Is(err, fs.ErrNotExist)
	if made {
		if err := createAdminToken(settings.DataDir); err != nil {
			return "", fmt.Errorf("make the admin token: %w", err)
		}
		token, err = config.ReadToken(path)
	}
	if err != nil {
		return "", fmt.Errorf("the admin token: %w; remove the file, and the next start makes a new one", err)
	}
	logger.Info("the admin plane asks for the token in this file", "file", path, "made_now", made)
	return token, nil
}

func createAdminToken(dir string) error {
	token := make([]byte, adminTokenBytes)
	if _, err := rand.Read(token); err != nil {
		return err
	}
	return createOnce(dir, adminTokenName, []byte(hex.EncodeToString(token)+"\n"))
}
