package identity

import (
	"context"
	"net/http"
	"time"

	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/web/api"
)

func (s *Service) statsRoutes() []api.Route {
	need := api.Permission("users:read")
	return []api.Route{
		{Method: "GET", Path: "/api/v1/stats", Need: need, Summary: "Counts of users and sign-ins", Serve: s.stats},
		{Method: "GET", Path: "/api/v1/stats/users/count", Need: need, Summary: "How many users there are", Serve: s.stat("count", "total")},
		{Method: "GET", Path: "/api/v1/stats/users/active", Need: need, Summary: "How many active users there are", Serve: s.stat("count", "active")},
		{Method: "GET", Path: "/api/v1/stats/users/by-role", Need: need, Summary: "How many users each role has", Serve: s.stat("roles", "byRole")},
		{Method: "GET", Path: "/api/v1/stats/logins/recent", Need: need, Summary: "How many sign-ins there were in the last 24 hours", Serve: s.stat("count", "recentLogins")},
	}
}

// figures counts users by status and first role, and the sessions that began in the last 24 hours.
func (s *Service) figures(ctx context.Context, tenant int32) (map[string]any, error) {
	out := map[string]any{}
	err := s.ledger.View(ctx, tenant, func(q sqldb.Querier) error {
		byStatus, byRole := map[string]int64{Active: 0, Inactive: 0, Suspended: 0, Invited: 0}, map[string]int64{}
		total := int64(0)
		err := sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
			var status, role string
			var n int64
			err := rows.Scan(&status, &role, &n)
			byStatus[status] += n
			byRole[role] += n
			total += n
			return err
		}, "SELECT status, role, count(*) FROM identity_user WHERE tenant = $1 AND deleted_at = 0 GROUP BY status, role", tenant)
		if err != nil {
			return err
		}
		var logins int64
		if _, err := sqldb.QueryRow(ctx, q, []any{&logins}, "SELECT count(*) FROM identity_session WHERE tenant = $1 AND created_at > $2",
			tenant, s.now().Add(-24*time.Hour).UnixMicro()); err != nil {
			return err
		}
		out = map[string]any{"total": total, "active": byStatus[Active], "byStatus": byStatus, "byRole": byRole, "recentLogins": logins}
		return nil
	})
	return out, err
}

func (s *Service) stats(w http.ResponseWriter, r *http.Request) error {
	f, err := s.figures(r.Context(), tenant(r))
	if err != nil {
		return err
	}
	return api.Answer(w, r, http.StatusOK, map[string]any{"users": f, "totalUsers": f["total"], "activeUsers": f["active"], "usersByRole": f["byRole"],
		"recentLogins": f["recentLogins"]})
}

// stat answers with one of the figures.
func (s *Service) stat(name, figure string) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		f, err := s.figures(r.Context(), tenant(r))
		if err != nil {
			return err
		}
		return api.Answer(w, r, http.StatusOK, map[string]any{name: f[figure]})
	}
}
