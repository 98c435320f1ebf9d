package demo

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

func (s *show) opening() {
	s.print(bold, "An answer that survives its reader\n")
	s.say("   provider   %s   simulated, no key, no network", s.provider.url)
	s.say("   gateway    %s   log in %s", s.data.url, s.dir)
}

// compare is the end: what was joined, and whether it is what the provider sent.
func (s *show) compare(ctx context.Context) error {
	if err := s.sim.WaitIdle(ctx); err != nil {
		return fmt.Errorf("provider: %w", err)
	}
	sent, bill := s.witness.testify(), s.sim.Bill()
	whole := s.second.position()
	s.heading("What was joined:")
	for _, row := range []struct {
		name string
		cursor
	}{
		{"read before the kill", s.first.position()},
		{"generated while nobody was there", s.returned.minus(s.first.position())},
		{"read live after the return", whole.minus(s.returned)},
		{"the whole answer", whole},
	} {
		s.say("   %-34s %4d events %6d bytes", row.name, row.events, row.bytes)
	}
	s.heading("Checked against the provider:")
	return s.verdict([]check{
		{"by key", fmt.Sprintf("the second agent's %d bytes", len(s.second.body)), difference(s.second.body, sent)},
		{"by id", fmt.Sprintf("the first agent's %d bytes and the third's %d together", s.first.whole, len(s.third.body)),
			difference(joined(s.first, s.third), sent)},
		{"called", calledOnce(bill), onlyOnce(bill, len(sent))},
	}, sent)
}

// check is one claim; wrong says what is not as claimed.
type check struct{ name, claim, wrong string }

func (s *show) verdict(checks []check, sent []byte) error {
	var wrong []string
	for _, c := range checks {
		switch {
		case c.wrong != "":
			wrong = append(wrong, c.name+": "+c.wrong)
			s.mark(red, "%-9s WRONG: %s", c.name, c.wrong)
		case c.name == "called":
			s.mark(green, "%-9s %s", c.name, c.claim)
		default:
			s.mark(green, "%-9s %s equal the %d that the provider sent", c.name, c.claim, len(sent))
		}
	}
	s.mark(plain, "%-9s %x", "sha256", sha256.Sum256(sent))
	if len(wrong) > 0 {
		return fmt.Errorf("%w: %s", ErrFailed, strings.Join(wrong, "; "))
	}
	return nil
}

// joined is what an agent has that was broken off and then read the rest: whole
// events, as its offset said.
func joined(broken, rest *child) []byte {
	return append(bytes.Clone(broken.body[:broken.whole]), rest.body...)
}

// difference says where got is not want; "" if it is.
func difference(got, want []byte) string {
	if bytes.Equal(got, want) {
		return ""
	}
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	return fmt.Sprintf("%d bytes were read and %d sent; they differ at byte %d", len(got), len(want), i)
}

// calledOnce is what a bill says that has one line.
func calledOnce(bill []simulator.Entry) string {
	if len(bill) == 0 {
		return ""
	}
	return fmt.Sprintf("once: the provider's bill has one line, of %d output tokens", bill[0].Billed)
}

// onlyOnce says what is wrong with the provider's bill; "" if nothing is.
func onlyOnce(bill []simulator.Entry, sent int) string {
	switch {
	case len(bill) != 1:
		return fmt.Sprintf("the provider was called %d times", len(bill))
	case bill[0].End != simulator.EndCompleted:
		return fmt.Sprintf("the provider did not finish its answer: %s", bill[0].End)
	case bill[0].Bytes != sent:
		return fmt.Sprintf("the provider's bill says %d bytes, and %d were seen", bill[0].Bytes, sent)
	}
	return ""
}

// invite says what can be tried as long as the site is up.
func (s *show) invite() {
	s.sim.On(nil) // from now on answers are slow
	s.heading("It stays up until Ctrl-C. Break this answer with Ctrl-C, and repeat the line:")
	s.say(`
   curl -iN %s%s \
     -H 'Authorization: %s' -H 'Content-Type: application/json' -H 'Idempotency-Key: mine:1' \
     -d '{"model":"gpt-5.5","stream":true,"messages":[{"role":"user","content":"Why?"}]}'`, s.data.url, chatPath, credential)
	s.say(`
   By id and offset, as the third agent did it (curl shows an answer's Recoup-Stream-Id above its text):

   curl -N -H 'Authorization: %s' '%s'`, credential, s.tailURL())
	s.say(`
   What the gateway counted:      curl -s %s/metrics | grep ^recoup_
   What the provider would bill:  curl -s %s/simulator/bill`, s.admin.url, s.provider.url)
}
