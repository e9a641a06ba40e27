package record

import (
	"context"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
)

// DestroyTenant destroys every key of the caller's tenant: what it had is unreadable for ever in this database. It is not for the first
// tenant. Backups that were made before hold the keys, sealed by the root key.
func (s *Store) DestroyTenant(ctx context.Context) error {
	tenant := access.From(ctx).Tenant
	if tenant <= 1 {
		return fault.New(fault.Forbidden, "the first tenant cannot be destroyed")
	}
	job := &Job{Solo: true, Run: func(ctx context.Context, tx Tx) (*Rows, error) {
		_, err := tx.Exec(ctx, "UPDATE seal_key SET wrapped = NULL, destroyed_at = coalesce(destroyed_at, $2) WHERE tenant = $1", tenant, s.clock().UnixMicro())
		return nil, err
	}}
	if err := s.engine.Commit(ctx, tenant, job); err != nil {
		return err
	}
	s.keys.mu.Lock()
	delete(s.keys.tenants, tenant)
	s.keys.mu.Unlock()
	return s.engine.Scrub(ctx)
}
