package demo

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

// The provider's pace.
const (
	perEvent  = 5 // tokens
	interval  = 8 * time.Millisecond
	thinking  = 150 * time.Millisecond // of a model that reasons first
	firstWord = 40 * time.Millisecond  // of one that doesn't
	tail      = 7                      // tokens billed after the provider was told to stop
	overhang  = 30                     // events that come for an agent who won't return, until the gateway gives it up
)

// plan is what an agent is going to do, by the seed.
type plan struct {
	role
	number   int
	run      string           // makes names those of one run, where there may be several at a gateway
	bodies   [][]byte         // of its calls
	stop     int              // events of the last answer after which its fate comes
	after    time.Duration    // how long it is away
	withUse  bool             // it asks for the usage itself
	provider simulator.Script // of the last answer
}

func (p *plan) name() string { return fmt.Sprintf("%sagent-%02d", p.run, p.number) }

// plans are those of the whole cast.
func plans(seed uint64) (all []*plan) {
	for _, r := range cast {
		for range r.agents {
			all = append(all, newPlan(r, len(all)+1, seed))
		}
	}
	return all
}

// newPlan is a plan for the stage, where the provider waits for what is to happen.
func newPlan(r role, number int, seed uint64) *plan {
	p := draw(r, number, seed, "")
	switch {
	case r.fate == graced:
		p.provider.StallAfterEvents, p.provider.StallAlso = p.stop, []int{min(p.stop+overhang, r.answer/perEvent)}
	case r.fate == upstream:
		p.provider.ErrorAfterEvents = p.stop
	case r.fate != steady:
		p.provider.StallAfterEvents = p.stop // it waits there for what is to happen
	}
	return p
}

// draw makes a plan whose provider just answers.
func draw(r role, number int, seed uint64, run string) *plan {
	random := rand.New(rand.NewPCG(seed, uint64(number)))
	events := r.answer / perEvent
	p := &plan{
		role: r, number: number, run: run,
		stop:    events*3/10 + random.IntN(events*4/10),
		after:   100*time.Millisecond + time.Duration(random.IntN(400))*time.Millisecond,
		withUse: random.IntN(2) == 0,
	}
	p.bodies = p.conversation(random)
	p.provider = p.script()
	return p
}

// script is an answer to which nothing happens.
func (p *plan) script() simulator.Script {
	s := simulator.Script{
		Tokens: p.answer, Hidden: p.hidden, TokensPerEvent: perEvent, Interval: interval, TTFT: firstWord,
		OnDisconnect: simulator.BillStops, TailTokens: tail,
	}
	if p.hidden > 0 {
		s.TTFT = thinking
	}
	return s
}

// tooling is an answer that asks for a tool.
func (p *plan) tooling(call int) simulator.Script {
	s := p.script()
	s.Tokens, s.Hidden = 40, p.hidden/2
	s.Tools = []simulator.Tool{{Name: "read_file", Arguments: fmt.Sprintf(`{"path":"src/part_%02d.go","from":1,"to":%d}`, call, 80*call)}}
	return s
}

// message is one of a conversation.
type message struct {
	Role       string     `json:"role"`
	Content    string     `json:"content"`
	ToolCalls  []toolCall `json:"tool_calls,omitempty"`
	ToolCallID string     `json:"tool_call_id,omitempty"`
}

type toolCall struct {
	ID       string `json:"id"`
	Type     string `json:"type"`
	Function struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	} `json:"function"`
}

// conversation makes the bodies of all calls. Each has what the one before had,
// and what the tool said.
func (p *plan) conversation(random *rand.Rand) (bodies [][]byte) {
	messages := []message{
		{Role: "system", Content: "You are " + p.name() + ". Work through the documents and answer with what they say."},
		{Role: "user", Content: document(random, p.kib<<10)},
	}
	for call := range p.calls {
		body := struct {
			Model    string    `json:"model"`
			Stream   bool      `json:"stream"`
			Options  any       `json:"stream_options,omitempty"`
			Limit    int       `json:"max_completion_tokens"`
			Messages []message `json:"messages"`
		}{p.model, true, nil, 4096, messages}
		if p.withUse {
			body.Options = map[string]bool{"include_usage": true}
		}
		data, err := json.Marshal(body)
		if err != nil {
			panic(err) // text always marshals
		}
		bodies = append(bodies, data)
		asked := toolCall{ID: fmt.Sprintf("call_%02d%02d", p.number, call), Type: "function"}
		asked.Function.Name, asked.Function.Arguments = "read_file", "{}"
		messages = append(messages,
			message{Role: "assistant", ToolCalls: []toolCall{asked}},
			message{Role: "tool", ToolCallID: asked.ID, Content: document(random, 2<<10)})
	}
	return bodies
}

var vocabulary = strings.Fields(`the request was accepted and its answer is kept until the reader returns while every part of
	the record stays in order so that nobody has to pay twice for what was written once before the process ended`)

// document is a text of about so many bytes.
func document(random *rand.Rand, bytes int) string {
	var b strings.Builder
	for b.Len() < bytes {
		b.WriteString(vocabulary[random.IntN(len(vocabulary))])
		b.WriteByte(' ')
	}
	return b.String()
}
