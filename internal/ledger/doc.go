// Package ledger is the books: for every attempt what the provider bills, and what
// became of each token of that, in double entry. Entries are only ever added; each
// has a hash that covers all before it, and the last hash also stands outside of the
// database. So an auditor can tell that nothing is missing, and nothing was changed.
//
// # Use
//
// Open a Ledger and Post an attempt's bill when it is known, and its outcomes once
// nothing can change them any more; mostly both at once. A later insight is a
// revision, with a reason: it reverses what stands and posts anew, in one
// transaction. Get, Of, ByRequestID, Attempts and Between read attempts back, with
// all their revisions; Totals are the counters that metrics export, Balances the
// accounts. PostMiss and PostUnexplained book what belongs to no attempt's bill.
// Extracts are what a report needs of attempts, quickly. OpenIncident and
// ChangeIncident keep incidents; one that is final never changes.
// Verify checks everything; OpenReadOnly is for who wants no more than that, and
// OpenCopy where the directory is in use, or mustn't be touched. Backup writes the
// books while posting goes on, Restore makes a ledger of that. Summarise replaces old
// attempts by what their months came to, which Summaries reads.
//
// The ledger computes no books: figures come as they are to be posted. It doesn't
// know streams or prices either.
//
// # What it guarantees
//
//   - Durable: when Post returns, the posting is synced to disk, and so is the
//     anchor. Callers in parallel share the two syncs.
//   - Once: an attempt has one bill and one set of outcomes for each revision. The
//     same figures again are no error and change nothing, so that recovery may post
//     all it has. Other figures are ErrPosted.
//   - Balanced: in every entry tokens and picodollars sum to zero for each kind of
//     token. Outcomes that don't sum to their bill are refused (*Imbalance) and
//     counted in Stats.
//   - Whole: a posting is there with all its entries, indexes, counters and balances
//     or not at all.
//   - Totals only grow (but for Unexplained), and go on after a restart.
//
// # Accounts
//
// A bill moves what is owed from provider (which is negative) to pending; the part
// of it that isn't rate × quantity is owed on price_variance. Outcomes move pending
// to input/<outcome>[/<cause>] and output/<outcome>/<cause>. A reversal has the lines
// of the entries that it reverses, with their signs turned. unexplained stands
// against provider. Beside them are memo accounts, which need not balance: saved,
// saved_upper, overhead/<kind>, missed/<reason>. Uses of tools are counted like
// tokens under their own kind, and not at all in Totals.Input.
//
// # Counters
//
// The counters of outcomes grow when an attempt's outcomes are posted first,
// whichever revision that is. A later revision adds nothing to them: for each account
// the difference goes to Adjustments, "plus" or "minus". So counters + plus − minus
// is the corrected sum of all outcomes; which outcome has it, Balances say.
//
// Where outcomes are posted with labels, their tokens and money are counted by these
// too, beside all else. The labels stand in the entry, so that Verify knows them.
//
// # Layout
//
//	ledger/          Badger database
//	ledger.head      anchor: two slots, at byte 0 and 4096, each a line of text
//	                 "recoup ledger head 1 <number, 20 digits> <hash> <CRC-32C of the line so far>"
//	ledger.lock      flock: one process
//	ledger.creating  there while the database is being made; Open begins anew
//
// Keys, with numbers big endian; texts end with NUL:
//
//	'E' seq u64                                        entry: hash 32 B, body
//	'A' stream 16 B, number u16                        record: for each revision the numbers of its bill,
//	                                                   outcomes and reversal, as uvarints, 0 for none
//	'T' accepted unix ms u64, stream 16 B, number u16  extract, or empty where a program that
//	                                                   knew of none has posted it
//	'R' provider, request id, stream 16 B, number u16  empty
//	'N' stream 16 B                                    seq u64 of the miss
//	'U' provider, model, tier, day                     seq u64 of what stands unexplained
//	'I' number u32                                     seq u64 of how the incident stands
//	'C' family u8, labels with NUL between             counter: count varint, decimal dollars
//	'B' provider, model, account, kind, NUL between    balance: the same
//	"Mformat"                                          u32 = 1
//	"Mcut"                                             seq u64 of the newest cut; there once something was summarised
//	"Mremoved"                                         seq u64 up to which what precedes the cut is gone
//
// Entries are numbered from 1 without a gap. The hash of an entry is the SHA-256 of
// the hash before it (32 zero bytes for the first), its number (u64, big endian) and
// its body, which is JSON. Members: k kind (bill, outcomes, reversal, miss,
// unexplained, incident, summary, cut), t time of posting in unix ms (the host's clock, not in order), s
// stream, n attempt, r revision, y reason, p provider, m model; a the attempt, with
// its first bill; b the rest of a bill, o of outcomes (lb their labels); x a miss, u an unexplained
// amount (pt its parts; one of nothing is a bill that agreed); sm a part of a summary (rows, and sums: all tallies as of the cut), ct a cut: s
// and h the last entry that was summarised, b the end of the months that are closed, of
// the entries with all that was ever summarised, n the attempts in them; z an incident; bk
// when the answer broke off (at, in unix ms, and c the cause), b.bd what an estimated bill
// may come to, for input and output the least and the most in tokens and in picodollars; of: numbers of the entries that a reversal reverses; l lines, i memo: a
// account, k kind, t tokens, p picodollars; e evidence, as compact JSON. What is
// zero, empty or false is left out.
//
// An extract is an attempt as it stands, without its ids at the provider and its evidence:
// a byte 1, then the members in the order in which encodeExtract writes them, numbers as
// varints, texts after their length, frequent words by their number. It follows from the
// entries; the hashes don't cover it, Verify compares it.
//
// The fourth of the worked examples, posted to empty books (hash, a blank, body):
//
//	a62c6dea76cdd739ebe1a5f037c0610be43c6c0cbd4022b4d2df7ba37e8d7a29
//	 {"k":"bill","t":1763880011000,"s":"0198f03a5c0070008000000000000001","n":1,"p":"openai",
//	"m":"gpt-5.5","a":{"q":"req_1","ep":"chat","st":true,"c":"07000000000000000000000000000000",
//	"at":1763880001000,"en":1763880010000},"b":{"ib":"reported","ob":"reported","v":"2026-11-01"},
//	"l":[{"a":"pending","k":"input","t":2000,"p":10000000000},{"a":"provider","k":"input","t":-2000,
//	"p":-10000000000},{"a":"pending","k":"output","t":1012,"p":30360000000},{"a":"provider",
//	"k":"output","t":-1012,"p":-30360000000}]}
//
// and
//
//	4b9c27c31bbe5bd744c4e0ca5ff21681dfc34b157c635c27d9f6ea69b6b71a4d
//	 {"k":"outcomes","t":1763880011000,"s":"0198f03a5c0070008000000000000001","n":1,"p":"openai",
//	"m":"gpt-5.5","o":{"in":"wasted","b":{"client":1}},"l":[{"a":"pending","k":"input","t":-2000,
//	"p":-10000000000},{"a":"input/wasted","k":"input","t":2000,"p":10000000000},{"a":"pending",
//	"k":"output","t":-1012,"p":-30360000000},{"a":"output/lost/abandoned","k":"output","t":400,
//	"p":12000000000},{"a":"output/lost/tail","k":"output","t":12,"p":360000000},
//	{"a":"output/wasted/abandoned","k":"output","t":600,"p":18000000000}],
//	"i":[{"a":"overhead/unclaimed","k":"output","t":400,"p":12000000000}],"e":{}}
//
// # A crash
//
// One goroutine commits. It takes all postings that wait, makes one transaction of
// them, syncs it, writes and syncs the anchor, and only then lets the callers go. The
// process may die at any point of that: before the commit nothing of the group is
// there; after it all is, perhaps with an anchor that is one group behind. That is
// no damage: Open verifies the chain from the anchor on, and anchors its end. A
// loss of power while a slot of the anchor is written leaves the other slot. If a
// commit or the anchor fails, what was stored is not known, so it is the last: all
// Posts get the error until the ledger is opened again.
//
// # Damage
//
// Badger opens a database of which the end is cut off, or a table damaged, without an
// error, and finds less in it. Hence:
//
//   - The database lacks entries that the anchor knows of, or the anchored entry has
//     another hash: Open is ErrDamaged and says which numbers.
//   - The anchor is missing, though there are entries, or neither slot can be read:
//     ErrDamaged, since a lost tail couldn't be told from none. Options.Reanchor
//     verifies the whole chain and makes a new one.
//   - The last 1,000 entries are not a chain: ErrDamaged.
//   - Badger's manifest or tables are damaged: ErrDamaged, before Badger deletes
//     what the manifest lacks. Open reads the newest 256 MiB of tables; the rest is read
//     beside the work, and what is found there stops the ledger (Stats.Err): an attempt whose
//     record is in a damaged block would look as if it had never been posted.
//   - An edited, deleted or added entry, index, counter or balance anywhere: Verify
//     names the entry and the attempt. It reads all there is; posting goes on meanwhile.
//
// # Limits
//
// Who can write to the directory can forge all of it, hashes and anchor included; a
// copy of Head kept elsewhere shows that. One posting has at most 2^40 tokens and
// 2^56 picodollars ($72,057) in a line, 64 lines of input, 256 KiB of evidence.
// What was summarised can't be shown attempt by attempt any more. Nothing is encrypted; there are
// no contents of answers in it, but tags and evidence as they were posted. The ledger
// doesn't look at free disk space: a full disk can kill the process (SIGBUS),
// without harm to what was acknowledged. Whether a loss of power is survived is up to
// the disk's honesty about syncs; that was not tested, kills of the process were.
package ledger
