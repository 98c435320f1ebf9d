package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/recoup-gateway/recoup/cmd/recoup/internal/config"
)

// maxAnswer bounds what a gateway may answer to a command.
const maxAnswer = 64 << 20

// headTimeout is how long a gateway may take to begin its answer.
const headTimeout = 60 * time.Second

// remote is a running gateway, as a command asks it.
type remote struct {
	base       *url.URL
	credential string // bearer; empty: none
	hint       string // what to do about a 401
	client     *http.Client
}

// newRemote is the gateway whose plane is at base, which the flag named flag gave.
func newRemote(flag, base string) (*remote, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("--%s: %q: want http://host:port", flag, base)
	}
	return &remote{base: u, client: &http.Client{
		// Neither a proxy nor another host could answer for this one.
		Transport:     &http.Transport{DisableKeepAlives: true, ResponseHeaderTimeout: headTimeout},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// operator says where the admin plane is, and what it is asked with.
type operator struct {
	url       string
	tokenFile string
}

func (o *operator) flags(c *cobra.Command) {
	c.PersistentFlags().StringVar(&o.url, "admin-url", "", "`URL` of the admin plane (default: of the gateway on this machine, http://127.0.0.1:8485)")
	c.PersistentFlags().StringVar(&o.tokenFile, "admin-token-file", "", "`file` with the admin token (default: "+config.Env("admin_token_file")+
		", else admin-token in the gateway's data directory, as "+config.Env("data_dir")+" names it, else in ./recoup-data)")
}

// operatorRemote is the admin plane. A token that is nowhere is not sent: the
// gateway says that it wants one.
func (p *program) operatorRemote(o operator) (*remote, error) {
	if o.url == "" {
		o.url = p.localAdmin()
	}
	r, err := newRemote("admin-url", o.url)
	if err != nil {
		return nil, err
	}
	path := firstText(o.tokenFile, p.getenv(config.Env("admin_token_file")))
	own := path == ""
	if own {
		path = filepath.Join(firstText(p.getenv(config.Env("data_dir")), "recoup-data"), adminTokenName)
	}
	r.credential, err = config.ReadToken(path)
	if own && errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	r.hint = "--admin-token-file names the file with the admin token; without it, it is looked for in " + path
	return r, err
}

func firstText(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// problem is what a gateway refuses.
type problem struct {
	status        int
	code, message string
}

func (p *problem) Error() string {
	return fmt.Sprintf("the gateway says %d %s: %s", p.status, p.code, p.message)
}

// do makes a request. An error status is an error, unless it comes from a stream:
// then it is what a provider has answered. The caller closes the body.
func (r *remote) do(ctx context.Context, method, path string, in any) (*http.Response, error) {
	target, err := r.base.Parse(strings.TrimSuffix(r.base.EscapedPath(), "/") + path)
	if err != nil {
		return nil, err
	}
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, target.String(), body)
	if err != nil {
		return nil, err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.credential != "" {
		req.Header.Set("Authorization", "Bearer "+r.credential)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: is the gateway running there?", err)
	}
	if resp.StatusCode/100 == 2 || resp.Header.Get("Recoup-Stream-Id") != "" {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, r.refused(resp)
}

func (r *remote) refused(resp *http.Response) error {
	var answer struct {
		Error struct{ Code, Message string }
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, &answer); err != nil || answer.Error.Message == "" {
		return fmt.Errorf("%s answers with %s, which no gateway of this version would", resp.Request.URL, resp.Status)
	}
	p := &problem{resp.StatusCode, answer.Error.Code, answer.Error.Message}
	if p.status == http.StatusUnauthorized && r.hint != "" {
		return fmt.Errorf("%w\n%s", p, r.hint)
	}
	return p
}

// ask makes a request and returns the JSON that it is answered with, and reads it
// into out.
func (r *remote) ask(ctx context.Context, method, path string, in, out any) (json.RawMessage, error) {
	resp, err := r.do(ctx, method, path, in)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, out); err != nil {
		return nil, fmt.Errorf("%s answers with no JSON of the gateway's: %w", resp.Request.URL, err)
	}
	return data, nil
}

// formatFlag adds --format to a command.
func formatFlag(c *cobra.Command, format *string) {
	c.PersistentFlags().StringVar(format, "format", formatTable, "table or json")
}

const (
	formatTable = "table"
	formatJSON  = "json"
)

func checkFormat(format string) error {
	if format != formatTable && format != formatJSON {
		return fmt.Errorf("--format: %q is none of table, json", format)
	}
	return nil
}

// writeJSON prints what a command has found out itself, as JSON.
func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// writeIndented prints what a gateway has answered.
func writeIndented(w io.Writer, data json.RawMessage) error {
	var b bytes.Buffer
	if err := json.Indent(&b, bytes.TrimSpace(data), "", "  "); err != nil {
		return err
	}
	b.WriteByte('\n')
	_, err := b.WriteTo(w)
	return err
}
