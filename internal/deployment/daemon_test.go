package deployment

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what must come.
const patience = 60 * time.Second

// daemon is a dockerd of the test's own: its data, its socket and its processes are
// all below one directory. It changes nothing of the machine's network.
type daemon struct {
	t   *testing.T
	dir string
	log string
}

// startDaemon returns when dockerd answers. It ends with the test, and all that it
// started does.
func startDaemon(t *testing.T) *daemon {
	t.Helper()
	d := &daemon{t: t, dir: t.TempDir()}
	d.log = filepath.Join(d.dir, "log")
	log, err := os.Create(d.log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	c := exec.Command("dockerd", "--iptables=false", "--ip6tables=false", "--bridge=none", "--storage-driver=vfs",
		"--data-root", filepath.Join(d.dir, "data"), "--exec-root", filepath.Join(d.dir, "exec"),
		"--pidfile", filepath.Join(d.dir, "pid"), "-H", d.host())
	c.Stdout, c.Stderr = log, log
	// A Ctrl-C is for the test, which ends it in order.
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	t.Cleanup(func() { d.end(c, ended) })
	for deadline := time.Now().Add(patience); ; {
		if _, err := d.try(time.Second, "version", "--format={{.Server.Version}}"); err == nil {
			return d
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("dockerd ended: %v\n%s", err, d.tail())
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("dockerd does not answer\n%s", d.tail())
		}
	}
}

func (d *daemon) host() string { return "unix://" + filepath.Join(d.dir, "sock") }

// end removes containers, ends dockerd with all that it started, and unmounts what
// is left, so that the directory can be removed.
func (d *daemon) end(c *exec.Cmd, ended <-chan error) {
	if ids, err := d.try(patience, "ps", "-aq"); err == nil && ids != "" {
		if _, err := d.try(patience, append([]string{"rm", "-f", "-v"}, strings.Fields(ids)...)...); err != nil {
			d.t.Error(err)
		}
	}
	_ = c.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	select {
	case <-ended:
	case <-time.After(patience):
		_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL) // its containerd too
		<-ended
		d.t.Errorf("dockerd did not end in %v\n%s", patience, d.tail())
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		d.t.Error(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if fields := strings.Fields(line); len(fields) > 1 && strings.HasPrefix(fields[1], d.dir+"/") {
			if err := syscall.Unmount(fields[1], syscall.MNT_DETACH); err != nil {
				d.t.Errorf("unmount %s: %v", fields[1], err)
			}
		}
	}
}

func (d *daemon) tail() string {
	data, _ := os.ReadFile(d.log)
	return string(data[max(0, len(data)-2000):])
}

// docker runs the client, and returns what it printed.
func (d *daemon) docker(args ...string) string {
	d.t.Helper()
	out, err := d.try(patience, args...)
	if err != nil {
		d.t.Fatal(err)
	}
	return out
}

func (d *daemon) try(limit time.Duration, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	c := exec.CommandContext(ctx, "docker", args...)
	// The legacy builder: BuildKit needs a plugin that may not be there.
	c.Env = append(os.Environ(), "DOCKER_HOST="+d.host(), "DOCKER_BUILDKIT=0", "DOCKER_CONFIG="+d.dir)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		err = errors.Join(errors.New("docker "+strings.Join(args, " ")), err, errors.New(stderr.String()))
	}
	return strings.TrimSpace(string(out)), err
}

// until waits for a condition that nothing announces.
func (d *daemon) until(what string, ok func() bool) {
	d.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); {
		if time.Now().After(deadline) {
			d.t.Fatalf("never: %s\n%s", what, d.tail())
		}
		<-time.After(50 * time.Millisecond)
	}
}
