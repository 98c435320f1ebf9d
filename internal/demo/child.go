package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// child is the gateway, in a process of its own.
type child struct {
	cmd   *exec.Cmd
	stdin io.Closer
	log   *journal
	ended chan struct{}
	err   error // how it ended, once that is closed

	url, admin string
}

// startChild returns when the gateway serves. args are those of recoup serve.
func startChild(ctx context.Context, serve func(...string) *exec.Cmd, args ...string) (*child, error) {
	c := &child{cmd: serve(args...), log: &journal{ready: make(chan struct{})}, ended: make(chan struct{})}
	c.cmd.Stderr = c.log
	stdin, err := c.cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	c.stdin = stdin
	go func() {
		defer close(c.ended)
		c.err = c.cmd.Wait()
	}()
	select {
	case <-c.log.ready:
		c.url, c.admin = c.log.urls()
		return c, nil
	case <-c.ended:
		return nil, fmt.Errorf("gateway: it ended before it was ready: %w\n%s", c.err, c.log)
	case <-ctx.Done():
		c.kill()
		return nil, context.Cause(ctx)
	}
}

// kill sends SIGKILL and returns when the process is gone.
func (c *child) kill() {
	_ = c.cmd.Process.Kill() // it may be gone already
	<-c.ended
}

// patience is how long the gateway may take to end in order.
const patience = 5 * time.Second

// stop ends the process in order: it ends with its standard input.
func (c *child) stop() error {
	if c == nil {
		return nil
	}
	_ = c.stdin.Close() // it may be gone already
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-c.ended:
		return nil
	case <-t.C:
		c.kill()
		return fmt.Errorf("gateway: it did not end in %v, and was killed\n%s", patience, c.log)
	}
}

// journal reads the gateway's log, and keeps of it what somebody might have to
// know.
type journal struct {
	mu         sync.Mutex
	partial    []byte
	url, admin string
	ready      chan struct{} // closed when the gateway serves
	kept       []string      // warnings, errors, and what is no record
}

const maxKept = 20 // lines

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.partial = append(j.partial, p...)
	for {
		line, rest, ok := bytes.Cut(j.partial, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		j.line(line)
		j.partial = rest
	}
}

func (j *journal) line(line []byte) {
	var record struct {
		Level string `json:"level"`
		Msg   string `json:"msg"`
		URL   string `json:"url"`
		Admin string `json:"admin_url"`
	}
	err := json.Unmarshal(line, &record)
	switch {
	case err == nil && record.Msg == "recoup is ready" && j.url == "":
		j.url, j.admin = record.URL, record.Admin
		close(j.ready)
	case err != nil, record.Level == "WARN", record.Level == "ERROR":
		if j.kept = append(j.kept, string(line)); len(j.kept) > maxKept {
			j.kept = j.kept[1:]
		}
	}
}

func (j *journal) urls() (url, admin string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.url, j.admin
}

// String is what was kept.
func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(j.kept, "\n")
}

// errGone is why a demo ends whose gateway died by itself.
var errGone = errors.New("the gateway has ended by itself")
