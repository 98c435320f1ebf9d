// Package adminapi is the form in which the admin plane's API answers, whichever package
// does the work: JSON, and errors as {"error": {"code", "message"}}.
package adminapi

import (
	"encoding/json"
	"net/http"
)

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
