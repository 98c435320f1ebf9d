package clients

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// A relay passes bytes on between clients and the gateway, and can break their
// connections as networks do.
type relay struct {
	t    *testing.T
	url  string
	to   string
	seen chan arrival // each request's connection, when its head has come
	busy sync.WaitGroup
}

// An arrival is a connection with the head of its first request.
type arrival struct {
	header http.Header
	client *net.TCPConn
}

// isRepeat reports whether an SDK says that it repeats a call, as OpenAI's and Anthropic's do or
// as AWS's do.
func (a arrival) isRepeat() bool {
	_, attempt, _ := strings.Cut(a.header.Get("Amz-Sdk-Request"), "attempt=")
	return a.header.Get("X-Stainless-Retry-Count") > "0" || attempt > "1;"
}

// reset breaks the connection so that the client sees it at once.
func (a arrival) reset(t *testing.T) {
	t.Helper()
	if err := a.client.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	if err := a.client.Close(); err != nil {
		t.Fatal(err)
	}
}

func newRelay(t *testing.T, to string) *relay {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{t: t, url: "http://" + ln.Addr().String(), to: strings.TrimPrefix(to, "http://"), seen: make(chan arrival, 16)}
	ctx, cancel := context.WithCancel(context.Background())
	r.busy.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return // closed
			}
			r.busy.Go(func() { r.pass(ctx, c.(*net.TCPConn)) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		cancel()
		r.busy.Wait()
	})
	return r
}

// pass joins a client with the gateway, until either of them or the test ends.
func (r *relay) pass(ctx context.Context, client *net.TCPConn) {
	defer client.Close()
	server, err := net.Dial("tcp", r.to)
	if err != nil {
		return
	}
	defer server.Close()
	stop := context.AfterFunc(ctx, func() {
		_ = client.Close()
		_ = server.Close()
	})
	defer stop()
	var head bytes.Buffer
	in := bufio.NewReader(client)
	req, err := http.ReadRequest(bufio.NewReader(io.TeeReader(in, &head)))
	if err != nil {
		return // a connection that was never used
	}
	r.seen <- arrival{req.Header, client}
	var up sync.WaitGroup
	up.Go(func() {
		_, _ = io.Copy(server, io.MultiReader(&head, in))
		_ = server.Close() // the client has gone, and the gateway learns of it
	})
	_, _ = io.Copy(client, server)
	_ = client.Close()
	up.Wait()
}

// next waits for a request.
func (r *relay) next() arrival {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	select {
	case a := <-r.seen:
		return a
	case <-ctx.Done():
		r.t.Fatal("no request comes")
	}
	return arrival{}
}
