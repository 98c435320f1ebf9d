package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/recoup-gateway/recoup/internal/streamlog"
)

// Exit codes of streams tail, beside those of every command.
const (
	exitInterrupted = 3
	exitStreamFails = 4
	exitCancelled   = 5
)

// exitCode ends the program with a code of its own.
type exitCode struct {
	code int
	err  error
}

func (e *exitCode) Error() string { return e.err.Error() }
func (e *exitCode) Unwrap() error { return e.err }

// streamsFlags are those that all commands below streams have.
type streamsFlags struct {
	program  *program
	operator operator
	asCaller bool
	url      string
	keyEnv   string
	format   string
}

func (p *program) streamsCommand() *cobra.Command {
	f := &streamsFlags{program: p}
	c := &cobra.Command{
		Use:   "streams",
		Short: "Look at the streams of a running gateway, follow or cancel them",
		Long: `Look at the streams of a running gateway, follow or cancel them: those of all callers,
through the admin plane. To look never makes one an owner, so it keeps no stream alive.

With --as-caller they are the caller's own, through the data plane. The credential is
read from the environment: the variable that --key-env names, else OPENAI_API_KEY, else
ANTHROPIC_API_KEY.`,
	}
	f.operator.flags(c)
	c.PersistentFlags().BoolVar(&f.asCaller, "as-caller", false, "ask the data plane, as the caller whose streams they are")
	c.PersistentFlags().StringVar(&f.url, "url", "", "`URL` of the data plane (default: of the gateway on this machine, http://127.0.0.1:8484)")
	c.PersistentFlags().StringVar(&f.keyEnv, "key-env", "", "`variable` of the environment that has the caller's credential")
	formatFlag(c, &f.format)
	c.AddCommand(f.listCommand(), f.showCommand(), f.tailCommand(), f.cancelCommand())
	return c
}

// connect returns whom to ask, and how its paths begin.
func (f *streamsFlags) connect() (*remote, string, error) {
	if err := checkFormat(f.format); err != nil {
		return nil, "", err
	}
	if !f.asCaller {
		if f.url != "" || f.keyEnv != "" {
			return nil, "", errors.New("--url and --key-env are for --as-caller")
		}
		r, err := f.program.operatorRemote(f.operator)
		return r, "/api/v1/streams", err
	}
	r, err := newRemote("url", firstText(f.url, f.program.localData()))
	if err != nil {
		return nil, "", err
	}
	names := []string{"OPENAI_API_KEY", "ANTHROPIC_API_KEY"}
	if f.keyEnv != "" {
		names = []string{f.keyEnv}
	}
	for _, name := range names {
		if r.credential = f.program.getenv(name); r.credential != "" {
			return r, "/recoup/streams", nil
		}
	}
	return nil, "", fmt.Errorf("no credential: %s is not set; --key-env names another variable", strings.Join(names, " nor "))
}

// one returns whom to ask for a stream, and with which path.
func (f *streamsFlags) one(id string) (*remote, string, error) {
	if _, err := streamlog.ParseID(id); err != nil {
		return nil, "", fmt.Errorf("%q is not the id of a stream: recoup streams list has them, and each answer its own in Recoup-Stream-Id", id)
	}
	r, base, err := f.connect()
	return r, base + "/" + id, err
}

func (f *streamsFlags) listCommand() *cobra.Command {
	var (
		state, provider, cursor string
		limit                   int
	)
	c := &cobra.Command{
		Use:   "list",
		Short: "List streams, newest first",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			r, base, err := f.connect()
			if err != nil {
				return err
			}
			q := url.Values{"limit": {strconv.Itoa(limit)}}
			for name, v := range map[string]string{"state": state, "provider": provider, "cursor": cursor} {
				if v != "" {
					q.Set(name, v)
				}
			}
			var page streamsPage
			data, err := r.ask(c.Context(), http.MethodGet, base+"?"+q.Encode(), nil, &page)
			if err != nil {
				return err
			}
			if f.format == formatJSON {
				return writeIndented(c.OutOrStdout(), data)
			}
			return writeStreams(c.OutOrStdout(), page)
		},
	}
	c.Flags().StringVar(&state, "state", "", "only these: streaming, completed, interrupted, failed or cancelled")
	c.Flags().StringVar(&provider, "provider", "", "only those of this provider")
	c.Flags().StringVar(&cursor, "cursor", "", "go on where an earlier list has ended")
	c.Flags().IntVar(&limit, "limit", 50, "at most so many, 500 at the most")
	return c
}

func (f *streamsFlags) showCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show all that is known of a stream, with its tokens and what they cost",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			r, path, err := f.one(args[0])
			if err != nil {
				return err
			}
			s, data, err := f.status(c.Context(), r, path)
			if err != nil {
				return err
			}
			return f.write(c.OutOrStdout(), s, data)
		},
	}
}

// status asks how a stream stands.
func (f *streamsFlags) status(ctx context.Context, r *remote, path string) (s streamView, data json.RawMessage, err error) {
	if f.asCaller {
		path += "/status"
	}
	data, err = r.ask(ctx, http.MethodGet, path, nil, &s)
	return s, data, err
}

func (f *streamsFlags) write(w io.Writer, s streamView, data json.RawMessage) error {
	if f.format == formatJSON {
		return writeIndented(w, data)
	}
	return writeStream(w, s)
}

func (f *streamsFlags) cancelCommand() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "cancel ID",
		Short: "Stop a stream: the provider's connection is closed",
		Long: `Stop a stream: the provider's connection is closed, and its clients get an aborted body.
One that has ended stays as it is. It asks before, unless --yes says that it needn't.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			r, path, err := f.one(args[0])
			if err != nil {
				return err
			}
			if !yes {
				s, _, err := f.status(c.Context(), r, path)
				if err != nil {
					return err
				}
				question := fmt.Sprintf("Cancel %s (%s, %s, %s, %d events)?", s.ID, s.State, s.Provider, s.Model, s.Events)
				if err := confirm(c, question); err != nil {
					return err
				}
			}
			var s streamView
			data, err := r.ask(c.Context(), http.MethodPost, path+"/cancel", nil, &s)
			if err != nil {
				return err
			}
			return f.write(c.OutOrStdout(), s, data)
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "don't ask")
	return c
}

// confirm asks on standard error, since the answer to the command is on standard
// output.
func confirm(c *cobra.Command, question string) error {
	if _, err := fmt.Fprintf(c.ErrOrStderr(), "%s [y/N] ", question); err != nil {
		return err
	}
	line, err := bufio.NewReader(c.InOrStdin()).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return nil
	}
	return errors.New("not confirmed, nothing was done; --yes confirms")
}
