// Package gatewaykeys keeps the keys that clients bring to a gateway which holds the
// providers' own. What is stored of a key is its SHA-256: of 32 random bytes nobody
// finds the key by that. The store is one small file, replaced as a whole at each
// change, and belongs to one process.
package gatewaykeys

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	prefix   = "rk_"
	keyBytes = 32
	idPrefix = "key_"
	idBytes  = 8

	maxKeys = 10_000
	maxText = 128 // bytes of a name, or of either side of a tag
	maxTags = 8
)

// The resume policies that a key can have. None: that of the gateway.
const (
	ResumeAuto   = "auto"
	ResumeMarked = "marked"
	ResumeOff    = "off"
)

// Key is what is known of a key: all but the key.
type Key struct {
	ID      string            `json:"id"`
	Name    string            `json:"name"`
	Tags    map[string]string `json:"tags,omitempty"`
	Resume  string            `json:"resume,omitempty"`
	Created time.Time         `json:"created"`
	Expires time.Time         `json:"expires,omitzero"`
	Revoked time.Time         `json:"revoked,omitzero"`
	Used    string            `json:"last_used,omitempty"` // the day, in UTC
}

// Errors of a lookup and of a change.
var (
	ErrUnknown = errors.New("gatewaykeys: no such key")
	ErrRevoked = errors.New("gatewaykeys: the key is revoked")
	ErrExpired = errors.New("gatewaykeys: the key has expired")
	ErrInvalid = errors.New("gatewaykeys: invalid")
)

// Store are the keys of a data directory.
type Store struct {
	path   string
	logger *slog.Logger
	now    func() time.Time

	mu      sync.Mutex
	unsaved bool            // the file is behind
	keys    map[string]*Key // by id
	known   map[hash]*Key
}

type hash [sha256.Size]byte

// New is what a new key is to be.
type New struct {
	Name    string            `json:"name"`
	Tags    map[string]string `json:"tags,omitempty"`
	Resume  string            `json:"resume,omitempty"`
	Expires time.Time         `json:"expires,omitzero"`
}

// Create makes a key. The key itself is returned here, and never again.
func (s *Store) Create(n New) (Key, string, error) {
	now := s.now()
	if err := n.check(now); err != nil {
		return Key{}, "", err
	}
	var random [idBytes + keyBytes]byte
	if _, err := rand.Read(random[:]); err != nil {
		return Key{}, "", err
	}
	secret := prefix + base64.RawURLEncoding.EncodeToString(random[idBytes:])
	k := Key{
		ID: idPrefix + hex.EncodeToString(random[:idBytes]), Name: n.Name, Tags: maps.Clone(n.Tags), Resume: n.Resume,
		Created: now.UTC().Truncate(time.Second), Expires: n.Expires.UTC(),
	}
	h := hash(sha256.Sum256([]byte(secret)))
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.keys) >= maxKeys {
		return Key{}, "", fmt.Errorf("%w: there are %d keys, which is the most", ErrInvalid, maxKeys)
	}
	s.keys[k.ID], s.known[h] = &k, &k
	if err := s.save(); err != nil {
		delete(s.keys, k.ID)
		delete(s.known, h)
		return Key{}, "", err
	}
	return k, secret, nil
}

func (n New) check(now time.Time) error {
	switch {
	case n.Name == "" || !plain(n.Name):
		return fmt.Errorf("%w name: want 1 to %d printable bytes", ErrInvalid, maxText)
	case n.Resume != "" && n.Resume != ResumeAuto && n.Resume != ResumeMarked && n.Resume != ResumeOff:
		return fmt.Errorf("%w resume: %q is none of auto, marked, off", ErrInvalid, n.Resume)
	case !n.Expires.IsZero() && !n.Expires.After(now):
		return fmt.Errorf("%w expires: it is past", ErrInvalid)
	case len(n.Tags) > maxTags:
		return fmt.Errorf("%w tags: at most %d", ErrInvalid, maxTags)
	}
	for name, v := range n.Tags {
		if name == "" || !plain(name) || !plain(v) || strings.ContainsAny(name+v, ",=") {
			return fmt.Errorf("%w tags: want name=value of at most %d printable bytes each, without commas", ErrInvalid, maxText)
		}
	}
	return nil
}

// plain reports whether a text is short and can be shown as it is.
func plain(s string) bool {
	return len(s) <= maxText && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 })
}

// Use returns the key that a credential is: ErrUnknown if it is none, and the key
// with ErrRevoked or ErrExpired if it is none any more.
func (s *Store) Use(credential string) (Key, error) {
	if !strings.HasPrefix(credential, prefix) {
		return Key{}, ErrUnknown
	}
	h := hash(sha256.Sum256([]byte(credential)))
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.known[h]
	switch {
	case k == nil:
		return Key{}, ErrUnknown
	case !k.Revoked.IsZero():
		return *k, ErrRevoked
	case !k.Expires.IsZero() && !now.Before(k.Expires):
		return *k, ErrExpired
	}
	if day := now.UTC().Format(time.DateOnly); k.Used != day {
		k.Used = day
		if err := s.save(); err != nil { // which no call must fail for
			s.logger.Warn("the day of a gateway key's last use could not be stored", "key", k.ID, "error", err)
		}
	}
	return *k, nil
}

// Revoke ends a key, for good. To revoke it again changes nothing.
func (s *Store) Revoke(id string) (Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.keys[id]
	if k == nil {
		return Key{}, ErrUnknown
	}
	if !k.Revoked.IsZero() && !s.unsaved {
		return *k, nil
	}
	if k.Revoked.IsZero() {
		k.Revoked = s.now().UTC().Truncate(time.Second)
	}
	// Also where that could not be stored: it is refused for as long as this process
	// lives, and the caller is told.
	if err := s.save(); err != nil {
		return Key{}, err
	}
	return *k, nil
}

// List returns all keys, the oldest first.
func (s *Store) List() []Key {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Key, 0, len(s.keys))
	for _, k := range s.keys {
		list = append(list, *k)
	}
	slices.SortFunc(list, func(a, b Key) int {
		if c := a.Created.Compare(b.Created); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return list
}
