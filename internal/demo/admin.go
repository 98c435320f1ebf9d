package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"github.com/recoup-gateway/recoup/pricing"
)

// admin is the gateway's admin plane. The demo knows of it what any client does:
// its JSON.
type admin struct {
	url  string
	data string // the gateway's data directory
	http *http.Client
}

// summary is what GET /api/v1/audit says, as far as it is shown.
type summary struct {
	Billed    billed              `json:"billed"`
	Outcomes  outcomes            `json:"outcomes"`
	Saved     saved               `json:"saved"`
	Overhead  map[string]overhead `json:"overhead"`
	Missed    missed              `json:"missed"`
	Net       pricing.Sum         `json:"net_usd"`
	Imbalance int64               `json:"imbalance_tokens"`
	ByModel   map[string]byModel  `json:"by_model"`

	Evidence map[string]struct {
		Attempts int `json:"attempts"`
	} `json:"evidence"`
	Pending  int       `json:"pending_attempts"`
	Accounts []account `json:"accounts"`
}

// attempts is how many the books have.
func (s *summary) attempts() (n int) {
	for _, part := range s.Evidence {
		n += part.Attempts
	}
	return n
}

// account is what became of some tokens of a model.
type account struct {
	Model     string      `json:"model"`
	Direction string      `json:"direction"`
	Outcome   string      `json:"outcome"`
	Cause     string      `json:"cause"`
	Tokens    int64       `json:"tokens"`
	USD       pricing.Sum `json:"usd"`
}

// reconciled is what POST /api/v1/reconcile answers, as far as it is shown.
type reconciled struct {
	reconciliation
	Findings    []finding `json:"findings"`
	OutOfBounds []finding `json:"out_of_bounds"`
}

type finding struct {
	Text string `json:"text"`
}

func (a *admin) audit(ctx context.Context) (s summary, err error) {
	return s, a.call(ctx, http.MethodGet, "/api/v1/audit", nil, &s)
}

func (a *admin) reconcile(ctx context.Context, b bill) (r reconciled, err error) {
	return r, a.call(ctx, http.MethodPost, "/api/v1/reconcile", b, &r)
}

func (a *admin) call(ctx context.Context, method, path string, in, out any) error {
	var body bytes.Buffer
	if in != nil {
		if err := json.NewEncoder(&body).Encode(in); err != nil {
			return fmt.Errorf("%s %s: %w", method, path, err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, a.url+path, &body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if method != http.MethodGet { // what changes the books takes the operator's token
		token, err := os.ReadFile(filepath.Join(a.data, "admin-token"))
		if err != nil {
			return fmt.Errorf("%s %s: %w", method, path, err)
		}
		req.Header.Set("Authorization", "Bearer "+string(bytes.TrimSpace(token)))
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, bytes.TrimSpace(data))
	}
	if err == nil {
		err = json.Unmarshal(data, out)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}
