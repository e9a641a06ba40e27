package record

import (
	"context"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/def"
	"github.com/nilecare/nilecare/internal/ident"
	"github.com/nilecare/nilecare/internal/pack"
	"github.com/nilecare/nilecare/internal/seal"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// MaxBody is how many bytes of JSON a stored resource has at most.
const MaxBody = 64 << 20

// versionColumns, of record r and version v, are what scanVersion reads.
const versionColumns = "v.num, v.seq, v.vid, v.type, v.op, v.keynum, coalesce(r.fid, ''), v.body"

// sealedVersion is a version as it is stored.
type sealedVersion struct {
	num, seq, vid, keynum int64
	typ, op               int
	fid                   string
	body                  []byte
}

func scanVersion(rows sqldb.Rows, v *sealedVersion, more ...any) error {
	var dest [12]any
	d := append(dest[:0], &v.num, &v.seq, &v.vid, &v.typ, &v.op, &v.keynum, &v.fid, &v.body)
	return rows.Scan(append(d, more...)...)
}

func (v *sealedVersion) deleted() bool { return Op(v.op) == Delete }

// stored opens and unpacks the body; nil for a tombstone.
func (v *sealedVersion) stored(codec *pack.Codec, key *seal.Key, tenant int32) ([]byte, error) {
	if v.deleted() {
		return nil, nil
	}
	packed, err := key.Open(nil, v.body, bodyData(tenant, v.typ, v.num, v.vid))
	if err != nil {
		return nil, err
	}
	return codec.Unpack(nil, packed, MaxBody)
}

// open returns the version with its body readable. Gone where its patient was erased. q reads a key that is not in memory; nil where
// the caller holds no connection: one that holds one must not wait for another.
func (s *Store) open(ctx context.Context, q sqldb.Querier, tenant int32, v *sealedVersion) (*Version, error) {
	out := &Version{
		Num: v.num, Seq: v.seq, Type: def.ByNum(v.typ).Name, ID: fhirID(v.num, v.fid), VID: v.vid,
		Updated: ident.Time(v.seq), Deleted: v.deleted(), Op: Op(v.op), patient: max(v.keynum, 0),
	}
	if out.Deleted {
		return out, nil
	}
	key, err := s.readingKey(ctx, q, tenant, v.keynum)
	if err != nil {
		return nil, err
	}
	stored, err := v.stored(s.codec, key, tenant)
	if err != nil {
		return nil, err
	}
	out.body = joinBody(stored, out.Type, out.ID, out.VID, out.Updated)
	return out, nil
}

// Resource parses the version's body.
func (v *Version) Resource() (*fhir.Resource, error) { return fhir.ParseResource(v.body) }

const selectCurrent = "SELECT " + versionColumns +
	" FROM record r JOIN version v ON v.seq = r.seq WHERE r.tenant = $1 AND r.type = $2 AND r.num = $3 AND v.tenant = $1"

// current reads the current version of a record; nil where there is none.
func (s *Store) current(ctx context.Context, q sqldb.Querier, tenant int32, typ int, num int64) (*sealedVersion, error) {
	rows, err := q.Query(ctx, selectCurrent, tenant, typ, num)
	if err != nil {
		return nil, err
	}
	var v *sealedVersion
	if rows.Next() {
		v = &sealedVersion{}
		err = scanVersion(rows, v)
	}
	if e := rows.Close(); err == nil {
		err = e
	}
	return v, err
}

func notFound(typ string) error {
	return fault.New(fault.NotFound, "there is no %s with this id", typ)
}

// Read returns the current version. NotFound where there never was one, Gone after a delete.
func (s *Store) Read(ctx context.Context, typ, id string) (*Version, error) {
	caller := access.From(ctx)
	v, err := s.read(ctx, &caller, typ, id)
	s.noteRead(&caller, "read", typ, v, err)
	if err != nil {
		return nil, err
	}
	return v, nil
}

func (s *Store) read(ctx context.Context, caller *access.Caller, typ, id string) (*Version, error) {
	v, err := s.currentFor(ctx, caller, typ, id)
	if err == nil && v.Deleted {
		return v, fault.New(fault.Gone, "this %s was deleted", typ)
	}
	return v, err
}

// Current is Read that returns the tombstone of a deleted resource.
func (s *Store) Current(ctx context.Context, typ, id string) (*Version, error) {
	caller := access.From(ctx)
	return s.currentFor(ctx, &caller, typ, id)
}

// currentFor is Current for the caller. What the caller may not see is not found, as what never was.
func (s *Store) currentFor(ctx context.Context, caller *access.Caller, typ, id string) (*Version, error) {
	tenant := caller.Tenant
	t, err := resourceType(typ)
	if err != nil {
		return nil, err
	}
	r, err := s.reading(ctx, caller, typ)
	if err != nil {
		return nil, err
	}
	within := s.engine.Read
	if r.restricted(typ) {
		within = s.engine.View
	}
	var v *sealedVersion
	err = within(ctx, tenant, func(q sqldb.Querier) error {
		num, known, err := s.numOf(ctx, q, true, tenant, t.Num, id)
		if err != nil || !known {
			return err
		}
		if v, err = s.current(ctx, q, tenant, t.Num, num); err != nil || v == nil {
			return err
		}
		r.q = q
		if ok, err := r.sees(v); err != nil || !ok {
			v = nil
			return err
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if v == nil || fhirID(v.num, v.fid) != id {
		return nil, notFound(typ)
	}
	out, err := s.open(ctx, nil, tenant, v)
	if err == nil {
		err = mask(caller, out)
	}
	return out, err
}

// reading returns what decides which records of the type the caller may read. Forbidden where none may be.
func (s *Store) reading(ctx context.Context, caller *access.Caller, typ string) (*searching, error) {
	r, err := s.searching(ctx, nil, *caller)
	if err != nil {
		return nil, err
	}
	r.action = access.Read
	if typ != "" && !r.free && caller.Extent(access.Read, typ).IsNone() {
		return nil, forbidden(access.Read, typ)
	}
	return r, nil
}

const selectVersion = "SELECT " + versionColumns + " FROM record r JOIN version v ON v.num = r.num AND v.type = r.type" +
	" WHERE r.tenant = $1 AND r.type = $2 AND r.num = $3 AND v.tenant = $1 AND v.vid = $4 AND "

// ReadVersion returns the version with that versionId. A tombstone is Gone.
func (s *Store) ReadVersion(ctx context.Context, typ, id string, vid int64) (*Version, error) {
	caller := access.From(ctx)
	v, err := s.readVersion(ctx, &caller, typ, id, vid)
	s.noteRead(&caller, "vread", typ, v, err)
	if err != nil {
		return nil, err
	}
	return v, nil
}

func (s *Store) readVersion(ctx context.Context, caller *access.Caller, typ, id string, vid int64) (*Version, error) {
	tenant := caller.Tenant
	t, err := resourceType(typ)
	if err != nil {
		return nil, err
	}
	r, err := s.reading(ctx, caller, typ)
	if err != nil {
		return nil, err
	}
	var v sealedVersion
	found := false
	err = s.engine.View(ctx, tenant, func(q sqldb.Querier) error {
		num, known, err := s.numOf(ctx, q, true, tenant, t.Num, id)
		if err != nil || !known {
			return err
		}
		// A version whose seq is its record's num is the first one, and not in the index of the others.
		for _, where := range []string{"v.seq = r.num", "v.seq <> v.num"} {
			err = sqldb.Each(ctx, q, func(rows sqldb.Rows) error { found = true; return scanVersion(rows, &v) }, selectVersion+where, tenant, t.Num, num, vid)
			if err != nil || found {
				break
			}
		}
		if err != nil || !found {
			return err
		}
		r.q = q
		found, err = r.seesVersion(&v)
		return err
	})
	if err != nil {
		return nil, err
	}
	if !found || fhirID(v.num, v.fid) != id {
		return nil, fault.New(fault.NotFound, "there is no version %d of a %s with this id", vid, typ)
	}
	if v.deleted() {
		return nil, fault.New(fault.Gone, "version %d is the deletion of this %s", vid, typ)
	}
	out, err := s.open(ctx, nil, tenant, &v)
	if err == nil {
		err = mask(caller, out)
	}
	return out, err
}

const selectBefore = "SELECT " + versionColumns + " FROM record r JOIN version v ON v.num = r.num AND v.type = r.type" +
	" WHERE r.tenant = $1 AND r.type = $2 AND r.num = $3 AND v.tenant = $1 AND v.vid < $4 AND v.op <> 3 AND "

// versionBefore returns the newest version with a body below v; nil where there is none.
func (s *Store) versionBefore(ctx context.Context, q sqldb.Querier, tenant int32, v *sealedVersion) (*sealedVersion, error) {
	var out *sealedVersion
	for _, where := range []string{"v.seq <> v.num ORDER BY v.vid DESC LIMIT 1", "v.seq = r.num"} {
		err := sqldb.Each(ctx, q, func(rows sqldb.Rows) error { out = &sealedVersion{}; return scanVersion(rows, out) }, selectBefore+where, tenant, v.typ, v.num, v.vid)
		if err != nil || out != nil {
			return out, err
		}
	}
	return nil, nil
}

var zeroTime time.Time
