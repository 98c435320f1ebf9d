package simulator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
)

// errClosed is the cause by which handlers tell a closed server from a client
// that has left.
var errClosed = errors.New("simulator closed")

// Server is a Simulator that listens.
type Server struct {
	URL string // http://host:port

	http   *http.Server
	cancel context.CancelCauseFunc
	served chan struct{}
	busy   sync.WaitGroup // connections and handlers
	once   sync.Once
}

// Start listens on a TCP address, such as "127.0.0.1:0", and serves until
// Close. One Simulator may have several servers, on one bill.
func (s *Simulator) Start(addr string) (*Server, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("simulator: %w", err)
	}
	return s.Serve(ln), nil
}

// Serve is Start on a listener of the caller's, which Close closes.
func (s *Simulator) Serve(ln net.Listener) *Server {
	ctx, cancel := context.WithCancelCause(context.Background())
	srv := &Server{
		URL:    "http://" + ln.Addr().String(),
		cancel: cancel,
		served: make(chan struct{}),
	}
	var speaks http.Protocols
	speaks.SetHTTP1(true)
	speaks.SetUnencryptedHTTP2(true) // as AWS's SDK for JavaScript does
	srv.http = &http.Server{
		Protocols:   &speaks,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ConnState:   srv.track,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			// A hijacked connection is no longer counted while its handler
			// still runs, so handlers are counted too.
			srv.busy.Add(1)
			defer srv.busy.Done()
			s.serve(w, r)
		}),
	}
	go func() {
		defer close(srv.served)
		_ = srv.http.Serve(ln) // always ends with ErrServerClosed, or with the listener
	}()
	return srv
}

func (srv *Server) track(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		srv.busy.Add(1)
	case http.StateClosed, http.StateHijacked:
		srv.busy.Done()
	}
}

// Close stops listening, ends every request, stalled ones too (EndClosed), and
// returns when all handlers and connections are gone. It may be called again.
func (srv *Server) Close() error {
	var err error
	srv.once.Do(func() {
		srv.cancel(errClosed)
		err = srv.http.Close()
		<-srv.served
		srv.busy.Wait()
	})
	if err != nil {
		return fmt.Errorf("simulator: close: %w", err)
	}
	return nil
}
