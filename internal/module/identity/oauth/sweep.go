package oauth

import (
	"context"
	"time"

	"github.com/nilecare/nilecare/internal/sqldb"
)

// Sweep removes a tenant's rows that have been of no use for a day, and returns how many. Sessions and consents that ended stay for a year, so
// that it can be told what an app was allowed.
func (s *Server) Sweep(ctx context.Context, tenant int32) (int64, error) {
	day, year := s.now().Add(-24*time.Hour).UnixMicro(), s.now().Add(-365*24*time.Hour).UnixMicro()
	total := int64(0)
	for _, step := range []struct {
		sql    string
		before int64
	}{
		{"DELETE FROM oauth_request WHERE tenant = $1 AND expires_at < $2", day},
		{"DELETE FROM oauth_launch WHERE tenant = $1 AND expires_at < $2", day},
		{"DELETE FROM oauth_device WHERE tenant = $1 AND expires_at < $2", day},
		{"DELETE FROM oauth_assertion WHERE tenant = $1 AND expires_at < $2", day},
		{"DELETE FROM oauth_revoked WHERE tenant = $1 AND expires_at < $2", day},
		{"DELETE FROM oauth_login WHERE tenant = $1 AND expires_at < $2", day},
		{"DELETE FROM oauth_code WHERE tenant = $1 AND expires_at < $2", day},
		{"DELETE FROM oauth_refresh WHERE tenant = $1 AND expires_at < $2", day},
		{"DELETE FROM oauth_initial WHERE tenant = $1 AND expires_at < $2", year},
		{"DELETE FROM oauth_consent WHERE tenant = $1 AND deleted_at <> 0 AND deleted_at < $2", year},
		{"DELETE FROM oauth_session WHERE tenant = $1 AND (expires_at < $2 OR deleted_at <> 0 AND deleted_at < $2)", year},
	} {
		err := s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
			n, err := tx.Exec(ctx, step.sql, tenant, step.before)
			total += n
			return err
		})
		if err != nil {
			return total, err
		}
	}
	return total, nil
}
