package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"

	"github.com/recoup-gateway/recoup/gateway"
	"github.com/recoup-gateway/recoup/gateway/dialect"
	"github.com/recoup-gateway/recoup/internal/simulator"
)

// site is all that the agents talk to, directly or not.
type site struct {
	dir      string
	sim      *simulator.Simulator
	witness  *witness
	gateway  *Gateway
	client   *http.Client
	provider *server
	data     *server
	admin    *server
}

func openSite(ctx context.Context, o Options) (_ *site, err error) {
	s := &site{
		sim:    simulator.New(simulator.Options{Default: answerScript(tryInterval)}),
		client: &http.Client{Transport: &http.Transport{}},
	}
	pace := answerScript(o.Interval)
	s.sim.On(func(*http.Request, []byte) *simulator.Script { return &pace })
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.dir, err = os.MkdirTemp("", "recoup-demo-"); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	s.witness = &witness{next: s.sim.Handler(), watching: true}
	if s.provider, err = serve(ctx, s.witness); err != nil {
		return nil, err
	}
	base, err := url.Parse(s.provider.url)
	if err != nil {
		return nil, fmt.Errorf("provider: %w", err)
	}
	c := gateway.Defaults()
	c.Providers = map[string]gateway.Provider{
		"openai":    {Name: "openai", BaseURL: base, Dialect: dialect.OpenAI, OnCancel: gateway.BillingStops},
		"anthropic": {Name: "anthropic", BaseURL: base, Dialect: dialect.Anthropic, OnCancel: gateway.BillingStops},
	}
	if s.gateway, err = o.Open(s.dir, c); err != nil {
		return nil, err
	}
	if s.data, err = serve(ctx, s.gateway.Data); err != nil {
		return nil, err
	}
	s.admin, err = serve(ctx, s.gateway.Admin)
	return s, err
}

// close ends what openSite has begun, as far as that came, from the clients'
// side to the provider's: the log is closed when nobody reads it any more.
func (s *site) close() error {
	var errs []error
	s.client.CloseIdleConnections()
	if s.gateway != nil {
		now, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.gateway.Drain(now) // its error says which streams were interrupted, as they are meant to be
	}
	for _, srv := range []*server{s.data, s.admin} {
		if srv != nil {
			errs = append(errs, srv.close())
		}
	}
	if s.gateway != nil {
		errs = append(errs, s.gateway.Close())
	}
	if s.provider != nil {
		errs = append(errs, s.provider.close())
	}
	if s.dir != "" {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}

// eventsOf asks the gateway how much of an answer it has.
func (s *site) eventsOf(ctx context.Context, stream string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.data.url+"/recoup/streams/"+stream+"/status", nil)
	if err != nil {
		return 0, fmt.Errorf("status: %w", err)
	}
	req.Header.Set("Authorization", credential)
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, fmt.Errorf("status: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, fmt.Errorf("status: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("status: %s: %s", resp.Status, body)
	}
	var status struct {
		Events int `json:"events"`
	}
	if err := json.Unmarshal(body, &status); err != nil {
		return 0, fmt.Errorf("status: %w", err)
	}
	return status.Events, nil
}
