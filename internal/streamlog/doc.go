// Package streamlog is the durable log of all streams: what a provider sent, what
// became of the connections, and how each stream ended. One log has many readers;
// what lets a client catch up is what recovers a crash.
//
// # Use
//
// Open a Log, Create a Stream per call, Append its events, Finish it. Any number of
// Readers read a stream from an event index on: first what is stored, then what
// comes. Marks (Attach, Delivered, Detach, Mark) stand among the events, in the
// order in which they became durable; History gives all of it, for the books. Get,
// ByKey, ByCall, ByResponse and List find streams; ByResponse as soon as one is Named. Recovered hands out those that a crash
// left without an end; each must be given one.
//
// Once a stream has ended its owner has duties elsewhere: it is to be settled. When
// that is done, and durable there, Settled says so here. Unsettled lists the streams
// of earlier processes of which nobody did, and ForBooks gives each, expired or
// damaged too. So whoever settles must be able to do it twice with the effect of once.
//
// # What it guarantees
//
// An event has an index and a byte offset, both from 0 and without gaps. A reader
// is given an event only after its commit, and an event in parts only once all of
// it is there, unless the stream ended within it: then as far as it came. Append,
// Create, Attempt, SetHead, Finish and Detach return when they are durable; Mark
// and Attach don't wait, but whatever is acknowledged for the same stream later includes
// them; Delivered rides on the next Append; Settled doesn't wait, and may be lost. The
// end is written once, and in the same commit the stream is unsettled. What durable
// means is up to Options.SyncWrites:
//
//   - false: the process may die at any point (SIGKILL, panic, out of memory) and
//     nothing that was acknowledged or read is lost. The pages are the kernel's; if
//     the machine dies, streams may lose their tails, by no stated bound.
//   - true: the group is synced before anyone is told; then neither is lost.
//
// A commit that fails has an unknown outcome, so it is the last: all that waits and
// comes gets its error, readers get it once they have read what is durable, and
// opening the log again tells what was stored. Below Options.MinFree no stream is
// taken (ErrDiskFull), below half of it no event; ends and marks still are.
//
// A stream that has ended can be read for the retention. Then it is ErrExpired, and
// some time later ErrNotFound; whoever holds it reads on. A stream that nobody has
// given an end to is kept, and keeps its bucket; so does one that is not settled,
// which is logged as soon as it is the only reason, every ten minutes. Nothing but
// Options.MinFree bounds what is kept so.
//
// # Layout
//
//	log/LOCK              flock: one process
//	log/1763880000123/    a bucket: one Badger database, named after its start, unix ms
//	log/*.creating        beside a bucket that is not complete yet; removed with it by Open
//	log/*.gone            a bucket that is being removed; Open goes on with it
//
// A new bucket is begun every quarter of the retention, at least a minute. A stream
// stays in the bucket in which it began, all that is stored of it does, and a bucket
// is removed as a directory, a width after the last of its streams has expired:
// Badger's own ways to delete cost more than they free. Keys, all numbers big endian:
//
//	'J' group u64                              a frame of the journal
//	'C' stream 16 B, event u64, record u64     a frame with a block; its first event and record
//	'H' stream 16 B                            summary: header, response head, end and totals, as JSON
//	'O' stream 16 B                            empty; there while the stream has no end
//	'U' stream 16 B                            empty; there while the stream has an end and is not settled
//	'P' principal 16 B, stream 16 B            empty
//	'K' principal 16 B, key 16 B               stream 16 B, the newest with this idempotency key
//	'F' fingerprint 16 B                       stream 16 B, the newest with this fingerprint
//	'R' response id, NUL, principal 16 B       stream 16 B; ids up to 1 KiB
//	"Mformat"                                  format version u32 = 1, flags u8 (0x80: encrypted at rest)
//	"Mcheckpoint"                              group u64, unix ms u64: see Recovery
//
// A record is a kind u8, milliseconds since the stream was accepted, the length of
// the body, the body; numbers are uvarints. Records of a stream are numbered from 0.
// Kinds: 1 open (Header as JSON, record 0), 2 attempt, 3 head, 6 end (JSON), 4 event
// (the provider's bytes), 5 mark. Flags of an event: 0x10 it goes on in the next event
// record, 0x20 terminal, 0x40 visible text. A mark is a kind u8 (1 attach, 2
// delivered, 3 detach, 4 cancel, 5 claim, 6 kill; flags of an attach: 0x80 it observes,
// 0x40 the client named the event index), connection, event index, and the cause as
// text. Marks of what was delivered stand before the events that were appended with them.
//
// A frame is version u8 = 1, codec u8 (0x01: the payload is S2; 0x80: the database is
// encrypted), length of the preface u8, length of the payload once decompressed u32,
// CRC-32C u32 of the frame without these four bytes, preface, payload. Payloads below
// 128 bytes, and those that S2 does not shrink, stand as they are.
//
// A group, which is the payload of a journal frame, is what one commit took from all
// streams: for each operation the stream's number within the group (the first time,
// the next unused one, and then its 16-byte id and the number of its first record),
// the length of the records, the records. A block is records of one stream; its
// preface is the progress before and after them, each: next record, next event, next
// byte, 1 + terminal event or 0, ms of the first and of the last event, 1 if the last
// event goes on.
//
// Stream 0198f03a-5c00-7000-8000-00000000002a has three records so far and gets
// four more: the attach of connection 1, which names event 0 itself, event 0 with
// visible text, a delivered mark for it, event 1, which is the terminal one.
//
// The journal frame:
//
//	01 00 00                                version, codec: as it is, no preface
//	0000003d 08ad5da9                       61 bytes, CRC
//	00                                      stream number 0 in this group, the first time:
//	0198f03a5c007000800000000000002a        its id
//	03                                      from record 3 on
//	2a                                      42 bytes of records
//	05 fa01 05 41 01 00 6964                mark, at 250 ms, 5 bytes: attach, explicit, connection 1, event 0, "id"
//	44 ac02 09 646174613a20310a0a           event with text, at 300 ms, 9 bytes, "data: 1\n\n"
//	05 ad02 03 02 01 01                     mark, at 301 ms, 3 bytes: delivered, connection 1, before event 1
//	24 ae02 09 646174613a20320a0a           event, terminal, at 302 ms, 9 bytes, "data: 2\n\n"
//
// The block:
//
//	01 00 10                                version, codec, preface of 16 bytes
//	0000002a e86d1ef8                       42 bytes, CRC
//	03 00 00 00 00 00 00                    before: record 3, event 0, byte 0
//	07 02 12 02 ac02 ae02 00                after: record 7, event 2, byte 18, terminal event 1, 300 and 302 ms
//	05 fa01 05 41 01 00 6964
//	44 ac02 09 646174613a20310a0a
//	05 ad02 03 02 01 01
//	24 ae02 09 646174613a20320a0a
//
// # Why so
//
// What a commit costs is its keys, not its bytes. So the journal has one key per
// group, and the group is what was queued while the previous commit ran: no timer,
// and the busier, the larger. To read one stream from the journal would be to read
// all, so every 64 events or 32 KiB, at its end, and every few seconds when it is
// quiet, a stream's records are written again as a block of its own, from memory, in
// a transaction that goes anyway. Until then readers are served from memory. Both go
// to the value log, which nothing rewrites. The numbers are in docs/performance.md.
//
// 'F' came later than the rest of version 1: streams of a program without it are not
// found by it, and such a program takes no notice of it.
//
// # Recovery
//
// Open does, for each bucket:
//
//  1. Read the checkpoint: all records of groups before it are in blocks. (The writer
//     notes it with a commit, every five seconds at the most; Close notes that nothing is loose.)
//  2. Read the journal from there. Records that a block already has are skipped; the
//     others go on where the stream's last block ended, checked by their numbers.
//  3. Write what was found into blocks, and a new checkpoint.
//  4. Hand out the streams without an end, and list those that are not settled.
//
// Damage stays with the streams that it hit. Where a group is gone, streams with a gap,
// and those without an end of which no later group shows that they lost nothing, are
// handed out as damaged, with what precedes it. A stream that ended and is not whole
// is ErrDamaged, by Get or when a reader comes to the place; its summary says how much
// there was, so it is never short without notice. ForBooks gives it all the same, with
// what can be read. Without a summary no one can settle it: it is logged, and given up.
//
// Where Badger would delete tables that a damaged manifest does not list, or end the
// process over a damaged table, Open fails instead, with ErrDamaged and the directory
// of the bucket. Moved away, its streams are gone and all others work.
//
// # What is assumed of Badger
//
// A transaction is stored whole or not at all, after a kill too; its files are
// mapped, so that what a commit wrote outlives the process; with SyncWrites a commit
// returns after its sync. A failed sync of the value log is only logged by Badger,
// so the log listens to that. Not relied upon: that damage is reported. Badger opens
// a cut write-ahead log or manifest without an error, and what it held is gone; hence
// lengths, numbers and checksums of our own.
//
// # What it does not protect against
//
// A stream of which every trace is gone is ErrNotFound. One that ended, and lost its 'U'
// to damage, is not offered; one that lost the deletion of it is offered again. One that lost
// its 'K', 'F' or 'R' is not found by that, and one before it may be. One that was still open, and
// lost its end and its last groups together, looks like one that a crash cut there.
// Whoever can write to the directory can forge it: checksums are no signatures. Without a
// key the content is readable by who can read the files. A disk that fills up
// within a second from other causes can still kill the process (SIGBUS), without
// harm to what was acknowledged. A clock that jumps forward lets streams expire early.
package streamlog
