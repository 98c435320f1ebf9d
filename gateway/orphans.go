package gateway

import (
	"slices"
	"sync"

	"github.com/recoup-gateway/recoup/pricing"
)

// orphans are the streams that are drained without an owner, oldest first. They
// are capped in number, in bytes and in money.
type orphans struct {
	mu    sync.Mutex
	list  []*stream
	bytes int64
	cost  pricing.Picodollars // of the bytes, about
}

// add puts s at the end of the line, unless it stands there, and returns those
// that are over the caps now.
func (o *orphans) add(s *stream, bytes int64, cfg *Config) (victims []*stream) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if s.orphaned {
		return nil
	}
	s.orphaned, s.orphanSize = true, 0
	o.list = append(o.list, s)
	o.count(s, bytes)
	return o.overflow(cfg)
}

// grow adds to the bytes of s, if it is an orphan.
func (o *orphans) grow(s *stream, bytes int64, cfg *Config) (victims []*stream) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !s.orphaned {
		return nil
	}
	o.count(s, bytes)
	return o.overflow(cfg)
}

func (o *orphans) count(s *stream, bytes int64) {
	s.orphanSize += bytes
	o.bytes += bytes
	cost := s.gw.cost(&s.header, s.orphanSize)
	o.cost += cost - s.orphanCost
	s.orphanCost = cost
}

func (o *orphans) remove(s *stream) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if s.orphaned {
		i := slices.Index(o.list, s)
		o.list = slices.Delete(o.list, i, i+1)
		o.drop(s)
	}
}

// overflow takes the oldest out until the rest is within the caps.
func (o *orphans) overflow(cfg *Config) (victims []*stream) {
	for len(o.list) > 0 && (len(o.list) > cfg.MaxOrphans || o.bytes > cfg.MaxOrphanBytes || o.cost > cfg.MaxOrphanCost) {
		victims = append(victims, o.list[0])
		o.drop(o.list[0])
		o.list = slices.Delete(o.list, 0, 1)
	}
	return victims
}

func (o *orphans) drop(s *stream) {
	s.orphaned = false
	o.bytes -= s.orphanSize
	o.cost -= s.orphanCost
	s.orphanCost = 0
}
