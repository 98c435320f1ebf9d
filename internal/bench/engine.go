package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
)

// An engine is one way to keep events.
type engine struct {
	name string
	open func(dir string, sync bool) (store, error)
	// Targets are against this one. The others are here for the record of how
	// the layout of the log was chosen: in long runs, without synced writes.
	compared bool
}

// store is an engine at work. Streams are numbered in the order of creation.
type store interface {
	// create makes n streams and returns what appends to each: it returns when
	// the event is stored, and belongs to one goroutine.
	create(ctx context.Context, n int) ([]appendFunc, error)
	close() error
	// read opens what was closed and calls visit with each event of the wanted
	// streams, in order within a stream.
	read(wanted func(stream int) bool, visit visitFunc) error
}

type (
	appendFunc func(event []byte) error
	visitFunc  func(stream int, event []byte) error
)

const (
	nameFile  = "file, a write per group"
	nameTxn   = "badger, a transaction per event"
	nameLog   = "recoup stream log"
	nameGroup = "badger, group commit, a key per event"
	nameOnly  = "badger, journal of groups only, S2"
)

func engines() []engine {
	return []engine{
		{nameFile, openFile, true},
		{nameTxn, openPerEvent, true},
		{nameGroup, openKeyPerEvent, false},
		{nameOnly, openJournal, false},
		{nameLog, openStreamLog, true},
	}
}

// poolSize is how many different events a stream repeats.
const poolSize = 64

// eventPool makes events like those of a provider: a frame that is the same
// for all of a stream, a word or two of text, and the padding that OpenAI adds.
func eventPool(stream int) [][]byte {
	r := rand.New(rand.NewPCG(uint64(stream), 1))
	id := fmt.Sprintf("chatcmpl-%016x%08x", r.Uint64(), r.Uint32())
	pool := make([][]byte, poolSize)
	for i := range pool {
		text := letters(r, 2+r.IntN(8), "etaoin shrdlucmfwyp")
		pad := letters(r, 2+r.IntN(14), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
		pool[i] = fmt.Appendf(nil, `data: {"id":%q,"object":"chat.completion.chunk","created":1790000000,`+
			`"model":"gpt-5.5-2026-04-23","service_tier":"default","system_fingerprint":null,`+
			`"choices":[{"index":0,"delta":{"content":%q},"finish_reason":null}],"usage":null,"obfuscation":%q}`+"\n\n", id, text, pad)
	}
	return pool
}

func letters(r *rand.Rand, n int, from string) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = from[r.IntN(len(from))]
	}
	return b
}
