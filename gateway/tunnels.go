package gateway

import (
	"context"
	"fmt"
	"sync"
)

// tunnels are the connections that were upgraded, of realtime calls for
// example. The HTTP server knows of them no more, so the gateway ends them.
type tunnels struct {
	open sync.WaitGroup
	cut  context.Context    // ends when those that are open must end
	stop context.CancelFunc // ends it
}

// openTunnel counts a tunnel, which is ended by cancel. The caller says when it
// is closed.
func (g *Gateway) openTunnel(cancel context.CancelFunc) (closed func(), err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.draining {
		return nil, errDraining
	}
	g.tunnels.open.Add(1)
	forget := context.AfterFunc(g.tunnels.cut, cancel)
	return func() {
		forget()
		g.tunnels.open.Done()
	}, nil
}

// end waits until no tunnel is open, and cuts those that are when ctx ends.
func (t *tunnels) end(ctx context.Context) error {
	none := make(chan struct{})
	go func() {
		t.open.Wait()
		close(none)
	}()
	defer t.stop()
	select {
	case <-none:
		return nil
	case <-ctx.Done():
		t.stop()
		<-none
		return fmt.Errorf("gateway: upgraded connections cut off by the shutdown: %w", context.Cause(ctx))
	}
}
