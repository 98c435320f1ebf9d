package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"time"
)

const (
	startTimeout = 20 * time.Second
	stopTimeout  = 10 * time.Second // after which a child is killed
	tailLines    = 20               // of a child's output that an error shows
)

// process is a child. It ends when its standard input does, so it does not
// outlive this process whatever happens to that.
type process struct {
	role  string
	url   string
	admin string // "": it has no admin plane
	cmd   *exec.Cmd
	stdin io.Closer
	ended chan struct{} // closed when its output has ended

	mu   sync.Mutex
	tail []string
}

// ready is the line of JSON with which a child says where it listens. Other
// members are ignored, so that a line of a structured log will do.
type ready struct {
	URL   string `json:"url"`
	Admin string `json:"admin_url,omitempty"`
}

// start starts a child and returns when it listens.
func start(ctx context.Context, role string, cmd *exec.Cmd) (*process, error) {
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", role, err)
	}
	out, err := cmd.StderrPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", role, err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", role, err)
	}
	p := &process{role: role, cmd: cmd, stdin: stdin, ended: make(chan struct{})}
	found := make(chan ready, 1)
	go func() {
		defer close(p.ended)
		p.listen(out, found)
	}()
	timeout := time.NewTimer(startTimeout)
	defer timeout.Stop()
	select {
	case r := <-found:
		p.url, p.admin = r.URL, r.Admin
		return p, nil
	case <-p.ended:
		err = errors.New("it ended at once")
	case <-timeout.C:
		err = fmt.Errorf("it did not listen within %v", startTimeout)
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	return nil, errors.Join(fmt.Errorf("start %s: %w", role, err), p.stop())
}

// listen reads the output to its end, lest the child block on it.
func (p *process) listen(out io.Reader, found chan<- ready) {
	sc := bufio.NewScanner(out)
	sc.Buffer(nil, 1<<20)
	for told := false; sc.Scan(); {
		var r ready
		if !told && json.Unmarshal(sc.Bytes(), &r) == nil && r.URL != "" {
			told = true
			found <- r
			continue
		}
		p.mu.Lock()
		if p.tail = append(p.tail, sc.Text()); len(p.tail) > tailLines {
			p.tail = p.tail[1:]
		}
		p.mu.Unlock()
	}
	_, _ = io.Copy(io.Discard, out) // after a line that is too long
}

// stop asks the child to end, waits for it, and kills it if it takes too long.
func (p *process) stop() error {
	_ = p.stdin.Close() // a child that is gone already has closed it
	kill := time.AfterFunc(stopTimeout, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	<-p.ended
	if err := p.cmd.Wait(); err != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		return fmt.Errorf("%s: %w\n%s", p.role, err, strings.Join(p.tail, "\n"))
	}
	return nil
}

func (p *process) usage() usage { return usageOf(p.cmd.Process.Pid) }

// profile writes a CPU profile of the next d to w.
func (p *process) profile(ctx context.Context, d time.Duration, w io.Writer) error {
	url := fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", p.admin, max(1, int(d.Seconds())))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("profile of %s: %s", p.role, resp.Status)
	}
	_, err = io.Copy(w, resp.Body)
	return err
}
