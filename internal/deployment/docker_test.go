package deployment

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

const (
	image     = "recoup:test"
	container = "recoup"
	stamp     = "v0.0.0-test"
	maxImage  = 60 << 20 // bytes; far above what it is, and far below what a base image would make it
)

// TestImage builds the image and runs it as docker-compose.yml runs the gateway, but
// on the host's network. No base image can be had without a registry, so the first
// stage is replaced by its results, which are made here from the same files and with
// the same command; all from the final FROM on is the Dockerfile's own text.
func TestImage(t *testing.T) {
	if os.Getenv("RECOUP_DOCKER") != "1" {
		t.Skip("it starts a dockerd, as root: RECOUP_DOCKER=1 wants that")
	}
	began := time.Now()
	d := startDaemon(t)
	buildImage(d)
	t.Logf("the image is built after %.1f s", time.Since(began).Seconds())

	size, err := strconv.ParseInt(d.docker("image", "inspect", "--format={{.Size}}", image), 10, 64)
	if err != nil || size > maxImage {
		t.Errorf("the image has %d bytes, %v", size, err)
	}
	t.Logf("the image has %.1f MB", float64(size)/1e6)
	if got := d.docker("run", "--rm", "--network=host", image, "version"); !strings.HasPrefix(got, "recoup "+stamp+" ") {
		t.Errorf("it says that it is %q", got)
	}

	g := startContainer(d)
	g.isConfined()
	g.hasCertificates()
	g.adminIsGuarded()
	g.survivesAKill()
	g.drainsWhenStopped()
	g.canBeBackedUp()
	t.Logf("all took %.1f s", time.Since(began).Seconds())
}

// buildImage builds the image from what the build context has of this repository.
func buildImage(d *daemon) {
	t := d.t
	t.Helper()
	dir := t.TempDir()
	repository := mustAbs(t, root)

	// The context, as .dockerignore leaves it.
	everything := filepath.Join(dir, "everything")
	write(t, everything, "FROM scratch\nCOPY . /src\n")
	d.docker("build", "-q", "-t", "context", "-f", everything, repository)
	id := d.docker("create", "context", "none")
	src := filepath.Join(dir, "src")
	d.docker("cp", id+":/src", src)
	for _, name := range []string{".git", "docs", "Makefile", "internal/deployment/docker_test.go"} {
		if _, err := os.Stat(filepath.Join(src, name)); err == nil {
			t.Errorf("%s is in the build context", name)
		}
	}

	// What the first stage makes.
	rootfs := filepath.Join(dir, "context", "rootfs")
	c := exec.CommandContext(t.Context(), "sh", "-c", strings.ReplaceAll(goBuild(t), "/rootfs/", rootfs+"/"))
	c.Dir, c.Env = src, append(os.Environ(), "VERSION="+stamp, "GOFLAGS=-buildvcs=false")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", c, err, out)
	}
	for _, name := range []string{"var/lib/recoup", "etc/ssl/certs"} {
		if err := os.MkdirAll(filepath.Join(rootfs, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(rootfs, "var/lib/recoup"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(rootfs, "etc/ssl/certs/ca-certificates.crt"), "the build stage's\n")

	text := read(t, "Dockerfile")
	final := text[strings.LastIndex(text, "\nFROM ")+1:]
	write(t, filepath.Join(dir, "context", "Dockerfile"), "FROM scratch AS build\nCOPY rootfs /rootfs\n"+final)
	d.docker("build", "-q", "-t", image, filepath.Join(dir, "context"))
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// running is a gateway in a container.
type running struct {
	*daemon
	data, admin string // URLs
	client      *http.Client
}

func startContainer(d *daemon) *running {
	t := d.t
	t.Helper()
	provider, err := simulator.New(simulator.Options{}).Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { provider.Close() })
	data, admin := freePort(t), freePort(t)
	g := &running{
		daemon: d, data: "http://127.0.0.1:" + data, admin: "http://127.0.0.1:" + admin,
		client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
	}
	d.docker("run", "-d", "--name", container, "--network=host", "--health-interval=1s",
		"--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges:true",
		"-v", "recoup-data:"+imageEnv(t)["RECOUP_DATA_DIR"],
		"-v", filepath.Join(mustAbs(t, root), "deploy/recoup.yaml")+":/etc/recoup/recoup.yaml:ro", "-e", "RECOUP_CONFIG=/etc/recoup/recoup.yaml",
		"-e", "RECOUP_LISTEN=0.0.0.0:"+data, "-e", "RECOUP_ADMIN_LISTEN=0.0.0.0:"+admin, "-e", "RECOUP_PROVIDER=demo="+provider.URL,
		image)
	g.awaitHealth()
	return g
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return port(t, l.Addr().String())
}

// awaitHealth returns when the image's health check says so.
func (g *running) awaitHealth() {
	g.t.Helper()
	g.until("it is healthy", func() bool {
		state := g.docker("inspect", "--format={{.State.Status}} {{.State.Health.Status}}", container)
		if !strings.HasPrefix(state, "running ") {
			logs, _ := g.try(patience, "logs", container)
			g.t.Fatalf("it is %s\n%s", state, logs)
		}
		return state == "running healthy"
	})
	if got := g.docker("exec", container, "/recoup", "ready"); got != "ready" {
		g.t.Errorf("recoup ready says %q", got)
	}
}

// isConfined: the process is the image's user, and can write to its volume alone.
func (g *running) isConfined() {
	g.t.Helper()
	pid := g.docker("inspect", "--format={{.State.Pid}}", container)
	status, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		g.t.Fatal(err)
	}
	_, final := dockerfile(g.t)
	uid, gid, _ := strings.Cut(one(g.t, final, "USER"), ":")
	for _, want := range []string{"Uid:\t" + uid + "\t", "Gid:\t" + gid + "\t", "CapEff:\t0000000000000000\n", "NoNewPrivs:\t1\n"} {
		if !strings.Contains(string(status), want) {
			g.t.Errorf("no %q in\n%s", want, status)
		}
	}
	mounts, err := os.ReadFile("/proc/" + pid + "/mounts")
	if err != nil {
		g.t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		readOnly := strings.HasPrefix(fields[3]+",", "ro,")
		if want, ok := map[string]bool{"/": true, "/etc/recoup/recoup.yaml": true, "/var/lib/recoup": false}[fields[1]]; ok && readOnly != want {
			g.t.Errorf("%s is read-only: %v", fields[1], readOnly)
		}
	}
}

func (g *running) hasCertificates() {
	g.t.Helper()
	path := filepath.Join(g.t.TempDir(), "certificates")
	g.docker("cp", container+":/etc/ssl/certs/ca-certificates.crt", path)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o400 == 0 {
		g.t.Errorf("certificates: %v", err)
	}
}

func (g *running) status(url, token string) int {
	g.t.Helper()
	req, err := http.NewRequestWithContext(g.t.Context(), http.MethodGet, url, nil)
	if err != nil {
		g.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := g.client.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// adminIsGuarded: metrics and health are for all, the audit for who has the token,
// which is got as docs/deploy.md says.
func (g *running) adminIsGuarded() {
	g.t.Helper()
	path := filepath.Join(g.t.TempDir(), "admin-token")
	g.docker("cp", container+":"+imageEnv(g.t)["RECOUP_DATA_DIR"]+"/admin-token", path)
	data, err := os.ReadFile(path)
	if err != nil {
		g.t.Fatal(err)
	}
	token := strings.TrimSpace(string(data))
	for _, tt := range []struct {
		path, token string
		want        int
	}{
		{"/metrics", "", 200}, {"/healthz", "", 200}, {"/readyz", "", 200},
		{"/api/v1/audit", "", 401}, {"/api/v1/audit", "wrong", 401}, {"/api/v1/audit", token, 200},
	} {
		if got := g.status(g.admin+tt.path, tt.token); got != tt.want {
			g.t.Errorf("%s with %d characters of a token: %d, want %d", tt.path, len(tt.token), got, tt.want)
		}
	}
	if logs, err := g.try(patience, "logs", container); err != nil || strings.Contains(logs, token) {
		g.t.Errorf("the log tells the token, or there is none: %v", err)
	}
}

// call makes a streamed call of so many tokens.
func (g *running) call(key string, s simulator.Script) *http.Response {
	g.t.Helper()
	req, err := http.NewRequestWithContext(g.t.Context(), http.MethodPost, g.data+"/demo/v1/chat/completions",
		strings.NewReader(`{"model":"gpt-5.5","stream":true,"messages":[{"role":"user","content":"Why?"}]}`))
	if err != nil {
		g.t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Authorization": "Bearer sk-test", "Content-Type": "application/json", "Idempotency-Key": key, simulator.ScriptHeader: s.Header(),
	} {
		req.Header.Set(name, value)
	}
	resp, err := g.client.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(resp.Body)
		g.t.Fatalf("%s: %s", resp.Status, body)
	}
	return resp
}

func whole(t *testing.T, r io.Reader) []byte {
	t.Helper()
	body, err := io.ReadAll(r)
	if err != nil || !bytes.HasSuffix(body, []byte("data: [DONE]\n\n")) {
		t.Fatalf("not to its end: %v\n%s", err, body)
	}
	return body
}

// survivesAKill: what an answer was before it, is there after it.
func (g *running) survivesAKill() {
	g.t.Helper()
	first := g.call("kept", simulator.Script{Tokens: 50})
	if resumed := first.Header.Get("Recoup-Resumed"); resumed != "no" {
		g.t.Errorf("resumed: %s", resumed)
	}
	before := whole(g.t, first.Body)
	g.docker("kill", container)
	if state := g.docker("inspect", "--format={{.State.Status}} {{.State.ExitCode}}", container); state != "exited 137" {
		g.t.Errorf("after the kill: %s", state)
	}
	g.docker("start", container)
	g.awaitHealth()
	again := g.call("kept", simulator.Script{Tokens: 50})
	if resumed := again.Header.Get("Recoup-Resumed"); resumed != "key" {
		g.t.Errorf("resumed: %s", resumed)
	}
	if after := whole(g.t, again.Body); !bytes.Equal(before, after) {
		g.t.Errorf("%d bytes before, %d after", len(before), len(after))
	}
}

// drainsWhenStopped: an answer that runs comes to its end, then the process does.
func (g *running) drainsWhenStopped() {
	g.t.Helper()
	resp := g.call("running", simulator.Script{Tokens: 60, Interval: 25 * time.Millisecond})
	body := bufio.NewReader(resp.Body)
	if _, err := body.ReadString('\n'); err != nil {
		g.t.Fatal(err)
	}
	grace := time.Duration(*compose(g.t).Services["gateway"].StopGracePeriod)
	stopped := make(chan error, 1)
	go func() {
		_, err := g.try(patience, "stop", "--time", fmt.Sprint(int(grace.Seconds())), container)
		stopped <- err
	}()
	g.until("it drains", func() bool { return g.status(g.admin+"/readyz", "") == http.StatusServiceUnavailable })
	whole(g.t, body)
	if err := <-stopped; err != nil {
		g.t.Error(err)
	}
	if state := g.docker("inspect", "--format={{.State.Status}} {{.State.ExitCode}} {{.State.OOMKilled}}", container); state != "exited 0 false" {
		logs, _ := g.try(patience, "logs", container)
		g.t.Errorf("after the stop: %s\n%s", state, logs)
	}
}

// canBeBackedUp, while it is stopped, as docs/deploy.md says.
func (g *running) canBeBackedUp() {
	g.t.Helper()
	dir, data := g.t.TempDir(), imageEnv(g.t)["RECOUP_DATA_DIR"]
	for _, name := range []string{"ledger", "ledger.head"} {
		g.docker("cp", container+":"+data+"/"+name, dir)
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() == 0 {
			g.t.Errorf("%s: %v", name, err)
		}
	}
}
