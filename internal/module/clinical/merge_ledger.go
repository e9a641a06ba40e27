package clinical

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/ident"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// enterMerge enters a merge, or its undoing, into the ledger. The row of the source is locked by now: what writes about it waits, or has committed and is seen
// here, so that no record is left behind.
func (p patients) enterMerge(ctx context.Context, tx record.Tx, plan *mergePlan) error {
	if plan.undo {
		return p.enterUndone(ctx, tx, plan)
	}
	now, err := p.toMove(ctx, tx, plan.source)
	if err != nil {
		return err
	}
	if !sameRecords(now, plan.moves) {
		return errMoved
	}
	c := access.From(ctx)
	at := ident.Time(p.l.Next()).UnixMicro()
	_, err = tx.Exec(ctx, `INSERT INTO clinical_merge (tenant, id, source, target, reason, moved, undone_reason, restored, created_by, created_at, updated_by, updated_at, deleted_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $9, $8, $9, 0)`, c.Tenant, plan.id, plan.source, plan.target, plan.reason, len(plan.moves)-2, []byte{}, c.Who, at)
	if err != nil {
		return err
	}
	rows := make([][]any, 0, len(plan.moves))
	for _, m := range plan.moves {
		paths, err := json.Marshal(m.paths)
		if err != nil {
			return err
		}
		rows = append(rows, []any{c.Tenant, plan.id, m.Type, m.ID, m.VID, string(paths)})
	}
	return sqldb.ExecMany(ctx, tx, "INSERT INTO clinical_merge_item (tenant, merge, type, resource, version, paths, restored) VALUES ($1, $2, $3, $4, $5, $6, 0)", rows)
}

// sameRecords reports that the plan moves just those records; its first two are the patients.
func sameRecords(now []record.Referrer, planned []*moved) bool {
	if len(now) != len(planned)-2 {
		return false
	}
	have := make(map[record.Referrer]bool, len(now))
	for _, r := range now {
		have[r] = true
	}
	return !slices.ContainsFunc(planned[2:], func(m *moved) bool { return !have[m.Referrer] })
}

func (p patients) enterUndone(ctx context.Context, tx record.Tx, plan *mergePlan) error {
	c := access.From(ctx)
	var rows [][]any
	for _, m := range plan.moves {
		if len(m.paths) > 0 {
			rows = append(rows, []any{c.Tenant, plan.id, m.Type, m.ID})
		}
	}
	n, err := tx.Exec(ctx, "UPDATE clinical_merge SET undone_reason = $3, restored = $4, updated_by = $5, updated_at = $6, deleted_at = $6 WHERE tenant = $1 AND id = $2 AND deleted_at = 0",
		c.Tenant, plan.id, plan.reason, len(rows), c.Who, ident.Time(p.l.Next()).UnixMicro())
	if err != nil {
		return err
	}
	if n == 0 {
		return fault.New(fault.Conflict, "this merge is undone already").WithCode("NOT_MERGED")
	}
	return sqldb.ExecMany(ctx, tx, "UPDATE clinical_merge_item SET restored = 1 WHERE tenant = $1 AND merge = $2 AND type = $3 AND resource = $4", rows)
}

// mergeRow is a row of clinical_merge.
type mergeRow struct {
	id                    int64
	source, target        string
	reason, undoneReason  []byte
	moved, restored       int64
	by, undoneBy          string
	at, updated, undoneAt int64
}

const selectMerge = `SELECT id, source, target, reason, undone_reason, moved, restored, created_by, updated_by, created_at, updated_at, deleted_at FROM clinical_merge WHERE tenant = $1 AND `

func (s *Service) merges(ctx context.Context, where string, args ...any) ([]Merge, error) {
	tenant := access.From(ctx).Tenant
	var rows []mergeRow
	err := s.Ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		rows = nil
		return sqldb.Each(ctx, q, func(r sqldb.Rows) error {
			var m mergeRow
			err := r.Scan(&m.id, &m.source, &m.target, &m.reason, &m.undoneReason, &m.moved, &m.restored, &m.by, &m.undoneBy, &m.at, &m.updated, &m.undoneAt)
			m.reason, m.undoneReason = slices.Clone(m.reason), slices.Clone(m.undoneReason)
			rows = append(rows, m)
			return err
		}, selectMerge+where+" ORDER BY id DESC", append([]any{tenant}, args...)...)
	})
	if err != nil {
		return nil, err
	}
	out := make([]Merge, 0, len(rows))
	for _, m := range rows {
		one, err := s.tellMerge(ctx, m)
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, nil
}

func (s *Service) tellMerge(ctx context.Context, m mergeRow) (Merge, error) {
	out := Merge{ID: strconv.FormatInt(m.id, 10), Moved: int(m.moved), MergedAt: stamp(time.UnixMicro(m.at)), MergedBy: m.by}
	var err error
	if out.SourceID, err = s.Records.IDOf(ctx, "Patient", m.source); err != nil {
		return out, err
	}
	if out.TargetID, err = s.Records.IDOf(ctx, "Patient", m.target); err != nil {
		return out, err
	}
	if out.Reason, err = s.openReason(ctx, m.id, m.reason); err != nil || m.undoneAt == 0 {
		return out, err
	}
	out.UnmergedAt, out.UnmergedBy = opt(stamp(time.UnixMicro(m.undoneAt))), opt(m.undoneBy)
	restored := int(m.restored)
	left := int(m.moved - m.restored)
	out.Restored, out.LeftWithTarget = &restored, &left
	out.UnmergeReason, err = s.openReason(ctx, m.id, m.undoneReason)
	return out, err
}

func (s *Service) openReason(ctx context.Context, id int64, sealed []byte) (*string, error) {
	if len(sealed) == 0 {
		return nil, nil
	}
	text, err := s.Ledger.Open(ctx, access.From(ctx).Tenant, "clinical.merge/"+strconv.FormatInt(id, 10), sealed)
	if err != nil {
		return nil, err
	}
	return opt(string(text)), nil
}

func (s *Service) mergeByID(ctx context.Context, id int64) (*Merge, error) {
	all, err := s.merges(ctx, "id = $2", id)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return &all[0], nil
}

// MergesOf are the merges that a patient was part of, the newest first; by its FHIR id.
func (s *Service) mergesOf(ctx context.Context, patient string) ([]Merge, error) {
	return s.merges(ctx, "(source = $2 OR target = $2)", patient)
}
