package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/recoup-gateway/recoup/internal/gatewaykeys"
)

// keysFlags are those that all commands below keys have.
type keysFlags struct {
	program  *program
	operator operator
	format   string
}

func (p *program) keysCommand() *cobra.Command {
	f := &keysFlags{program: p}
	c := &cobra.Command{
		Use:   "keys",
		Short: "Make, list and revoke the keys that clients bring to a running gateway",
		Long: `Make, list and revoke the keys that clients bring to a running gateway, for providers
whose own key the gateway holds (api_key_env). What is changed holds at once.`,
	}
	f.operator.flags(c)
	formatFlag(c, &f.format)
	c.AddCommand(f.createCommand(), f.listCommand(), f.revokeCommand())
	return c
}

func (f *keysFlags) connect() (*remote, error) {
	if err := checkFormat(f.format); err != nil {
		return nil, err
	}
	return f.program.operatorRemote(f.operator)
}

const keysPath = "/api/v1/keys"

func (f *keysFlags) createCommand() *cobra.Command {
	var (
		n       gatewaykeys.New
		tags    []string
		expires time.Duration
	)
	c := &cobra.Command{
		Use:   "create --name NAME",
		Short: "Make a key and print it, once",
		Long: `Make a key and print it on standard output. It is not stored and can't be shown again:
what else there is to say is on standard error.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := f.connect()
			if err != nil {
				return err
			}
			n.Tags = map[string]string{}
			for _, pair := range tags {
				name, v, ok := strings.Cut(pair, "=")
				if !ok {
					return fmt.Errorf("--tag: %q: want name=value", pair)
				}
				n.Tags[name] = v
			}
			if c.Flags().Changed("expires") {
				if expires <= 0 {
					return errors.New("--expires: want a time to come, such as 720h")
				}
				n.Expires = time.Now().Add(expires).UTC().Truncate(time.Second)
			}
			var made struct {
				gatewaykeys.Key
				Secret string `json:"key"`
			}
			data, err := r.ask(c.Context(), http.MethodPost, keysPath, n, &made)
			if err != nil {
				return err
			}
			if f.format == formatJSON {
				return writeIndented(c.OutOrStdout(), data)
			}
			fmt.Fprintf(c.ErrOrStderr(), "%s, %s: keep the key now, it is not shown again\n", made.ID, printable(made.Name, 128))
			_, err = fmt.Fprintln(c.OutOrStdout(), made.Secret)
			return err
		},
	}
	c.Flags().StringVar(&n.Name, "name", "", "what the key is for")
	c.Flags().StringArrayVar(&tags, "tag", nil, "`name=value` that all its calls have, and that wins over Recoup-Tags; repeatable")
	c.Flags().StringVar(&n.Resume, "resume", "", "which of its calls can be resumed: auto, marked or off (default: as the gateway's)")
	c.Flags().DurationVar(&expires, "expires", 0, "`time` after which it is refused, such as 720h (default: never)")
	if err := c.MarkFlagRequired("name"); err != nil {
		panic(err) // there is no such flag
	}
	return c
}

func (f *keysFlags) listCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the keys",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := f.connect()
			if err != nil {
				return err
			}
			var list struct{ Keys []gatewaykeys.Key }
			data, err := r.ask(c.Context(), http.MethodGet, keysPath, nil, &list)
			if err != nil {
				return err
			}
			if f.format == formatJSON {
				return writeIndented(c.OutOrStdout(), data)
			}
			return writeKeys(c.OutOrStdout(), list.Keys)
		},
	}
}

func writeKeys(w io.Writer, keys []gatewaykeys.Key) error {
	if len(keys) == 0 {
		_, err := fmt.Fprintln(w, "No keys. recoup keys create --name NAME makes one.")
		return err
	}
	t := newTable("name", "id", "tags", "resume", "created", "last used", "expires", "revoked")
	for _, k := range keys {
		t.AppendRow(table.Row{printable(k.Name, 40), k.ID, tagsText(k.Tags, 60), k.Resume, day(k.Created), k.Used, day(k.Expires), day(k.Revoked)})
	}
	_, err := fmt.Fprintln(w, t.Render())
	return err
}

func day(t time.Time) string { return formatted(t, time.DateOnly) }

func (f *keysFlags) revokeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "revoke ID",
		Short: "Revoke a key: from now on it is refused",
		Long: `Revoke a key: from now on it is refused, also for answers that are stored. What is being
read at this moment is read on; recoup streams cancel stops that.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			r, err := f.connect()
			if err != nil {
				return err
			}
			if strings.HasPrefix(args[0], "rk_") {
				return errors.New("that is a key, and now in the history of your shell; want its id, key_…, as recoup keys list shows it")
			}
			var k gatewaykeys.Key
			data, err := r.ask(c.Context(), http.MethodPost, keysPath+"/"+url.PathEscape(args[0])+"/revoke", nil, &k)
			if err != nil {
				return err
			}
			if f.format == formatJSON {
				return writeIndented(c.OutOrStdout(), data)
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s, %s, is revoked since %s\n", k.ID, printable(k.Name, 128), times(k.Revoked))
			return err
		},
	}
}
