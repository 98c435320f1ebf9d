package gateway

import (
	"slices"
	"sync"
)

// orphans are the streams that are drained without an owner, oldest first. They
// are capped in number and in bytes.
type orphans struct {
	mu    sync.Mutex
	list  []*stream
	bytes int64
}

// add puts s at the end of the line, unless it stands there, and returns those
// that are over the caps now.
func (o *orphans) add(s *stream, bytes int64, cfg *Config) (victims []*stream) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if s.orphaned {
		return nil
	}
	s.orphaned, s.orphanSize = true, bytes
	o.list = append(o.list, s)
	o.bytes += bytes
	return o.overflow(cfg)
}

// grow adds to the bytes of s, if it is an orphan.
func (o *orphans) grow(s *stream, bytes int64, cfg *Config) (victims []*stream) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !s.orphaned {
		return nil
	}
	s.orphanSize += bytes
	o.bytes += bytes
	return o.overflow(cfg)
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
	for len(o.list) > 0 && (len(o.list) > cfg.MaxOrphans || o.bytes > cfg.MaxOrphanBytes) {
		victims = append(victims, o.list[0])
		o.drop(o.list[0])
		o.list = slices.Delete(o.list, 0, 1)
	}
	return victims
}

func (o *orphans) drop(s *stream) {
	s.orphaned = false
	o.bytes -= s.orphanSize
}
