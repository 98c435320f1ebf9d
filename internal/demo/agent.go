package demo

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Agent is what the agents' processes do: one HTTP request, with the response
// written to out as it comes, head and all, as curl -iN does. args are the
// method, the URL and, for a POST, the Idempotency-Key. A response that doesn't
// end well is an error.
func Agent(ctx context.Context, args []string, out io.Writer) error {
	if len(args) != 3 {
		return fmt.Errorf("an agent takes a method, a URL and a key, not %q", args)
	}
	var body io.Reader
	if args[0] == http.MethodPost {
		body = strings.NewReader(chatBody)
	}
	req, err := http.NewRequestWithContext(ctx, args[0], args[1], body)
	if err != nil {
		return fmt.Errorf("request: %w", err)
	}
	req.Header.Set("Authorization", credential)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", args[2])
	}
	transport := &http.Transport{DisableCompression: true}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("request: %w", err)
	}
	defer resp.Body.Close()
	if _, err := fmt.Fprintf(out, "%s %s\r\n", resp.Proto, resp.Status); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	if err := resp.Header.Write(out); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	if _, err := io.WriteString(out, "\r\n"); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	if _, err := io.Copy(out, resp.Body); err != nil {
		return fmt.Errorf("response: %w", err)
	}
	return nil
}
