package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/recoup-gateway/recoup/cmd/recoup/internal/config"
)

const (
	keyListen      = "listen"
	keyAdminListen = "admin_listen"
)

// readyCommand is the health check of an image that has no other program.
func (p *program) readyCommand() *cobra.Command {
	var (
		adminURL string
		timeout  time.Duration
	)
	c := &cobra.Command{
		Use:   "ready",
		Short: "Ask a running gateway whether it is ready",
		Long: `Ask a running gateway whether it is ready for calls: its /readyz, on the admin
plane. What it answers is printed. The exit code is 0 if it is ready, else 1.

Without --admin-url it is the gateway on this machine, on the port of
` + config.Env(keyAdminListen) + ` if that is set. It is the health check of the container image.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if adminURL == "" {
				adminURL = p.localAdmin()
			}
			ctx, cancel := context.WithTimeout(c.Context(), timeout)
			defer cancel()
			answer, err := askReady(ctx, adminURL)
			if err != nil {
				return fmt.Errorf("not ready: %w", err)
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), answer)
			return err
		},
	}
	c.Flags().StringVar(&adminURL, "admin-url", "", "`URL` of the admin plane (default: of the gateway on this machine, http://127.0.0.1:8485)")
	c.Flags().DurationVar(&timeout, "timeout", 3*time.Second, "`time` after which it counts as not ready")
	return c
}

// localAdmin is the URL of the admin plane on this machine, as far as the
// environment says. The process that serves has the same one in a container.
func (p *program) localAdmin() string { return p.local(keyAdminListen, "8485") }

// localData is likewise that of the data plane.
func (p *program) localData() string { return p.local(keyListen, "8484") }

func (p *program) local(key, port string) string {
	host := "127.0.0.1"
	for _, pair := range p.environ {
		address, ok := strings.CutPrefix(pair, config.Env(key)+"=")
		if !ok {
			continue
		}
		h, n, err := net.SplitHostPort(address)
		if err != nil {
			continue // serve says what is wrong with it
		}
		port = n
		if ip := net.ParseIP(h); h != "" && (ip == nil || !ip.IsUnspecified()) {
			host = h
		}
	}
	return "http://" + net.JoinHostPort(host, port)
}

// askReady returns what /readyz says if that is yes, and an error if not.
func askReady(ctx context.Context, adminURL string) (string, error) {
	u, err := url.Parse(adminURL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", fmt.Errorf("--admin-url: %q: want http://host:port", adminURL)
	}
	u = u.JoinPath("readyz")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return "", err
	}
	// Neither a proxy nor another host could answer for this one.
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if err != nil {
		return "", err
	}
	answer := string(bytes.TrimSpace(body))
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s: %s", u, resp.Status, answer)
	}
	return answer, nil
}
