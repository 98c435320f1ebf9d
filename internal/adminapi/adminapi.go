// Package adminapi is the form in which the admin plane's API answers, whichever package
// does the work: JSON, and errors as {"error": {"code", "message"}}.
package adminapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// Body is what a request brings.
type Body struct {
	What string // a word of its errors' codes: invalid_<what>, <what>_too_large
	Max  int64  // bytes
}

// Read reads the body into v. If it can't, it has answered, and is false. A body may be
// empty where all of it can be left out.
func (b Body) Read(w http.ResponseWriter, r *http.Request, v any) bool {
	err := Decode(http.MaxBytesReader(w, r.Body, b.Max), v)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		Fail(w, http.StatusRequestEntityTooLarge, b.What+"_too_large", fmt.Errorf("the body is larger than %d KiB", b.Max>>10))
	case err != nil && !errors.Is(err, io.EOF):
		Fail(w, http.StatusBadRequest, "invalid_"+b.What, fmt.Errorf("the body can't be read: %w", err))
	default:
		return true
	}
	return false
}

// Decode reads one JSON object, of which every member is known, and behind which nothing
// follows. The error is io.EOF where there is nothing at all.
func Decode(r io.Reader, v any) error {
	in := json.NewDecoder(r)
	in.DisallowUnknownFields()
	if err := in.Decode(v); err != nil {
		return err
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		if large := (*http.MaxBytesError)(nil); errors.As(err, &large) {
			return err
		}
		return errors.New("something follows: want one JSON object, and nothing behind it")
	}
	return nil
}

// Answer writes v.
func Answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client may have left
}

// Fail writes an error.
func Fail(w http.ResponseWriter, status int, code string, err error) {
	type detail struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	Answer(w, status, struct {
		Error detail `json:"error"`
	}{detail{code, err.Error()}})
}
