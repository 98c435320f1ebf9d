package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// server is a handler on a loopback port of its own.
type server struct {
	url string

	http   *http.Server
	served chan struct{}
	busy   sync.WaitGroup // connections
	failed error          // set before served is closed
}

func serve(ctx context.Context, h http.Handler) (*server, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	s := &server{url: "http://" + ln.Addr().String(), served: make(chan struct{})}
	s.http = &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				s.busy.Add(1)
			case http.StateClosed, http.StateHijacked:
				s.busy.Done()
			}
		},
	}
	go func() {
		defer close(s.served)
		if err := s.http.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			s.failed = fmt.Errorf("serve: %w", err)
		}
	}()
	return s, nil
}

// close lets responses that are being written end in their own time, if that
// is short, and returns when no handler runs any more.
func (s *server) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	<-s.served
	s.busy.Wait()
	return errors.Join(err, s.failed)
}
