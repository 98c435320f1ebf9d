package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/clients/gosdk"
	"github.com/recoup-gateway/recoup/internal/simulator"
	"github.com/recoup-gateway/recoup/internal/streamlog"
)

// agentEnv makes a process of this test binary an agent: its value is a job.
const agentEnv = "RECOUP_TEST_AGENT"

// A job is what an agent process is to do.
type job struct {
	SDK    string
	Key    string
	Stream bool
	Auto   bool // the environment says that equal calls may continue each other
}

// A line is what an agent process prints: a piece of text as it comes, and at
// the end the whole answer.
type line struct {
	Delta  string        `json:",omitempty"`
	Answer *gosdk.Answer `json:",omitempty"`
}

// An agent has to be a process, for only that can be killed. It must not run
// the tests, so it ends before they begin.
func init() {
	text := os.Getenv(agentEnv)
	if text == "" {
		return
	}
	if err := runAgent(text); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func runAgent(text string) error {
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	for _, k := range bedrockSDKs {
		if k.name != j.SDK {
			continue
		}
		out := json.NewEncoder(os.Stdout) // writes each line at once
		var failed error
		answer := k.ask(context.Background(), gosdk.Call{Key: j.Key, Stream: j.Stream, Delta: func(text string) {
			if err := out.Encode(line{Delta: text}); err != nil {
				failed = err
			}
		}})
		if failed != nil {
			return fmt.Errorf("agent: %w", failed)
		}
		return out.Encode(line{Answer: &answer})
	}
	return fmt.Errorf("agent: no SDK %q", j.SDK)
}

// agent is an agent process.
type agent struct {
	t   *testing.T
	cmd *exec.Cmd
	out *bufio.Scanner
}

// startAgent starts a process that knows of the gateway only by the variable
// that its SDK reads its base URL from.
func startAgent(ctx context.Context, t *testing.T, base string, j job) *agent {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, self)
	prefix, _, _ := strings.Cut(strings.ToUpper(j.SDK), " ")
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, prefix+"_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, agentEnv+"="+string(text), prefix+"_BASE_URL="+base, prefix+"_API_KEY=sk-alice",
		"AWS_ENDPOINT_URL_BEDROCK_RUNTIME="+base, "AWS_ACCESS_KEY_ID="+bedrockAccessKey, "AWS_SECRET_ACCESS_KEY=secret", "AWS_REGION=us-east-1",
		"GORACE=atexit_sleep_ms=0") // or each takes a second to end under -race
	if j.Auto {
		cmd.Env = append(cmd.Env, prefix+"_CUSTOM_HEADERS=Recoup-Resume: auto")
	}
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewScanner(stdout)
	out.Buffer(nil, 1<<20)
	return &agent{t, cmd, out}
}

func (a *agent) next() line {
	a.t.Helper()
	if !a.out.Scan() {
		a.t.Fatalf("the agent says no more: %v, %v", a.out.Err(), a.cmd.Wait())
	}
	var l line
	if err := json.Unmarshal(a.out.Bytes(), &l); err != nil {
		a.t.Fatalf("%s: %v", a.out.Bytes(), err)
	}
	return l
}

// read returns the next n pieces of text.
func (a *agent) read(n int) (text string) {
	a.t.Helper()
	for i := range n {
		l := a.next()
		if l.Answer != nil {
			a.t.Fatalf("after %d of %d pieces the agent ended with %s", i, n, show(l.Answer))
		}
		text += l.Delta
	}
	return text
}

// kill ends the process as the kernel does when memory is short.
func (a *agent) kill() {
	a.t.Helper()
	if err := a.cmd.Process.Kill(); err != nil {
		a.t.Fatal(err)
	}
	if a.out.Scan() {
		a.t.Errorf("the agent said more than it should have: %s", a.out.Bytes())
	}
	if err := a.cmd.Wait(); err == nil {
		a.t.Fatal("the agent ended before it was killed")
	}
}

// finish reads to the end.
func (a *agent) finish() (text string, answer gosdk.Answer) {
	a.t.Helper()
	l := a.next()
	for ; l.Answer == nil; l = a.next() {
		text += l.Delta
	}
	if err := a.cmd.Wait(); err != nil {
		a.t.Fatal(err)
	}
	return text, *l.Answer
}

// death is how an agent dies and comes back.
type death struct {
	name   string
	stream bool
	seen   int  // pieces of text it had by then; 0: not even a response head
	after  bool // it comes back when the provider is done
}

var deaths = []death{
	{name: "in mid-answer, and follows the rest", stream: true, seen: 8},
	{name: "in mid-answer, and finds it stored", stream: true, seen: 8, after: true},
	{name: "before the answer, and follows it", stream: true},
	{name: "while the provider works on a JSON answer, and waits again", stream: false},
	{name: "while the provider works on a JSON answer, and finds it stored", stream: false, after: true},
}

func dieAndComeBack(t *testing.T, s *site, k sdk, d death, j job) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	whole, _ := s.run(k, gosdk.Call{Base: s.provider + k.root, Stream: d.stream}, simulator.Script{Tokens: 60})
	if whole.Fault.Kind != "" || whole.Output != 60 {
		t.Fatalf("direct: %s", show(whole))
	}
	arrived := make(chan struct{}, 8)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		s.server.Config.Handler.ServeHTTP(w, r)
	}))
	defer front.Close()
	base := front.URL + k.root

	script := simulator.Script{Tokens: 60, StallHead: d.seen == 0}
	if d.seen > 0 {
		script.StallAfterEvents = k.prelude + d.seen
	}
	s.sim.Reset()
	s.sim.Next(script)
	first := startAgent(ctx, t, base, j)
	<-arrived
	had := first.read(d.seen)
	if err := s.sim.WaitStalled(ctx, 1); err != nil {
		t.Fatal(err)
	}
	first.kill()
	if j.Auto {
		s.awaitNoReader() // a connection that is not known to be gone keeps its answer
	}
	if !strings.HasPrefix(whole.Text, had) || d.seen > 0 && (had == "" || had == whole.Text) {
		t.Fatalf("killed with %q of %q", had, whole.Text)
	}
	if d.after {
		s.sim.Release()
		if err := s.sim.WaitIdle(ctx); err != nil {
			t.Fatal(err)
		}
	}

	second := startAgent(ctx, t, base, j)
	<-arrived
	if again := second.read(d.seen); again != had {
		t.Errorf("came back to %q, had %q", again, had)
	}
	s.sim.Release()
	rest, got := second.finish()
	if d.stream && had+rest != whole.Text {
		t.Errorf("pieces: %q, want %q", had+rest, whole.Text)
	}
	if !reflect.DeepEqual(got, whole) {
		t.Errorf("came back to\n%s\nwant\n%s", show(got), show(whole))
	}
	s.paidOnce(ctx, got)
}

// awaitNoReader waits until the gateway knows that nobody reads the newest stream
// any more.
func (s *site) awaitNoReader() {
	s.t.Helper()
	s.awaitConnections(s.newest(), 0)
}

// paidOnce checks that the provider was called once, for all of an answer.
func (s *site) paidOnce(ctx context.Context, got gosdk.Answer) {
	s.t.Helper()
	if err := s.sim.WaitIdle(ctx); err != nil {
		s.t.Fatal(err)
	}
	if n := s.sim.Calls(); n != 1 {
		s.t.Fatalf("the provider was called %d times", n)
	}
	e := s.sim.Bill()[0]
	if e.End != simulator.EndCompleted || e.Answer != got.Output || e.Billed != got.Output {
		s.t.Errorf("the bill says %+v, the agent got %d tokens", e, got.Output)
	}
}

// newest is the newest stream's id.
func (s *site) newest() string {
	s.t.Helper()
	list, err := s.log.List(principalOf(s), streamlog.ID{}, 1, func(streamlog.Info) bool { return true })
	if err != nil || len(list) != 1 {
		s.t.Fatalf("%d streams, %v", len(list), err)
	}
	return list[0].Header.ID.String()
}
