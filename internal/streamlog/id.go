package streamlog

import (
	"encoding/hex"
	"fmt"

	"github.com/google/uuid"
)

// ID names a stream. It is a UUIDv7, so ids sort by the time at which their
// streams were accepted.
type ID [16]byte

// NewID returns a fresh id.
func NewID() (ID, error) {
	u, err := uuid.NewV7()
	if err != nil {
		return ID{}, fmt.Errorf("streamlog: new id: %w", err)
	}
	return ID(u), nil
}

// ParseID reads the canonical text form, and only that one: an id has one
// spelling.
func ParseID(s string) (ID, error) {
	u, err := uuid.Parse(s)
	if err != nil || u.String() != s {
		return ID{}, fmt.Errorf("streamlog: %q is not a stream id", s)
	}
	return ID(u), nil
}

// String returns the canonical text form, 36 characters.
func (id ID) String() string { return uuid.UUID(id).String() }

// MarshalText makes an ID a string in JSON.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (id *ID) UnmarshalText(b []byte) error {
	p, err := ParseID(string(b))
	if err == nil {
		*id = p
	}
	return err
}

// Hash is a keyed hash of something that must not be stored itself: a
// credential, an idempotency key, a request body.
type Hash [16]byte

// IsZero reports whether there is no hash.
func (h Hash) IsZero() bool { return h == Hash{} }

// String returns the hash in hexadecimal.
func (h Hash) String() string { return fmt.Sprintf("%x", h[:]) }

// MarshalText makes a Hash a string in JSON.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (h *Hash) UnmarshalText(b []byte) error {
	if hex.DecodedLen(len(b)) != len(h) {
		return fmt.Errorf("streamlog: %q is not a hash", b)
	}
	if _, err := hex.Decode(h[:], b); err != nil {
		return fmt.Errorf("streamlog: %q is not a hash: %w", b, err)
	}
	return nil
}
