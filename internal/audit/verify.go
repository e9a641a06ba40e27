package audit

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"hash/maphash"
	"time"

	"github.com/nilecare/nilecare/internal/sqldb"
)

// Problem is one thing that is not as it was sealed, and where. Members that do not apply are 0.
type Problem struct {
	Block int64  `json:"block"`
	Pos   int64  `json:"position"`
	ID    int64  `json:"id"` // of the entry; tells its time
	What  string `json:"what"`
}

// String says it in a line.
func (p Problem) String() string {
	s := p.What
	if p.ID != 0 {
		s = fmt.Sprintf("entry %d (position %d): %s", p.ID, p.Pos, s)
	}
	if p.Block != 0 {
		s = fmt.Sprintf("block %d: %s", p.Block, s)
	}
	return s
}

// Report says what a verification looked at, and what it found.
type Report struct {
	Tenant   int32       `json:"tenant"`
	Entries  int64       `json:"entries"`  // covered by blocks
	Unsealed int64       `json:"unsealed"` // the newest, which no block covers yet
	Blocks   int64       `json:"blocks"`
	Anchors  int         `json:"anchors"` // checkpoints that the chain was held against; without any, a chain that was cut off at its end looks whole
	Keys     []PublicKey `json:"keys"`
	Head     string      `json:"head"`  // the hash of the last block, in hexadecimal
	Found    int64       `json:"found"` // problems
	Problems []Problem   `json:"problems"`
}

// OK reports that nothing was found.
func (r *Report) OK() bool { return r.Found == 0 }

// problemsKept is how many problems a report names; Found counts all.
const problemsKept = 100

func (r *Report) find(p Problem) {
	r.Found++
	if len(r.Problems) < problemsKept {
		r.Problems = append(r.Problems, p)
	}
}

// checker verifies a chain that goes by once: keys, anchors, then each block with its entries behind it, then the entries that no block
// covers, and the rows of audit_patient. Its memory does not grow with the chain.
type checker struct {
	Report
	keys    map[int64]ed25519.PublicKey
	anchors map[int64][]Anchor // by block; those that were met are removed
	open    OpenFunc           // nil: bodies stay closed

	block *Block // the one whose entries are going by; nil: none
	prev  Block  // the one before
	begun bool   // there was a block
	seen  []leaf
	all   hash.Hash
	buf   []byte
	sigs  chan sigCheck
	bad   chan int64

	seed    maphash.Seed
	sum     uint64 // of what entries say of their patients, less the rows of audit_patient
	patient int64  // rows of audit_patient
}

type leaf struct {
	mark
	hash [leafHash]byte
}

type sigCheck struct {
	key  ed25519.PublicKey
	num  int64
	hash []byte
	sig  []byte
}

func newChecker(tenant int32, open OpenFunc) *checker {
	c := &checker{Report: Report{Tenant: tenant, Problems: []Problem{}}, keys: map[int64]ed25519.PublicKey{}, anchors: map[int64][]Anchor{}, open: open,
		all: sha256.New(), seed: maphash.MakeSeed(), sigs: make(chan sigCheck, 256), bad: make(chan int64, 256)}
	c.prev.Hash, c.prev.Pos, c.prev.ID = make([]byte, sha256.Size), -1, -1
	go c.verifySignatures(c.sigs)
	return c
}

// verifySignatures runs beside the reading, since a signature takes as long as a hundred entries.
func (c *checker) verifySignatures(sigs <-chan sigCheck) {
	for s := range sigs {
		if !ed25519.Verify(s.key, s.hash, s.sig) {
			c.bad <- s.num
		}
	}
	close(c.bad)
}

func (c *checker) key(k PublicKey) {
	c.Keys = append(c.Keys, k)
	if len(k.Public) != ed25519.PublicKeySize {
		c.find(Problem{What: fmt.Sprintf("key %d is no key", k.Num)})
		return
	}
	c.keys[k.Num] = k.Public
}

func (c *checker) anchor(a Anchor) {
	c.Anchors++
	switch known := c.keys[a.Key]; {
	case !a.holds():
		c.find(Problem{Block: a.Block, What: "the signature of a checkpoint does not hold: the file of anchors was changed"})
		return
	case !bytes.Equal(known, a.Public):
		c.find(Problem{Block: a.Block, What: fmt.Sprintf("a checkpoint was signed by a key that is not key %d of the chain: the chain was made anew", a.Key)})
		return
	}
	c.anchors[a.Block] = append(c.anchors[a.Block], a)
}

// begin takes up the next block; its entries follow.
func (c *checker) begin(b *Block) {
	c.drainBad()
	c.Blocks++
	switch {
	case b.Num <= c.prev.Num:
		c.find(Problem{Block: b.Num, What: fmt.Sprintf("it follows block %d", c.prev.Num)})
	case b.Num > c.prev.Num+1:
		c.find(Problem{Block: b.Num, What: fmt.Sprintf("blocks %d to %d are missing before it", c.prev.Num+1, b.Num-1)})
	case !bytes.Equal(b.Prev, c.prev.Hash):
		c.find(Problem{Block: b.Num, What: "it does not follow from the block before it"})
	case b.Total != c.prev.Total+b.Count:
		c.find(Problem{Block: b.Num, What: "it counts other entries before it than there are"})
	}
	if !c.prev.mark().before(b.mark()) {
		c.find(Problem{Block: b.Num, What: "it ends before the block before it"})
	}
	for _, a := range c.anchors[b.Num] {
		if !bytes.Equal(a.Hash, b.Hash) || a.Total != b.Total {
			c.find(Problem{Block: b.Num, What: "it is not the block that a checkpoint of " + a.Time.Format(time.RFC3339) + " names: the chain was cut off and made anew"})
		}
	}
	delete(c.anchors, b.Num)
	c.block, c.seen = b, c.seen[:0]
	c.all.Reset()
}

// entry takes up the next entry, of the block that was begun or, behind the last, of none.
func (c *checker) entry(r *Row) {
	r.EachPatient(func(n int64) { c.sum += c.pair(n, r.ID) })
	if c.open != nil {
		if _, err := r.Decode(c.open); err != nil {
			c.find(Problem{Block: c.blockNum(), Pos: r.Pos, ID: r.ID, What: "the entry was changed, or written by a stranger: it does not open with the tenant's key"})
		}
	}
	if c.block == nil {
		c.Unsealed++
		return
	}
	c.Entries++
	c.buf = r.appendStored(c.buf[:0])
	h := sha256.Sum256(c.buf)
	_, _ = c.all.Write(h[:])
	if len(c.seen) < 4*blockEntries { // a block has no more: what was inserted beyond is found by the hash
		c.seen = append(c.seen, leaf{mark{r.Pos, r.ID}, [leafHash]byte(h[:leafHash])})
	}
}

func (c *checker) blockNum() int64 {
	if c.block == nil {
		return 0
	}
	return c.block.Num
}

// end closes the block that was begun.
func (c *checker) end() {
	b := c.block
	if !bytes.Equal(b.sum(c.all.Sum(nil)), b.Hash) {
		before := c.Found
		c.differences(b)
		if c.Found == before {
			c.find(Problem{Block: b.Num, What: "the block itself was changed: its hash is not that of what it says"})
		}
	}
	if key := c.keys[b.Key]; key == nil {
		c.find(Problem{Block: b.Num, What: fmt.Sprintf("it names key %d, which is not there", b.Key)})
	} else {
		c.sigs <- sigCheck{key, b.Num, b.Hash, b.Signature}
	}
	c.prev, c.block, c.begun = *b, nil, true
}

// differences says which entries of a block are not those that were sealed.
func (c *checker) differences(b *Block) {
	sealed := map[int64][leafHash]byte{}
	order := map[int64]int{}
	for x, i := b.Leaves, 0; len(x) >= leafSize; x, i = x[leafSize:], i+1 {
		id := int64(binary.BigEndian.Uint64(x))
		sealed[id], order[id] = [leafHash]byte(x[8:leafSize]), i
	}
	last := -1
	for _, l := range c.seen {
		was, ok := sealed[l.id]
		switch {
		case !ok:
			c.find(Problem{Block: b.Num, Pos: l.pos, ID: l.id, What: "an entry was inserted that is not of this block"})
			continue
		case was != l.hash:
			c.find(Problem{Block: b.Num, Pos: l.pos, ID: l.id, What: "the entry was changed"})
		case order[l.id] < last:
			c.find(Problem{Block: b.Num, Pos: l.pos, ID: l.id, What: "the entry stands at another place than it was sealed at"})
		}
		last = max(last, order[l.id])
		delete(sealed, l.id)
	}
	for x := b.Leaves; len(x) >= leafSize; x = x[leafSize:] {
		if id := int64(binary.BigEndian.Uint64(x)); order[id] >= 0 {
			if _, left := sealed[id]; left {
				c.find(Problem{Block: b.Num, ID: id, What: "the entry was removed"})
			}
		}
	}
}

// patientRow takes up a row of audit_patient.
func (c *checker) patientRow(patient, id int64) {
	c.patient++
	c.sum -= c.pair(patient, id)
}

func (c *checker) pair(patient, id int64) uint64 {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], uint64(patient))
	binary.BigEndian.PutUint64(b[8:], uint64(id))
	return maphash.Bytes(c.seed, b[:])
}

func (c *checker) drainBad() {
	for {
		select {
		case num, ok := <-c.bad:
			if !ok {
				return
			}
			c.badSignature(num)
		default:
			return
		}
	}
}

func (c *checker) badSignature(num int64) {
	c.find(Problem{Block: num, What: "its signature does not hold"})
}

// abandon ends a check that is not finished.
func (c *checker) abandon() {
	if c.sigs != nil {
		close(c.sigs)
		for range c.bad { // until the other side is through
		}
		c.sigs = nil
	}
}

// finish looks at what is left over.
func (c *checker) finish() Report {
	close(c.sigs)
	c.sigs = nil
	for num := range c.bad {
		c.badSignature(num)
	}
	for num, as := range c.anchors {
		for _, a := range as {
			c.find(Problem{Block: num, What: "it is missing, and a checkpoint of " + a.Time.Format(time.RFC3339) + " names it: the chain was cut off"})
		}
	}
	if c.begun {
		c.Head = fmt.Sprintf("%x", c.prev.Hash)
	}
	return c.Report
}

// Verify verifies the chain of a tenant on one snapshot of the database, and against the anchors. A problem is no error: errors are of
// the database.
func Verify(ctx context.Context, s Store, tenant int32, anchors []Anchor) (Report, error) {
	return verify(ctx, s, tenant, anchors, nil)
}

func verify(ctx context.Context, s Store, tenant int32, anchors []Anchor, head *Block) (Report, error) {
	c := newChecker(tenant, func(what string, sealed []byte) ([]byte, error) { return s.Open(ctx, tenant, what, sealed) })
	err := s.View(ctx, tenant, func(q sqldb.Querier) error {
		if err := c.openKeys(ctx, q, s); err != nil {
			return err
		}
		for _, a := range anchors {
			c.anchor(a)
		}
		if err := walk(ctx, q, tenant, c); err != nil {
			return err
		}
		if c.sum != 0 {
			return c.locatePatients(ctx, q)
		}
		return nil
	})
	r := c.finish()
	if head != nil && head.Num > c.prev.Num {
		r.find(Problem{Block: head.Num, What: "it is missing, and this process has made or met it: the chain was cut off"})
	}
	return r, err
}

// openKeys reads the keys, and holds them against what the tenant's key sealed.
func (c *checker) openKeys(ctx context.Context, q sqldb.Querier, s Store) error {
	rows, err := readKeys(ctx, q, c.Tenant)
	if err != nil {
		return err
	}
	for i := range rows {
		k := &rows[i]
		c.key(k.PublicKey)
		if k.Num != int64(i+1) {
			c.find(Problem{What: fmt.Sprintf("key %d stands where key %d should", k.Num, i+1)})
		}
		if public, err := s.Open(ctx, c.Tenant, publicPlace(k.Num), k.proof); err != nil || !bytes.Equal(public, k.Public) {
			c.find(Problem{What: fmt.Sprintf("key %d was not made by this program: a stranger may have made the chain anew", k.Num)})
		}
		if k.Retired != (i < len(rows)-1) {
			c.find(Problem{What: fmt.Sprintf("key %d: its secret is gone, or should be", k.Num)})
		} else if !k.Retired {
			if _, err := k.open(ctx, s, c.Tenant); err != nil {
				c.find(Problem{What: fmt.Sprintf("key %d: its secret was changed", k.Num)})
			}
		}
	}
	return nil
}

// visitor is shown a chain, in the order that checker describes.
type visitor interface {
	begin(b *Block)
	entry(r *Row)
	end()
	patientRow(patient, id int64)
}

// blocksRead and rowsRead are how many a query reads.
const (
	blocksRead = 64
	rowsRead   = 2048
)

// walk shows the chain in the database to v.
func walk(ctx context.Context, q sqldb.Querier, tenant int32, v visitor) error {
	w := &walker{ctx: ctx, q: q, tenant: tenant, v: v, at: mark{-1, -1}}
	for last := int64(-1 << 62); ; {
		blocks, err := blocksAfter(ctx, q, tenant, last, blocksRead)
		if err != nil {
			return err
		}
		for i := range blocks {
			b := &blocks[i]
			v.begin(b)
			if err := w.upTo(b.mark()); err != nil {
				return err
			}
			v.end()
			last = b.Num
		}
		if len(blocks) < blocksRead {
			break
		}
	}
	if err := w.upTo(mark{1<<63 - 1, 1<<63 - 1}); err != nil {
		return err
	}
	return sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
		var patient, id int64
		err := rows.Scan(&patient, &id)
		v.patientRow(patient, id)
		return err
	}, "SELECT patient, id FROM audit_patient WHERE tenant = $1 ORDER BY tenant, patient, id", tenant)
}

// walker reads entries page by page.
type walker struct {
	ctx    context.Context
	q      sqldb.Querier
	tenant int32
	v      visitor
	at     mark
	page   []Row
	done   bool
}

// upTo shows the entries up to and with the mark.
func (w *walker) upTo(m mark) error {
	for {
		for len(w.page) > 0 {
			r := &w.page[0]
			if m.before(mark{r.Pos, r.ID}) {
				return nil
			}
			w.v.entry(r)
			w.page = w.page[1:]
		}
		if w.done {
			return nil
		}
		var err error
		if w.page, err = rowsAfter(w.ctx, w.q, w.tenant, w.at, 1<<63-1, rowsRead, nil); err != nil {
			return err
		}
		if w.done = len(w.page) < rowsRead; len(w.page) > 0 {
			last := &w.page[len(w.page)-1]
			w.at = mark{last.Pos, last.ID}
		}
	}
}

// locatePatients says which rows of audit_patient are not those of the entries.
func (c *checker) locatePatients(ctx context.Context, q sqldb.Querier) error {
	pages := func(sql string, f func(patient, id int64) error) error {
		type pair struct{ patient, id int64 }
		at := pair{-1 << 62, -1 << 62}
		for {
			var page []pair
			err := sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
				var p pair
				err := rows.Scan(&p.patient, &p.id)
				page = append(page, p)
				return err
			}, sql, c.Tenant, at.patient, at.id)
			if err != nil {
				return err
			}
			for _, p := range page {
				if err := f(p.patient, p.id); err != nil {
					return err
				}
			}
			if len(page) < rowsRead {
				return nil
			}
			at = page[len(page)-1]
		}
	}
	err := pages(fmt.Sprintf("SELECT patient, id FROM audit_patient WHERE tenant = $1 AND (patient, id) > ($2, $3) ORDER BY tenant, patient, id LIMIT %d", rowsRead), func(patient, id int64) error {
		r, err := Get(ctx, q, c.Tenant, id)
		if err != nil {
			return err
		}
		named := false
		if r != nil {
			r.EachPatient(func(n int64) { named = named || n == patient })
		}
		if !named {
			c.find(Problem{ID: id, What: fmt.Sprintf("a row of audit_patient says that it is about patient %d, and it is not", patient)})
		}
		return nil
	})
	if err != nil {
		return err
	}
	var have int
	return pages(fmt.Sprintf("SELECT CAST(0 AS bigint), id FROM audit_entry WHERE tenant = $1 AND patients IS NOT NULL AND id > $3 AND CAST($2 AS bigint) < 1 ORDER BY id LIMIT %d", rowsRead), func(_, id int64) error {
		r, err := Get(ctx, q, c.Tenant, id)
		if err != nil || r == nil {
			return err
		}
		r.EachPatient(func(n int64) {
			var found bool
			if found, err = sqldb.QueryRow(ctx, q, []any{&have}, "SELECT 1 FROM audit_patient WHERE tenant = $1 AND patient = $2 AND id = $3", c.Tenant, n, id); err == nil && !found {
				c.find(Problem{Pos: r.Pos, ID: id, What: fmt.Sprintf("the row of audit_patient of patient %d was removed or changed", n)})
			}
		})
		return err
	})
}

// Verify verifies the chain of a tenant, against the file of anchors and what this process has seen itself. One verification runs at a time. What
// it finds is noted as a security event.
func (l *Log) Verify(ctx context.Context, tenant int32) (Report, error) {
	l.verifying.Lock()
	defer l.verifying.Unlock()
	var anchors []Anchor
	var bad int
	if l.o.Anchors != "" {
		var err error
		if anchors, bad, err = ReadAnchors(l.o.Anchors, tenant); err != nil {
			return Report{}, err
		}
	}
	seen, _ := l.heads.Load(tenant)
	head, _ := seen.(*Block)
	r, err := verify(ctx, l.store, tenant, anchors, head)
	if err != nil {
		return r, err
	}
	if bad > 1 {
		r.find(Problem{What: fmt.Sprintf("%d lines of the file of anchors cannot be read: it was changed", bad)})
	}
	if !r.OK() {
		l.Note(Entry{Tenant: tenant, Kind: Security, Action: "audit-verification-failed", Outcome: Major, Who: "system", Severity: "critical", Count: int(r.Found), Detail: r.Problems[0].String()})
	}
	return r, nil
}
