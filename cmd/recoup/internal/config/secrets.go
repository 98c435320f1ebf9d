package config

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

const (
	maxSecretFile   = 4 << 10
	encryptionBytes = 32
	minTokenBytes   = 16
)

// readSecrets reads the files that hold secrets.
func (l *loading) readSecrets() {
	s := l.settings
	if s.EncryptionKeyFile != "" {
		var err error
		if s.EncryptionKey, err = ReadKey(s.EncryptionKeyFile); err != nil {
			l.refuse("encryption_key_file", err.Error())
		}
	}
	if s.AdminTokenFile != "" {
		var err error
		if s.AdminToken, err = ReadToken(s.AdminTokenFile); err != nil {
			l.refuse("admin_token_file", err.Error())
		}
	}
}

// ReadToken reads a file that holds a bearer token. Its error names the file and
// what was expected.
func ReadToken(path string) (string, error) {
	data, err := readSmall(path)
	token := strings.TrimSpace(string(data))
	if err == nil && (len(token) < minTokenBytes || !printable(token)) {
		err = errors.New("no token in it")
	}
	if err != nil {
		return "", fmt.Errorf("%w: want a file with a token of at least %d printable characters, without spaces", describe(path, err), minTokenBytes)
	}
	return token, nil
}

// describe names the file once: errors of package os bring its name along.
func describe(path string, err error) error {
	if pathErr := (*os.PathError)(nil); errors.As(err, &pathErr) {
		return err
	}
	return fmt.Errorf("%s: %w", path, err)
}

// readSmall reads a file that can't be large, so that a wrong path such as a
// device doesn't hang or fill the memory.
func readSmall(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	if err == nil && len(data) > maxSecretFile {
		err = fmt.Errorf("larger than %d bytes", maxSecretFile)
	}
	return data, err
}

func decodeKey(data []byte) ([]byte, error) {
	if len(data) == encryptionBytes {
		return data, nil
	}
	text := strings.TrimSpace(string(data))
	for _, decode := range []func(string) ([]byte, error){
		hex.DecodeString,
		base64.StdEncoding.DecodeString, base64.RawStdEncoding.DecodeString,
		base64.URLEncoding.DecodeString, base64.RawURLEncoding.DecodeString,
	} {
		if key, err := decode(text); err == nil && len(key) == encryptionBytes {
			return key, nil
		}
	}
	return nil, fmt.Errorf("its %d bytes are no key", len(data))
}

func printable(token string) bool {
	return !strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' })
}

// ReadKey reads a file that holds the key that encrypts the stream log.
func ReadKey(path string) ([]byte, error) {
	data, err := readSmall(path)
	if err == nil {
		data, err = decodeKey(data)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: want a file with 32 bytes, raw or as hex or base64", describe(path, err))
	}
	return data, nil
}
