package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

// TestExpectContinue: a client that asks first is told what the provider says.
func TestExpectContinue(t *testing.T) {
	ask := fmt.Sprintf("POST /v1/files HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", len("the body"))
	t.Run("yes", func(t *testing.T) {
		waits, said := make(chan string), make(chan struct{})
		s := scriptedSite(t, func(conn net.Conn, r *http.Request) {
			waits <- r.Header.Get("Expect")
			<-said
			io.WriteString(conn, "HTTP/1.1 100 Continue\r\n\r\n")
			body, _ := io.ReadAll(r.Body)
			fmt.Fprintf(conn, "HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		})
		conn := s.dial()
		io.WriteString(conn, ask)
		if expect := <-waits; expect != "100-continue" {
			t.Errorf("the provider was asked %q", expect)
		}
		// The client hears nothing before the provider has spoken. (Were it
		// asked for its body now, this would find it.)
		_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if n, err := conn.Read(make([]byte, 1)); n != 0 {
			t.Errorf("the client was told something before the provider said so: %v", err)
		}
		_ = conn.SetReadDeadline(time.Time{})
		close(said)
		r := bufio.NewReader(conn)
		if line, err := r.ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" {
			t.Fatalf("%q, %v", line, err)
		}
		r.ReadString('\n')
		io.WriteString(conn, "the body")
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if data, err := io.ReadAll(resp.Body); resp.StatusCode != 201 || string(data) != "the body" || err != nil {
			t.Errorf("%d %q, %v", resp.StatusCode, data, err)
		}
	})
	t.Run("no", func(t *testing.T) {
		s := scriptedSite(t, func(conn net.Conn, r *http.Request) {
			io.WriteString(conn, "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")
			if n, _ := io.Copy(io.Discard, r.Body); n != 0 {
				t.Errorf("the provider was sent %d bytes", n)
			}
		})
		expectRefusal(t, s, ask, 413)
	})
	t.Run("drained", func(t *testing.T) {
		s := newSite(t)
		conn := s.dial()
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\nX-Simulator-Script: %s\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: %d\r\n\r\n",
			chatPath, simulator.Script{Tokens: 3}.Header(), len(chatBody))
		r := bufio.NewReader(conn)
		if line, err := r.ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" {
			t.Fatalf("%q, %v", line, err)
		}
		io.WriteString(conn, chatBody)
		if data, err := io.ReadAll(r); err != nil || !strings.Contains(string(data), "[DONE]") {
			t.Errorf("%q, %v", data, err)
		}
		if got := s.sim.Bill()[0].Header.Get("Expect"); got != "" {
			t.Errorf("the provider was asked %q for a body that was there", got)
		}
	})
	t.Run("nobody is configured", func(t *testing.T) {
		s := newSite(t)
		expectRefusal(t, s, strings.Replace(ask, "/v1/files", "/nobody/x", 1), 404)
	})
}

// expectRefusal sends the head of a request and expects that its body is never
// asked for.
func expectRefusal(t *testing.T, s *site, ask string, status int) {
	t.Helper()
	conn := s.dial()
	defer conn.Close()
	io.WriteString(conn, ask)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(resp.Body); resp.StatusCode != status || err != nil || !resp.Close {
		t.Errorf("%d, %v, %v", resp.StatusCode, err, resp.Header)
	}
}
