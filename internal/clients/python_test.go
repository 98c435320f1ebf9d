package clients

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// python runs python/driver.py, with the SDKs of python/requirements.txt.
var python = driver{
	name:  "python",
	gated: true,
	command: func() []string {
		n, err := nursery()
		if err != nil {
			panic(err) // else each of its tests would fail, for the same reason
		}
		return []string{n.interpreter, "-I", "-S", n.program, n.socket, "--borrow"}
	},
	version: pinnedVersion,
}

var pythonClients = []client{
	{name: "openai-python/chat.create", driver: python, dialect: chat, calls: both, root: "/v1", module: "openai", marks: true, repeatsLost: true, repeatsTimeout: true},
	{name: "openai-python/chat.create.async", driver: python, dialect: chat, calls: both, root: "/v1", module: "openai", marks: true, repeatsLost: true, repeatsTimeout: true},
	{name: "openai-python/chat.stream", driver: python, dialect: chat, calls: []string{stream}, root: "/v1", module: "openai", marks: true, repeatsLost: true, repeatsTimeout: true},
	{name: "openai-python/responses.create", driver: python, dialect: responses, calls: both, root: "/v1", module: "openai", marks: true, repeatsLost: true, repeatsTimeout: true},
	{name: "openai-python/responses.stream", driver: python, dialect: responses, calls: []string{stream}, root: "/v1", module: "openai", marks: true, repeatsLost: true, repeatsTimeout: true},
	{name: "anthropic-python/messages.create", driver: python, dialect: messages, calls: both, module: "anthropic", marks: true, repeatsLost: true, repeatsTimeout: true},
	{name: "anthropic-python/messages.stream", driver: python, dialect: messages, calls: []string{stream}, module: "anthropic", marks: true, repeatsLost: true, repeatsTimeout: true},
	{name: "anthropic-python/messages.stream.async", driver: python, dialect: messages, calls: []string{stream}, module: "anthropic", marks: true, repeatsLost: true, repeatsTimeout: true},
	{name: "langchain-python/openai", driver: python, dialect: chat, calls: both, root: "/v1", module: "langchain-openai", marks: true, repeatsLost: true, repeatsTimeout: true},
	{name: "langchain-python/anthropic", driver: python, dialect: messages, calls: both, module: "langchain-anthropic", marks: true, repeatsLost: true, repeatsTimeout: true},
	{name: "litellm/openai", driver: python, dialect: chat, calls: both, root: "/v1", module: "litellm", marks: true, repeatsLost: true, repeatsTimeout: true},
	{name: "litellm/openai.async", driver: python, dialect: chat, calls: both, root: "/v1", module: "litellm", marks: true, repeatsLost: true, repeatsTimeout: true},
	{name: "litellm/anthropic", driver: python, dialect: messages, calls: both, module: "litellm"},
	{name: "litellm/anthropic.async", driver: python, dialect: messages, calls: both, module: "litellm"},
	{name: "genai-python/generate_content", driver: python, dialect: gemini, calls: both, module: "google-genai"},
	{name: "genai-python/generate_content.async", driver: python, dialect: gemini, calls: both, module: "google-genai", repeatsLost: true},
	{name: "boto3/converse", driver: python, dialect: converse, calls: both, module: "boto3", marks: true, repeatsLost: true, repeatsTimeout: true},
	{name: "boto3/invoke_model", driver: python, dialect: invoke, calls: both, module: "boto3", marks: true, repeatsLost: true, repeatsTimeout: true},
}

// lender is a process that has all SDKs imported, which takes seconds, and of which
// each driver is a fork.
type lender struct {
	interpreter string
	program     string
	socket      string
	stop        func()
}

var nursery = sync.OnceValues(func() (*lender, error) {
	interpreter, err := venv("requirements.txt")
	if err != nil {
		return nil, err
	}
	n := &lender{interpreter: interpreter, program: filepath.Join(folder("python"), "nursery.py"), socket: filepath.Join(scratch, "nursery")}
	cmd := exec.Command(n.interpreter, n.program, n.socket)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + scratch}
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	n.stop = func() {
		_ = stdin.Close() // at which it ends
		_ = cmd.Wait()
	}
	atEnd = append(atEnd, n.stop)
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
		return nil, fmt.Errorf("%s: %q, %w", n.program, line, err)
	}
	return n, nil
})

// uv installs what pip would take minutes for.
const uv = "uv==0.13.9"

// venv returns the interpreter of a virtual environment with a list of packages of python/.
// It is made once, in the user's cache, and not again until the list is changed.
func venv(list string) (string, error) {
	list = filepath.Join(folder("python"), list)
	text, err := os.ReadFile(list)
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	_, _ = io.WriteString(sum, uv+"\n"+string(text)) // never fails
	dir := filepath.Join(cache, "recoup-clients", fmt.Sprintf("python-%x", sum.Sum(nil)[:8]))
	interpreter, whole := filepath.Join(dir, "bin", "python"), filepath.Join(dir, "whole")
	if _, err := os.Stat(whole); err == nil {
		return interpreter, nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	for _, command := range [][]string{
		{"python3", "-m", "venv", dir},
		{interpreter, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", uv},
		{interpreter, "-m", "uv", "pip", "install", "--quiet", "--python", interpreter, "--compile-bytecode", "--requirement", list},
	} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("%q: %w\n%s", command, err, out)
		}
	}
	return interpreter, os.WriteFile(whole, nil, 0o600)
}

// pinnedVersion is that of a package of python/requirements.in.
func pinnedVersion(name string) string {
	data, err := os.ReadFile(filepath.Join("python", "requirements.in"))
	if err != nil {
		panic(err)
	}
	_, rest, _ := strings.Cut(string(data), "\n"+name+"==")
	version, _, _ := strings.Cut(rest, "\n")
	return version
}
