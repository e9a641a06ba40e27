package record

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"sync"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fhir/def"
	"github.com/nilecare/nilecare/internal/fhir/search"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// indexFormat changes when the rows that a value makes change: of folding, of blind forms, of dates, of consent.
const indexFormat = 2

// indexDigest says by which rules the index rows of this program are made.
var indexDigest = sync.OnceValue(func() string {
	h := sha256.New()
	var b []byte
	for _, t := range def.ResourceTypes() {
		for _, a := range search.AtomsOf(t.Name) {
			b = binary.BigEndian.AppendUint32(b[:0], a.ID)
			b = append(b, byte(a.Kind), byteOf(a.Blind), indexFormat)
			_, _ = h.Write(b)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
})

const indexSetting = "index"

// NeedsReindex reports whether the index rows were made by other rules than this program's. A new database notes the
// program's own.
func (s *Store) NeedsReindex(ctx context.Context) (bool, error) {
	tenant := access.From(ctx).Tenant
	var made string
	var records int64
	err := s.engine.View(ctx, tenant, func(q sqldb.Querier) error {
		if _, err := sqldb.QueryRow(ctx, q, []any{&made}, "SELECT value FROM setting WHERE name = $1", indexSetting); err != nil {
			return err
		}
		_, err := sqldb.QueryRow(ctx, q, []any{&records}, "SELECT count(*) FROM (SELECT 1 FROM record WHERE tenant = $1 LIMIT 1) a", tenant)
		return err
	})
	if err != nil || made == indexDigest() {
		return false, err
	}
	if records > 0 {
		return true, nil
	}
	return false, s.noteIndex(ctx, tenant)
}

func (s *Store) noteIndex(ctx context.Context, tenant int32) error {
	return s.engine.Commit(ctx, tenant, &Job{Solo: true, Run: func(ctx context.Context, tx Tx) (*Rows, error) {
		_, err := tx.Exec(ctx, "INSERT INTO setting (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value", indexSetting, indexDigest())
		return nil, err
	}})
}

// reindexSet is how many records one transaction indexes anew.
const reindexSet = 500

// Reindex makes all index rows anew from the bodies. Searches find too little while it runs: nobody should be served. One that
// was interrupted is to be run again. progress is told how many records are done.
func (s *Store) Reindex(ctx context.Context, progress func(int)) error {
	tenant := access.From(ctx).Tenant
	keys, err := s.forTenant(ctx, tenant)
	if err != nil {
		return err
	}
	clearing := &Job{Solo: true, Run: func(ctx context.Context, tx Tx) (*Rows, error) {
		for _, table := range []string{"idx_text", "idx_ref", "idx_date", "idx_num", "consent_rule"} {
			if _, err := tx.Exec(ctx, "DELETE FROM "+table+" WHERE tenant = $1", tenant); err != nil {
				return nil, err
			}
		}
		return nil, nil
	}}
	if err := s.engine.Commit(ctx, tenant, clearing); err != nil {
		return err
	}
	done := 0
	var consents []*Version
	rows := &Rows{Tenant: tenant}
	flush := func() error {
		job := &Job{Solo: true, Run: func(context.Context, Tx) (*Rows, error) { return rows, nil }}
		err := s.engine.Commit(ctx, tenant, job)
		rows = &Rows{Tenant: tenant}
		progress(done)
		return err
	}
	err = s.Export(ctx, nil, func(v *Version) error {
		doc, err := s.docOf(v)
		if err != nil {
			return err
		}
		if v.Type == "Consent" {
			consents = append(consents, v)
		}
		index, err := s.indexAgain(ctx, tenant, keys, doc, v.Num)
		if err != nil {
			return err
		}
		rows.Add.add(index)
		if done++; done%reindexSet == 0 {
			return flush()
		}
		return nil
	})
	if err == nil {
		err = flush()
	}
	for _, v := range consents {
		if err == nil {
			err = s.consentAgain(ctx, v)
		}
	}
	if err != nil {
		return err
	}
	return s.noteIndex(ctx, tenant)
}

// indexAgain makes the rows of a stored document. Everything it points to has a number by now, or gets one.
func (s *Store) indexAgain(ctx context.Context, tenant int32, keys *tenantKeys, doc *search.Doc, num int64) (*Index, error) {
	var failed error
	index := keys.indexRows(doc.Values, num, func(typ, id string) int64 {
		n, err := s.numberFor(ctx, tenant, typeNum(typ), id)
		if err != nil {
			failed = err
		}
		return n
	})
	return index, failed
}

// numberFor returns the number of an id and registers it where it has none: new rules may find references that old ones did not.
func (s *Store) numberFor(ctx context.Context, tenant int32, typ int, id string) (int64, error) {
	var num int64
	known := false
	err := s.engine.Read(ctx, tenant, func(q sqldb.Querier) (err error) {
		num, known, err = s.numOf(ctx, q, true, tenant, typ, id)
		return err
	})
	if err != nil || known {
		return num, err
	}
	fresh := s.numbers.Next()
	err = s.engine.Commit(ctx, tenant, &Job{Solo: true, Run: func(ctx context.Context, tx Tx) (*Rows, error) {
		_, err := tx.Exec(ctx, "INSERT INTO alias (tenant, type, fid, num) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING", tenant, typ, id, fresh)
		if err == nil {
			num, _, err = s.numOf(ctx, tx, false, tenant, typ, id)
		}
		return nil, err
	}})
	return num, err
}
