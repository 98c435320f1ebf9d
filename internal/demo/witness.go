package demo

import (
	"bytes"
	"net/http"
	"sync"
)

// witness stands between the provider and its sockets and keeps what the
// provider sends in answer to each POST.
type witness struct {
	next http.Handler

	mu       sync.Mutex
	watching bool
	sent     []*bytes.Buffer // in order of the calls
}

func (w *witness) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	if w.watching && r.Method == http.MethodPost {
		body := new(bytes.Buffer)
		w.sent = append(w.sent, body)
		rw = &tap{ResponseWriter: rw, witness: w, body: body}
	}
	w.mu.Unlock()
	w.next.ServeHTTP(rw, r)
}

// testify returns the body of the first answer, and forgets all. From then on
// nothing is kept, however long the demo stays up.
func (w *witness) testify() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	var first []byte
	if len(w.sent) > 0 {
		first = bytes.Clone(w.sent[0].Bytes())
	}
	w.watching, w.sent = false, nil
	return first
}

type tap struct {
	http.ResponseWriter
	witness *witness
	body    *bytes.Buffer
}

func (t *tap) Write(b []byte) (int, error) {
	n, err := t.ResponseWriter.Write(b)
	t.witness.mu.Lock()
	if t.witness.watching {
		t.body.Write(b[:n])
	}
	t.witness.mu.Unlock()
	return n, err
}

// Unwrap is for http.ResponseController.
func (t *tap) Unwrap() http.ResponseWriter { return t.ResponseWriter }
