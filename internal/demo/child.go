package demo

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"os/exec"
	"strconv"
	"strings"
)

// child is an agent's process as the demo sees it: what it printed is what it
// has read.
type child struct {
	cmd    *exec.Cmd
	out    *bufio.Reader
	stderr bytes.Buffer
	waited bool

	head   http.Header // of the response
	body   []byte      // of the response, as far as it was printed
	whole  int         // bytes of it that are whole events
	events int
}

// startAgent returns when the agent has printed the head of its response. The
// caller must end it.
func startAgent(ctx context.Context, program []string, method, url, key string) (*child, error) {
	args := append(append([]string(nil), program[1:]...), method, url, key)
	c := &child{cmd: exec.CommandContext(ctx, program[0], args...)}
	c.cmd.Stderr = &c.stderr
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("agent: %w", err)
	}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("agent: %w", err)
	}
	c.out = bufio.NewReader(stdout)
	if err := c.readHead(); err != nil {
		c.end()
		return nil, err
	}
	return c, nil
}

func (c *child) readHead() error {
	in := textproto.NewReader(c.out)
	status, err := in.ReadLine()
	if err != nil {
		return c.failed(err)
	}
	head, err := in.ReadMIMEHeader()
	if err != nil {
		return c.failed(err)
	}
	if c.head = http.Header(head); !strings.HasPrefix(status, "HTTP/1.1 200 ") {
		body, _ := io.ReadAll(c.out) // for the error only
		return fmt.Errorf("agent: %s: %s", status, bytes.TrimSpace(body))
	}
	return nil
}

// failed explains why there is nothing to read from the agent.
func (c *child) failed(err error) error {
	if werr := c.wait(); werr != nil {
		return werr
	}
	return fmt.Errorf("agent: %w", err)
}

// next returns the next event that the agent printed, or io.EOF when it has
// ended, of itself or not.
func (c *child) next() ([]byte, error) {
	for {
		rest := c.body[c.whole:]
		if i := bytes.Index(rest, []byte("\n\n")); i >= 0 {
			c.whole += i + 2
			c.events++
			return rest[:i+2], nil
		}
		buf := make([]byte, 4<<10)
		n, err := c.out.Read(buf)
		c.body = append(c.body, buf[:n]...)
		if n == 0 && err != nil {
			if errors.Is(err, io.EOF) {
				return nil, io.EOF
			}
			return nil, fmt.Errorf("agent: %w", err)
		}
	}
}

// each calls fn with all events to come and their indexes, from 0.
func (c *child) each(fn func(index int, event []byte)) error {
	for {
		event, err := c.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		fn(c.events-1, event)
	}
}

func (c *child) pid() int         { return c.cmd.Process.Pid }
func (c *child) fate() string     { return c.cmd.ProcessState.String() }
func (c *child) streamID() string { return c.head.Get("Recoup-Stream-Id") }
func (c *child) position() cursor { return cursor{c.events, c.whole} }

// kill sends SIGKILL. What the agent has printed can still be read.
func (c *child) kill() error {
	if err := c.cmd.Process.Kill(); err != nil {
		return fmt.Errorf("kill the agent: %w", err)
	}
	return nil
}

// wait returns when the process is gone, with an error unless it ended well.
// All of its output must have been read.
func (c *child) wait() error {
	if c.waited {
		return nil
	}
	c.waited = true
	err := c.cmd.Wait()
	if err == nil {
		return nil
	}
	if text := bytes.TrimSpace(c.stderr.Bytes()); len(text) > 0 {
		return fmt.Errorf("agent: %w: %s", err, text)
	}
	return fmt.Errorf("agent: %w", err)
}

// end makes sure that the process is gone; nil has none.
func (c *child) end() {
	if c == nil || c.waited {
		return
	}
	// It may have ended already, and how it ends doesn't matter any more.
	_ = c.kill()
	_ = c.wait()
}

// cursor is a position in a stream: events, and the bytes that they take.
type cursor struct{ events, bytes int }

// String is the form in which the gateway takes it as an offset.
func (c cursor) String() string { return fmt.Sprintf("%016d_%016d", c.events, c.bytes) }

// words is the form for a reader.
func (c cursor) words() string { return fmt.Sprintf("%d events, %d bytes", c.events, c.bytes) }

func (c cursor) minus(d cursor) cursor { return cursor{c.events - d.events, c.bytes - d.bytes} }

func parseCursor(text string) (cursor, error) {
	events, bytes, _ := strings.Cut(text, "_")
	e, err := strconv.Atoi(events)
	if err != nil {
		return cursor{}, fmt.Errorf("the gateway's Stream-Next-Offset %q is no cursor: %w", text, err)
	}
	b, err := strconv.Atoi(bytes)
	if err != nil {
		return cursor{}, fmt.Errorf("the gateway's Stream-Next-Offset %q is no cursor: %w", text, err)
	}
	return cursor{e, b}, nil
}
