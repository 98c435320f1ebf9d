package streamlog

// tail is the part of a stream's log that is in memory: encoded records that no
// block holds yet, and the last block for as long as a reader is about to want
// it. Records go in before they are committed, in the order in which they will
// be, so the journal and the block are made of the same bytes.
type tail struct {
	next   progress // after the last record in data
	whole  uint64   // number of the record up to which next has whole events only
	now    progress // after the last committed one
	sealed progress // after the last one in a block; data begins here

	data      []byte // encoded records; what stands in it never changes
	committed int    // bytes of data that are committed
	events    int    // among them
	room      int    // bytes that data is made for
	shown     uint64 // number of the first record that readers may not have: it, or the event it belongs to, is not all there
	cut       bool   // an event that is not whole never will be: readers have all that is committed

	last     []byte   // the records of the last block, or nil
	lastFrom progress // where they begin
	seals    uint64   // blocks so far: tells a position in this data from one in the last
}

// startAt makes an empty tail of a stream of which all before p is in blocks.
func startAt(p progress) tail {
	return tail{next: p, whole: p.rec, now: p, sealed: p, shown: p.rec}
}

// put adds a record. The caller submits it.
func (t *tail) put(r record) {
	if t.data == nil && t.room > 0 {
		t.data = make([]byte, 0, t.room)
	}
	t.data = appendRecord(t.data, r)
	if t.next = t.next.after(r); !t.next.open {
		t.whole = t.next.rec
	}
}

// undo takes back what was put, and not submitted, since there were n bytes of data.
func (t *tail) undo(n int, next progress, whole uint64) {
	t.data, t.next, t.whole = t.data[:n], next, whole
}

// commit notes that o is durable.
func (t *tail) commit(o *op) {
	t.now = o.to
	t.committed += len(o.data)
	t.events += o.events
	t.shown = o.whole
	if t.cut {
		t.shown = t.now.rec
	}
}

// showAll lets readers have an event that will never be whole.
func (t *tail) showAll() { t.cut, t.shown = true, t.now.rec }

func (t *tail) blockDue() bool { return t.events >= blockEvents || t.committed >= blockBytes }

// seal drops what a block now holds, which is all that is committed, but keeps
// it as the last block if a reader is still behind.
func (t *tail) seal(keep bool) {
	t.last, t.lastFrom = nil, t.sealed
	if keep {
		t.last = t.data[:t.committed:t.committed]
	}
	rest := t.data[t.committed:]
	t.data, t.room = nil, 0
	if t.blockDue() {
		t.room = min(t.committed+t.committed/4, 2*blockBytes)
	}
	if len(rest) > 0 {
		t.data = append(make([]byte, 0, max(t.room, len(rest))), rest...)
	}
	t.sealed, t.committed, t.events = t.now, 0, 0
	t.seals++
}

// at returns the encoded records from number rec on, and a token to find the
// place again faster; ok is false if they are no longer in memory. place is an
// earlier token, with the position that was reached.
func (t *tail) at(rec uint64, p place) (records []byte, q place, ok bool) {
	records, from, seals := t.data, t.sealed.rec, t.seals
	if rec < from {
		records, from, seals = t.last, t.lastFrom.rec, t.seals-1
		if t.last == nil || rec < from {
			return nil, place{}, false
		}
	}
	if p.seals == seals && p.rec == rec {
		return records[p.pos:], p, true
	}
	c := cursor{b: records}
	for ; from < rec; from++ {
		c.record()
	}
	return c.b, place{rec: rec, pos: len(records) - len(c.b), seals: seals}, true
}

// place is where a record stands in memory.
type place struct {
	rec   uint64
	pos   int
	seals uint64
}
