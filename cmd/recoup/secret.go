package main

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	secretName    = "secret"
	secretSumName = "secret.sum" // SHA-256, in hexadecimal: 32 random bytes can't be found by that
	secretBytes   = 32
)

// loadSecret returns the secret of a data directory, which keys the hashes of
// credentials, idempotency keys and bodies in its log: with another one, no
// client would find its streams again. It is made at the first start.
func loadSecret(dir string) ([]byte, error) {
	path := filepath.Join(dir, secretName)
	secret, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := createSecret(dir); err != nil {
			return nil, fmt.Errorf("make the secret of the data directory: %w", err)
		}
		secret, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("read the secret of the data directory: %w", err)
	}
	sum, err := checkSecret(dir, secret)
	if errors.Is(err, fs.ErrNotExist) {
		err = createOnce(dir, secretSumName, []byte(sum+"\n"))
	}
	return secret, err
}

// checkSecret says if the secret is what was made. It returns its sum, and
// fs.ErrNotExist where none is stored.
func checkSecret(dir string, secret []byte) (sum string, err error) {
	path := filepath.Join(dir, secretName)
	const advice = "Put it back from a backup; with a new secret (remove both files) no client finds the streams that are there now"
	if len(secret) != secretBytes {
		return "", fmt.Errorf("%s is damaged: it has %d bytes and should have %d. %s", path, len(secret), secretBytes, advice)
	}
	sum = fmt.Sprintf("%x", sha256.Sum256(secret))
	stored, err := os.ReadFile(filepath.Join(dir, secretSumName))
	if err != nil {
		return sum, fmt.Errorf("read the checksum of the secret: %w", err)
	}
	if strings.TrimSpace(string(stored)) != sum {
		return sum, fmt.Errorf("%s or %s is damaged: they don't fit. %s", path, secretSumName, advice)
	}
	return sum, nil
}

func createSecret(dir string) error {
	secret := make([]byte, secretBytes)
	if _, err := rand.Read(secret); err != nil {
		return err
	}
	return createOnce(dir, secretName, secret)
}

// createOnce makes a file that nobody else can read appear with all of its content
// and durably, or not at all. If another process is faster, that one's file stays.
func createOnce(dir, name string, content []byte) error {
	f, err := os.CreateTemp(dir, name+".*.tmp") // O_EXCL, mode 0600
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
	if err := os.Link(f.Name(), filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
