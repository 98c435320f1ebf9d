package clients

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Calls that a client can make.
const (
	plain  = "plain"
	stream = "stream"
)

// A client is one way to use one SDK.
type client struct {
	name    string // as its driver knows it
	driver  driver
	dialect dialect
	calls   []string // plain, stream
	root    string   // what its base URL has behind the gateway's
	module  string   // whose version the table shows
	http2   bool     // speaks that without TLS: the relay, which has to read its requests, can't

	// What the SDK does by itself.
	marks          bool // says that it repeats a call: x-stainless-retry-count, amz-sdk-request
	repeatsLost    bool // repeats a call whose connection broke before the answer
	repeatsTimeout bool // repeats one that it timed out
}

func (c client) makes(call string) bool { return slices.Contains(c.calls, call) }

// A dialect is what a client speaks, with what tests have to know of it.
type dialect struct {
	name    string
	model   string
	prelude int // events that the simulator sends before the first token

	// A signed call has the id of an access key where others have a key. The gateway
	// signs it anew with a key of its own, so a wrong one is not seen.
	signed bool
}

const claudeAtBedrock = "us.anthropic.claude-haiku-4-5-20251001-v1:0"

var (
	chat      = dialect{name: "chat", model: "gpt-5.5", prelude: 1}
	responses = dialect{name: "responses", model: "gpt-5.5", prelude: 4}
	messages  = dialect{name: "messages", model: "claude-opus-4-8", prelude: 3}
	gemini    = dialect{name: "gemini", model: "gemini-2.5-pro"}
	converse  = dialect{name: "converse", model: claudeAtBedrock, prelude: 1, signed: true}
	invoke    = dialect{name: "invoke", model: claudeAtBedrock, prelude: 2, signed: true}
)

// A driver makes calls with the SDKs of one language, by the protocol of this
// package's documentation.
type driver struct {
	name    string
	gated   bool // needs what RECOUP_CLIENTS says is installed: 1, all, or names of drivers
	command func() []string
	environ []string // besides that of the protocol
	version func(module string) string
}

// clients are all of them.
func clients() []client {
	return slices.Concat(goClients, jsClients, pythonClients)
}

// A job is what a driver is to do.
type job struct {
	Client     string `json:"client"`
	Call       string `json:"call"`
	Tools      bool   `json:"tools"`
	Key        string `json:"key"`
	Auto       bool   `json:"auto"`
	TimeoutMS  int    `json:"timeout_ms"`
	MaxRetries *int   `json:"max_retries"`
	AbortAfter int    `json:"abort_after"`
	Model      string `json:"model"`
	Prompt     string `json:"prompt"`

	apiKey string // "": the usual one
}

// A line is what a driver prints.
type line struct {
	Delta   *string `json:"delta,omitempty"`
	Answer  *answer `json:"answer,omitempty"`
	Error   *fault  `json:"error,omitempty"`
	Aborted bool    `json:"aborted,omitempty"`
}

// last says that nothing comes after this line.
func (l line) last() bool { return l.Answer != nil || l.Error != nil || l.Aborted }

type answer struct {
	Text   string `json:"text"`
	Tools  []tool `json:"tools"`
	Finish string `json:"finish"`
	Usage  struct {
		Input  int `json:"input"`
		Output int `json:"output"`
	} `json:"usage"`
	Complete bool `json:"complete"`
}

type tool struct {
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

type fault struct {
	Class   string  `json:"class"`
	Status  *int    `json:"status"`
	Code    *string `json:"code"`
	Type    *string `json:"type"`
	Message string  `json:"message"`
}

// process is a driver at work.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	out    *bufio.Scanner
	stderr *bytes.Buffer
	ended  bool
}

// start makes a client call. It knows of base, a gateway's or a provider's URL, by
// the variables that its SDK reads.
func (c client) start(t *testing.T, base string, j job) *process {
	t.Helper()
	j.Client = c.name
	if j.Call == "" {
		j.Call = stream
	}
	if j.Model == "" {
		j.Model = c.dialect.model
	}
	if j.Prompt == "" {
		j.Prompt = "hello"
	}
	if j.apiKey == "" {
		j.apiKey = apiKey
	}
	text, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	command := c.driver.command()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	p := &process{t: t, cmd: exec.CommandContext(ctx, command[0], command[1:]...), stderr: &bytes.Buffer{}}
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + scratch, "NODE_COMPILE_CACHE=" + scratch, jobEnv + "=" + string(text)}, c.driver.environ...)
	for prefix, key := range map[string]string{"OPENAI_": "OPENAI_API_KEY", "ANTHROPIC_": "ANTHROPIC_API_KEY", "GOOGLE_GEMINI_": "GEMINI_API_KEY"} {
		p.cmd.Env = append(p.cmd.Env, prefix+"BASE_URL="+base, key+"="+j.apiKey)
	}
	p.cmd.Env = append(p.cmd.Env, "AWS_ENDPOINT_URL_BEDROCK_RUNTIME="+base, "AWS_ACCESS_KEY_ID="+j.apiKey, "AWS_SECRET_ACCESS_KEY=secret", "AWS_REGION="+region, "AWS_DEFAULT_REGION="+region)
	if j.Auto {
		p.cmd.Env = append(p.cmd.Env, "OPENAI_CUSTOM_HEADERS=Recoup-Resume: auto", "ANTHROPIC_CUSTOM_HEADERS=Recoup-Resume: auto")
	}
	p.cmd.Stderr = p.stderr
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.end)
	p.out = bufio.NewScanner(stdout)
	p.out.Buffer(nil, 1<<20)
	return p
}

// end ends a process that hasn't ended yet.
func (p *process) end() {
	if !p.ended {
		p.ended = true
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	}
}

func (p *process) next() line {
	p.t.Helper()
	if !p.out.Scan() {
		p.ended = true
		p.t.Fatalf("the client says no more: %v, %v\n%s", p.out.Err(), p.cmd.Wait(), p.stderr)
	}
	var l line
	if err := json.Unmarshal(p.out.Bytes(), &l); err != nil {
		p.t.Fatalf("%s: %v", p.out.Bytes(), err)
	}
	return l
}

// read returns the next pieces of text, until there are n characters or more.
func (p *process) read(n int) (text string) {
	p.t.Helper()
	for len(text) < n {
		l := p.next()
		if l.Delta == nil {
			p.t.Fatalf("after %q the client ended with %s", text, show(l))
		}
		text += *l.Delta
	}
	return text
}

// kill ends the process as the kernel does when memory is short.
func (p *process) kill() {
	p.t.Helper()
	if p.ended {
		p.t.Fatal("the client ended before it was killed")
	}
	p.end()
}

// outcome is all that a client made of a call.
type outcome struct {
	Pieces string `json:"pieces"` // put together
	line
}

// finish reads to the end.
func (p *process) finish() (o outcome) {
	p.t.Helper()
	for o.line = p.next(); !o.last(); o.line = p.next() {
		o.Pieces += *o.Delta
	}
	p.ended = true
	if p.out.Scan() {
		p.t.Errorf("the client goes on: %s", p.out.Bytes())
	}
	if err := p.cmd.Wait(); err != nil {
		p.t.Fatalf("%v\n%s", err, p.stderr)
	}
	return o
}

// run makes a call to its end.
func (c client) run(t *testing.T, base string, j job) outcome {
	t.Helper()
	return c.start(t, base, j).finish()
}

func show(v any) string {
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// eachClient runs a test for every client that may run here, some side by side.
func eachClient(t *testing.T, test func(*testing.T, client)) {
	t.Parallel()
	for _, c := range clients() {
		t.Run(strings.ReplaceAll(c.name, "/", ":"), func(t *testing.T) {
			if c.driver.gated && !installed(c.driver.name) {
				t.Skip("its SDK is not of Go: install it, and set RECOUP_CLIENTS=1")
			}
			t.Parallel()
			test(t, c)
		})
	}
}

// installed says whether RECOUP_CLIENTS says so of a driver.
func installed(name string) bool {
	said := os.Getenv("RECOUP_CLIENTS")
	return said == "1" || slices.Contains(strings.Fields(said), name)
}

// folder is the path of a driver's.
func folder(name string) string {
	path, err := filepath.Abs(name)
	if err != nil {
		panic(err) // there is no working directory
	}
	return path
}

// short says that only the short form is wanted: one that takes a minute or two, as CI has it.
func short() bool { return os.Getenv("RECOUP_FULL") == "" }
