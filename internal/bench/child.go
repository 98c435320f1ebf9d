package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

// The roles of child processes. Options.Command makes the command of each.
const (
	RoleProvider = "provider" // no arguments; RunProvider
	RoleProxy    = "proxy"    // URL of the provider; RunProxy
	RoleUnbooked = "unbooked" // as RoleGateway, but it keeps no books
	RoleGateway  = "gateway"  // URL of the provider, data directory: the gateway itself, as it is served to users
)

// UntilEOF returns a context that ends with ctx, or when r does: a child gets
// the other end of its standard input closed by its parent's death too.
func UntilEOF(ctx context.Context, r io.Reader) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		// This goroutine ends with r, which for a standard input is the process.
		_, _ = io.Copy(io.Discard, r)
		cancel()
	}()
	return ctx, cancel
}

// RunProvider is the provider: the simulator, with the same answer for the
// same request. It says on out where it listens, and ends with ctx.
func RunProvider(ctx context.Context, out io.Writer) error {
	srv, err := simulator.New(simulator.Options{Deterministic: true, Seed: 1}).Start("127.0.0.1:0")
	if err != nil {
		return err
	}
	if err := announce(out, srv.URL); err != nil {
		return errors.Join(err, srv.Close())
	}
	<-ctx.Done()
	return srv.Close()
}

// RunProxy is what the gateway is compared with: Go's own reverse proxy, which
// flushes after each write. It says on out where it listens, and ends with ctx.
func RunProxy(ctx context.Context, out io.Writer, provider string) error {
	to, err := url.Parse(provider)
	if err != nil {
		return fmt.Errorf("proxy: %w", err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}
	defer transport.CloseIdleConnections()
	proxy := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(to) },
		FlushInterval: -1,
		Transport:     transport,
		ErrorLog:      log.New(out, "", 0), // shown if it fails
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("proxy: %w", err)
	}
	srv := &http.Server{Handler: fullDuplex(proxy), ReadHeaderTimeout: 10 * time.Second, ErrorLog: proxy.ErrorLog}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	if err = announce(out, "http://"+ln.Addr().String()); err == nil {
		<-ctx.Done()
	}
	err = errors.Join(err, srv.Close())
	if failed := <-served; !errors.Is(failed, http.ErrServerClosed) {
		err = errors.Join(err, failed)
	}
	return err
}

// fullDuplex lets a proxy read the end of a request after it has begun its
// response. Without it the server takes the request's body away at that moment,
// and if the provider was quick the transport, about to look whether
// the body has ended, breaks off an answer under way.
func fullDuplex(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex() // HTTP/1 can
		next.ServeHTTP(w, r)
	})
}

func announce(out io.Writer, url string) error {
	return json.NewEncoder(out).Encode(ready{URL: url})
}
