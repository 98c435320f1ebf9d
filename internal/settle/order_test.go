package settle

import (
	"testing"

	"github.com/recoup-gateway/recoup/internal/streamlog"
)

// TestOrder: who came, left and died when, where that decides what is posted.
func TestOrder(t *testing.T) {
	kill := streamlog.Mark{Kind: streamlog.MarkKill}
	stop := streamlog.Mark{Kind: streamlog.MarkCancel, Cause: "cancelled"}
	key := streamlog.Attachment{Via: "key"}
	for _, c := range []struct {
		name string
		act  func(p *play)
		want string
	}{
		{"the provider had failed before the gateway was killed", func(p *play) {
			c := p.owner()
			p.head(200).words(3)
			c.Delivered(3)
			p.words(2).end(streamlog.Interrupted, "upstream").mark(kill)
		}, "wasted/upstream 3, lost/upstream 2, input wasted/upstream 100 (bounded, counted)"},
		{"it was cancelled before the gateway was killed", func(p *play) {
			c := p.owner()
			p.head(200).words(3)
			c.Delivered(3)
			p.words(2).end(streamlog.Cancelled, "cancelled").mark(kill)
		}, "delivered/cancelled 3, lost/cancelled 2, input delivered/cancelled 100 (bounded, counted)"},
		{"damaged by the kill", func(p *play) {
			c := p.owner()
			p.head(200).words(3)
			c.Delivered(3)
			p.words(2).mark(kill).end(streamlog.Interrupted, "damaged")
		}, "wasted/damaged 3, lost/damaged 2, input wasted/damaged 100 (bounded, counted)"},
		{"killed when it was complete", func(p *play) {
			c := p.owner()
			p.head(200).words(3)
			c.Delivered(2)
			p.finish(20, 3).mark(kill).completed()
		}, "delivered/live 3, input delivered/live 20 (reported, reported)"},
		{"looked at after a cancel, while the owner still reads", func(p *play) {
			c := p.owner()
			p.head(200).words(5).end(streamlog.Cancelled, "cancelled")
			p.leave(p.attach(streamlog.Attachment{Via: "id", Observe: true}), 5, "done").leave(c, 4, "client")
		}, "delivered/cancelled 4, lost/cancelled 1, input delivered/cancelled 100 (bounded, counted)"},
		{"looked at after a shutdown, while the owner still reads", func(p *play) {
			c := p.owner()
			p.head(200).words(5).end(streamlog.Interrupted, "shutdown")
			p.leave(p.attach(streamlog.Attachment{Via: "id", Observe: true}), 5, "done").leave(c, 4, "gateway")
		}, "wasted/crash 4, lost/crash 1, input wasted/crash 100 (bounded, counted)"},
		{"taken over after a cancel", func(p *play) {
			c := p.owner()
			p.head(200).words(5).end(streamlog.Cancelled, "cancelled")
			p.leave(p.attach(streamlog.Attachment{Via: "id"}), 5, "done").leave(c, 4, "client")
		}, "delivered/cancelled 4, lost/cancelled 1, input delivered/cancelled 100 (bounded, counted)"},
		{"cancelled with two owners, and the older leaves first", func(p *play) {
			first := p.owner()
			p.head(200).words(2)
			second := p.attach(key)
			p.words(3).end(streamlog.Cancelled, "cancelled").leave(first, 2, "client").leave(second, 5, "client")
		}, "delivered/cancelled 5, input delivered/cancelled 100 (bounded, counted)"},
		{"cancelled as it gets complete, and the owner reads on", func(p *play) {
			c := p.owner()
			p.head(200).words(5).finish(20, 5).mark(stop).leave(c, p.events, "done").completed()
		}, "delivered/live 5, input delivered/live 20 (reported, reported)"},
		{"cancelled as it gets complete, and the owner leaves", func(p *play) {
			c := p.owner()
			p.head(200).words(5).finish(20, 5).mark(stop).leave(c, 2, "client").completed()
		}, "delivered/cancelled 2, lost/cancelled 3, input delivered/cancelled 20 (reported, reported)"},
		{"taken over by one that needs nothing more", func(p *play) {
			c := p.owner()
			p.head(200).words(5).finish(20, 5).completed()
			c.Delivered(2)
			p.leave(p.attach(streamlog.Attachment{Index: p.events, Via: "id", Explicit: true}), p.events, "done").leave(c, p.events, "done")
		}, "delivered/live 5, input delivered/live 20 (reported, reported)"},
		{"the provider fails, and the newer owner needs nothing more", func(p *play) {
			c := p.owner()
			p.head(200).words(5).end(streamlog.Interrupted, "upstream")
			c.Delivered(2)
			p.leave(p.attach(streamlog.Attachment{Index: 5, Via: "id", Explicit: true}), 5, "done").leave(c, 5, "done")
		}, "wasted/upstream 5, input wasted/upstream 100 (bounded, counted)"},
		{"the newer owner leaves, the older reads on", func(p *play) {
			first := p.owner()
			p.head(200).words(2)
			p.leave(p.attach(key), 1, "client").words(1).finish(20, 3).leave(first, p.events, "done").completed()
		}, "delivered/live 3, input delivered/live 20 (reported, reported)"},
		{"killed, looked at, and read again", func(p *play) {
			c := p.owner()
			p.head(200).words(4)
			c.Delivered(2)
			p.words(1).mark(kill).end(streamlog.Interrupted, "crash")
			p.leave(p.attach(streamlog.Attachment{Via: "id", Observe: true}), 5, "done")
			p.leave(p.attach(streamlog.Attachment{Via: "id"}), 3, "client")
		}, "wasted/crash 3, lost/crash 2, input wasted/crash 100 (bounded, counted)"},
		{"a resume that skips", func(p *play) {
			c := p.owner()
			p.head(200).words(5).leave(c, 1, "client")
			again := p.attach(streamlog.Attachment{Index: 3, Via: "id", Explicit: true})
			p.finish(20, 5).leave(again, p.events, "done").completed()
		}, "delivered/live 1, delivered/resumed 2, lost/abandoned 2, input delivered/resumed 20 (reported, reported)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			p := s.stream()
			c.act(p)
			s.expire()
			p.want(c.want)
			if _, err := s.ledger.Verify(t.Context(), nil); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestDiedConnected: of connections that left no end, the process of which has
// died, the last owner alone is taken to have had a complete answer.
func TestDiedConnected(t *testing.T) {
	s := newSite(t)
	p := s.stream()
	first := p.owner()
	p.head(200).words(3)
	first.Delivered(3)
	p.attach(streamlog.Attachment{Via: "key"})
	p.words(2).finish(20, 5).mark(streamlog.Mark{Kind: streamlog.MarkKill}).completed()
	for range 20 { // whatever the order of a map
		v, err := s.settler.View(p.log)
		if err != nil {
			t.Fatal(err)
		}
		if saved := v.Books.Saved.OutputTokens; !v.Books.Settled || saved != 3 {
			t.Fatalf("settled: %v, saved %d", v.Books.Settled, saved)
		}
	}
}

// TestDiedAfterItsEnd: connections that were still reading when their process was
// killed left no end, and nothing in the log says so.
func TestDiedAfterItsEnd(t *testing.T) {
	s := newSite(t)
	failed, cancelled, complete := s.stream(), s.stream(), s.stream()
	for _, p := range []*play{failed, cancelled, complete} {
		c := p.owner()
		p.head(200).words(3)
		c.Delivered(3)
		p.words(2)
	}
	failed.end(streamlog.Interrupted, "upstream")
	cancelled.end(streamlog.Cancelled, "cancelled")
	complete.finish(0, noUsage).completed()
	s.settler.Flush()
	s.close()
	s.open()
	s.expire()
	for p, want := range map[*play]string{
		failed:    "wasted/upstream 3, lost/upstream 2, input wasted/upstream 100 (bounded, counted)",
		cancelled: "delivered/cancelled 3, lost/cancelled 2, input delivered/cancelled 100 (bounded, counted)",
		complete:  "delivered/live 5, input delivered/live 100 (bounded, counted)",
	} {
		p.want(want)
	}
}
