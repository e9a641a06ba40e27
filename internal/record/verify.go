package record

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"math"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/def"
	"github.com/nilecare/nilecare/internal/fhir/search"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// Finding is something in the database that is not as it must be.
type Finding struct {
	Type, ID string // the resource, "" where it is not about one
	Problem  string
}

// Verification says what was looked at.
type Verification struct {
	Records, Versions, IndexRows int
	Erased                       int // versions whose key was destroyed, as it should be
	Findings                     int
}

// Verify recomputes what can be recomputed, on one snapshot, and calls report for everything that differs: every body opens
// (its seal is a keyed digest over body, record and version) and parses; versions run 1, 2, 3 … in the order of time up to the
// current one; the index rows are exactly those that the current bodies give; ids, events and audit rows belong together.
func (s *Store) Verify(ctx context.Context, report func(Finding)) (Verification, error) {
	tenant := access.From(ctx).Tenant
	keys, err := s.forTenant(ctx, tenant)
	if err != nil {
		return Verification{}, err
	}
	v := &verifier{s: s, ctx: ctx, tenant: tenant, keys: keys, report: report, records: map[recordKey]*recordState{}, sums: map[int64]uint64{}, seed: maphash.MakeSeed()}
	err = s.engine.View(ctx, tenant, func(q sqldb.Querier) error {
		v.q = q
		for _, step := range []func() error{v.readRecords, v.readVersions, v.finishRecords, v.readIndex, v.finishIndex, v.ledgers} {
			if err := step(); err != nil {
				return err
			}
		}
		return nil
	})
	return v.result, err
}

// recordState is a record's row and what its versions said so far.
type recordState struct {
	seq, vid         int64
	deleted          bool
	fid              string
	lastSeq, lastVID int64
	lastDeleted      bool
}

type verifier struct {
	s       *Store
	ctx     context.Context
	q       sqldb.Querier
	tenant  int32
	keys    *tenantKeys
	report  func(Finding)
	records map[recordKey]*recordState
	// sums adds a hash of every index row that a record's body gives, and takes away that of every row that is there: a record
	// whose rows are right is left with 0.
	sums   map[int64]uint64
	seed   maphash.Seed
	events uint64 // as sums, for versions and their events
	result Verification
}

func (v *verifier) find(k recordKey, format string, args ...any) {
	f := Finding{Problem: fmt.Sprintf(format, args...)}
	if k.typ != 0 {
		f.Type, f.ID = typeName(k.typ), fhirID(k.num, "")
		if r := v.records[k]; r != nil {
			f.ID = fhirID(k.num, r.fid)
		}
	}
	v.result.Findings++
	v.report(f)
}

func (v *verifier) each(f func(sqldb.Rows) error, sql string) error {
	return sqldb.Each(v.ctx, v.q, f, sql, v.tenant)
}

func (v *verifier) readRecords() error {
	return v.each(func(rows sqldb.Rows) error {
		var k recordKey
		r := &recordState{}
		if err := rows.Scan(&k.typ, &k.num, &r.seq, &r.vid, &r.deleted, &r.fid); err != nil {
			return err
		}
		v.records[k] = r
		v.result.Records++
		return nil
	}, "SELECT type, num, seq, vid, deleted <> 0, coalesce(fid, '') FROM record WHERE tenant = $1")
}

// readVersions reads all versions in the order of time, in batches: what a body points to is looked up in between.
func (v *verifier) readVersions() error {
	for last := int64(0); ; {
		var batch []sealedVersion
		err := sqldb.Each(v.ctx, v.q, func(rows sqldb.Rows) error {
			var x sealedVersion
			err := rows.Scan(&x.num, &x.seq, &x.vid, &x.typ, &x.op, &x.keynum, &x.body)
			batch = append(batch, x)
			return err
		}, "SELECT num, seq, vid, type, op, keynum, body FROM version WHERE tenant = $1 AND seq > $2 ORDER BY seq LIMIT 500", v.tenant, last)
		if err != nil {
			return err
		}
		for i := range batch {
			if err := v.version(&batch[i]); err != nil {
				return err
			}
		}
		if len(batch) < 500 {
			return nil
		}
		last = batch[len(batch)-1].seq
	}
}

func (v *verifier) version(x *sealedVersion) error {
	v.result.Versions++
	k := recordKey{x.typ, x.num}
	v.events += v.eventHash(k, x.vid, x.op)
	if def.ByNum(x.typ) == nil {
		v.find(recordKey{}, "version %d has the unknown resource type %d", x.seq, x.typ)
		return nil
	}
	r := v.records[k]
	if r == nil {
		v.find(k, "version %d stands without a record", x.vid)
		return nil
	}
	if x.vid != r.lastVID+1 {
		v.find(k, "version %d follows version %d", x.vid, r.lastVID)
	}
	r.lastVID, r.lastSeq, r.lastDeleted = x.vid, x.seq, x.deleted()
	if x.deleted() {
		if x.body != nil {
			v.find(k, "version %d is a deletion and has a body", x.vid)
		}
		return nil
	}
	return v.body(k, x, r.seq == x.seq && !r.deleted)
}

// body opens a version's body, and counts the index rows that the current one gives.
func (v *verifier) body(k recordKey, x *sealedVersion, current bool) error {
	key, err := v.s.patientKey(v.ctx, v.q, v.tenant, x.keynum)
	switch {
	case erased(err):
		v.result.Erased++
		if current {
			v.find(k, "the key of the current version was destroyed")
		}
		return nil
	case err != nil:
		v.find(k, "the key of version %d cannot be opened", x.vid)
		return nil
	case key == nil:
		v.find(k, "the key of version %d is missing", x.vid)
		return nil
	}
	v.keys.keep(x.keynum, key)
	stored, err := x.stored(v.s.codec, key, v.tenant)
	if err != nil {
		v.find(k, "the body of version %d was changed: its seal does not hold", x.vid)
		return nil
	}
	res, err := fhir.ParseResource(joinBody(stored, typeName(x.typ), fhirID(x.num, v.records[k].fid), x.vid, zeroTime))
	if err != nil {
		v.find(k, "the body of version %d is no resource", x.vid)
		return nil
	}
	if !current {
		return nil
	}
	var failed error
	index := v.keys.indexRows(search.Extract(res, v.s.base), x.num, func(typ, id string) int64 {
		n, known, err := v.s.numOf(v.ctx, v.q, false, v.tenant, typeNum(typ), id)
		if err != nil {
			failed = err
		} else if !known {
			v.find(k, "it refers to a %s whose id has no number", typ)
		}
		return n
	})
	v.count(index, 1)
	return failed
}

// count adds (1) or takes away (-1) the hashes of rows.
func (v *verifier) count(x *Index, sign int) {
	var b []byte
	add := func(num int64) {
		h := maphash.Bytes(v.seed, b)
		if sign < 0 {
			h = -h
		}
		v.sums[num] += h
	}
	for _, r := range x.Text {
		b = append(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(append(b[:0], 't'), r.Atom), uint64(r.Sub)), r.Val...)
		add(r.Num)
	}
	for _, r := range x.Ref {
		b = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(append(b[:0], 'r'), r.Atom), uint64(r.Target))
		add(r.Num)
	}
	for _, r := range x.Date {
		b = binary.BigEndian.AppendUint32(append(b[:0], 'd', byteOf(r.Wide)), r.Atom)
		b = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, uint64(r.Lo)), uint64(r.Hi))
		add(r.Num)
	}
	for _, r := range x.Num {
		b = binary.BigEndian.AppendUint32(append(b[:0], 'n', byteOf(r.Wide)), r.Atom)
		b = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, math.Float64bits(r.Lo)), math.Float64bits(r.Hi))
		b = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, uint64(r.System)), uint64(r.Code))
		add(r.Num)
	}
}

func byteOf(b bool) byte {
	if b {
		return 1
	}
	return 0
}

func (v *verifier) finishRecords() error {
	for k, r := range v.records {
		switch {
		case r.lastVID == 0:
			v.find(k, "the record has no version")
		case r.vid != r.lastVID || r.seq != r.lastSeq:
			v.find(k, "the record names version %d as current, and version %d is the last", r.vid, r.lastVID)
		case r.deleted != r.lastDeleted:
			v.find(k, "the record and its last version disagree on whether it is deleted")
		}
	}
	return nil
}

func (v *verifier) readIndex() error {
	one := &Index{}
	steps := []struct {
		sql  string
		scan func(sqldb.Rows) error
	}{
		{"SELECT atom, val, num, sub FROM idx_text WHERE tenant = $1", func(rows sqldb.Rows) error {
			var val []byte
			var r IdxText
			var atom int64
			err := rows.Scan(&atom, &val, &r.Num, &r.Sub)
			r.Atom, r.Val = uint32(atom), string(val)
			*one = Index{Text: append(one.Text[:0], r)}
			return err
		}},
		{"SELECT atom, target, num FROM idx_ref WHERE tenant = $1", func(rows sqldb.Rows) error {
			var r IdxRef
			var atom int64
			err := rows.Scan(&atom, &r.Target, &r.Num)
			r.Atom = uint32(atom)
			*one = Index{Ref: append(one.Ref[:0], r)}
			return err
		}},
		{"SELECT atom, wide <> 0, lo, hi, num FROM idx_date WHERE tenant = $1", func(rows sqldb.Rows) error {
			var r IdxDate
			var atom int64
			err := rows.Scan(&atom, &r.Wide, &r.Lo, &r.Hi, &r.Num)
			r.Atom = uint32(atom)
			*one = Index{Date: append(one.Date[:0], r)}
			return err
		}},
		{"SELECT atom, wide <> 0, lo, hi, num, system, code FROM idx_num WHERE tenant = $1", func(rows sqldb.Rows) error {
			var r IdxNum
			var atom int64
			err := rows.Scan(&atom, &r.Wide, &r.Lo, &r.Hi, &r.Num, &r.System, &r.Code)
			r.Atom = uint32(atom)
			*one = Index{Num: append(one.Num[:0], r)}
			return err
		}},
	}
	for _, s := range steps {
		err := v.each(func(rows sqldb.Rows) error {
			if err := s.scan(rows); err != nil {
				return err
			}
			v.result.IndexRows++
			v.count(one, -1)
			return nil
		}, s.sql)
		if err != nil {
			return err
		}
	}
	return nil
}

func (v *verifier) finishIndex() error {
	byNum := map[int64]recordKey{}
	for k := range v.records {
		byNum[k.num] = k
	}
	for num, sum := range v.sums {
		if sum == 0 {
			continue
		}
		k, ok := byNum[num]
		if !ok {
			v.find(recordKey{}, "index rows of record %d, which does not exist", num)
			continue
		}
		v.find(k, "its index rows are not those that its body gives")
	}
	return nil
}

// ledgers checks that ids, events and audit rows belong together.
func (v *verifier) ledgers() error {
	checks := []struct{ problem, sql string }{
		{"records bear an id that is not registered", "SELECT count(*) FROM record r WHERE r.tenant = $1 AND r.fid IS NOT NULL AND NOT EXISTS (SELECT 1 FROM alias a WHERE a.tenant = r.tenant AND a.type = r.type AND a.fid = r.fid AND a.num = r.num)"},
		{"versions have no audit row", "SELECT count(*) FROM version v WHERE v.tenant = $1 AND NOT EXISTS (SELECT 1 FROM audit_entry a WHERE a.tenant = v.tenant AND a.id = coalesce(v.audit, v.seq))"},
	}
	for _, c := range checks {
		var n int64
		if _, err := sqldb.QueryRow(v.ctx, v.q, []any{&n}, c.sql, v.tenant); err != nil {
			return err
		}
		if n != 0 {
			v.find(recordKey{}, "%d %s", n, c.problem)
		}
	}
	return v.readEvents()
}

func (v *verifier) eventHash(k recordKey, vid int64, op int) uint64 {
	b := binary.BigEndian.AppendUint64([]byte{'e', byte(k.typ), byte(op)}, uint64(k.num))
	return maphash.Bytes(v.seed, binary.BigEndian.AppendUint64(b, uint64(vid)))
}

// readEvents checks that the events are those of the versions.
func (v *verifier) readEvents() error {
	err := v.each(func(rows sqldb.Rows) error {
		var k recordKey
		var vid int64
		var op int
		err := rows.Scan(&k.typ, &k.num, &vid, &op)
		v.events -= v.eventHash(k, vid, op)
		return err
	}, "SELECT type, num, vid, op FROM event WHERE tenant = $1")
	if err == nil && v.events != 0 {
		v.find(recordKey{}, "the events are not those of the versions")
	}
	return err
}
