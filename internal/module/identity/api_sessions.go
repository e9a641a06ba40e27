package identity

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/web/api"
)

func (s *Service) sessionRoutes() []api.Route {
	return []api.Route{
		{Method: "GET", Path: "/api/v1/sessions", Need: api.Known(), Summary: "The caller's sessions", Serve: s.listSessions},
		{Method: "GET", Path: "/api/v1/sessions/stats", Need: api.Known(), Summary: "Counts of the caller's sessions", Serve: s.sessionStats},
		{Method: "GET", Path: "/api/v1/sessions/global/stats", Need: api.Permission("sessions:manage"), Summary: "Counts of all sessions", Serve: s.globalSessionStats},
		{Method: "DELETE", Path: "/api/v1/sessions/{id}", Need: api.Known(), Summary: "End a session: one's own, or with sessions:manage any", Serve: s.deleteSession},
		{Method: "DELETE", Path: "/api/v1/sessions", Need: api.Known(), Summary: "End all sessions of the caller", Serve: s.deleteSessions},
	}
}

// agents are how browsers name themselves, the narrower first.
var agents = [...][2]string{{"Edg/", "Edge"}, {"OPR/", "Opera"}, {"Firefox/", "Firefox"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"}, {"curl/", "curl"}}

var systems = [...][2]string{{"Android", "Android"}, {"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Windows", "Windows"}, {"Mac OS X", "macOS"}, {"Linux", "Linux"}}

// deviceName is what people recognize a browser by.
func deviceName(agent string) string {
	name := "Unknown device"
	for _, a := range agents {
		if strings.Contains(agent, a[0]) {
			name = a[1]
			break
		}
	}
	for _, o := range systems {
		if strings.Contains(agent, o[0]) {
			return name + ", " + o[1]
		}
	}
	return name
}

func sessionJSON(ss *Session, current int64) map[string]any {
	id := strconv.FormatInt(ss.ID, 10)
	return map[string]any{"id": id, "sessionId": id, "userId": strconv.FormatInt(ss.User, 10), "ipAddress": ss.Address, "userAgent": ss.Agent, "device": deviceName(ss.Agent),
		"method": ss.How, "mfa": ss.MFA, "rememberMe": ss.Remember, "createdAt": when(ss.CreatedAt), "lastActivity": when(ss.UsedAt), "expiresAt": when(ss.Expires),
		"isCurrent": ss.ID == current}
}

func (s *Service) listSessions(w http.ResponseWriter, r *http.Request) error {
	c := caller(r)
	if c.User == 0 {
		return named(w, http.StatusOK, "sessions", []any{})
	}
	all, err := s.Sessions(r.Context(), c.Tenant, c.User)
	if err != nil {
		return err
	}
	out := make([]map[string]any, len(all))
	for i := range all {
		out[i] = sessionJSON(&all[i], c.Session)
	}
	return named(w, http.StatusOK, "sessions", out)
}

func (s *Service) sessionStats(w http.ResponseWriter, r *http.Request) error {
	c := caller(r)
	all, err := s.Sessions(r.Context(), c.Tenant, c.User)
	if err != nil {
		return err
	}
	last := time.Time{}
	devices := map[string]bool{}
	for i := range all {
		devices[deviceName(all[i].Agent)] = true
		if all[i].UsedAt.After(last) {
			last = all[i].UsedAt
		}
	}
	return named(w, http.StatusOK, "stats", map[string]any{"activeSessions": len(all), "maxSessions": s.set.Sessions, "devices": len(devices), "lastActivity": when(last)})
}

func (s *Service) globalSessionStats(w http.ResponseWriter, r *http.Request) error {
	out, err := s.counts(r.Context(), tenant(r), map[string]string{
		"activeSessions": "SELECT count(*) FROM identity_session WHERE tenant = $1 AND deleted_at = 0 AND expires_at > $2",
		"activeUsers":    "SELECT count(DISTINCT user_id) FROM identity_session WHERE tenant = $1 AND deleted_at = 0 AND expires_at > $2",
		"remembered":     "SELECT count(*) FROM identity_session WHERE tenant = $1 AND deleted_at = 0 AND remember = 1 AND expires_at > $2",
		"withMfa":        "SELECT count(*) FROM identity_session WHERE tenant = $1 AND deleted_at = 0 AND mfa = 1 AND expires_at > $2",
	}, s.now().UnixMicro())
	if err != nil {
		return err
	}
	return named(w, http.StatusOK, "stats", out)
}

// counts asks several counts on one snapshot.
func (s *Service) counts(ctx context.Context, tenant int32, queries map[string]string, arg any) (map[string]any, error) {
	out := map[string]any{}
	err := s.ledger.View(ctx, tenant, func(q sqldb.Querier) error {
		for name, text := range queries {
			args := []any{tenant}
			if strings.Contains(text, "$2") {
				args = append(args, arg)
			}
			var n int64
			if _, err := sqldb.QueryRow(ctx, q, []any{&n}, text, args...); err != nil {
				return err
			}
			out[name] = n
		}
		return nil
	})
	return out, err
}

func (s *Service) deleteSession(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r, "id")
	if err != nil {
		return err
	}
	if err := s.endOf(r, id, 0); err != nil {
		return err
	}
	return done(w, "the session is ended")
}

// endOf ends a session that the caller may end; of names whose it must be, 0 anybody's.
func (s *Service) endOf(r *http.Request, id, of int64) error {
	c := caller(r)
	ss, err := s.sessionOf(r.Context(), c.Tenant, id)
	if err != nil {
		return err
	}
	if of != 0 && ss.User != of || ss.User != c.User && !c.Permits("sessions:manage") {
		// To whom it is not, it is not there.
		return fault.New(fault.NotFound, "there is no such session")
	}
	return s.EndSession(r.Context(), c.Tenant, id, "ended by "+c.Who)
}

func (s *Service) deleteSessions(w http.ResponseWriter, r *http.Request) error {
	c := caller(r)
	if c.User == 0 {
		return fault.New(fault.Forbidden, "this is for users, not for programs")
	}
	if err := s.EndSessions(r.Context(), c.Tenant, c.User, 0, "all ended by the user"); err != nil {
		return err
	}
	s.ClearCookies(w, r)
	return done(w, "all sessions are ended")
}

func (s *Service) listDevices(w http.ResponseWriter, r *http.Request) error {
	id, err := s.ofPath(r, "sessions:manage")
	if err != nil {
		return err
	}
	all, err := s.Sessions(r.Context(), tenant(r), id)
	if err != nil {
		return err
	}
	out := make([]map[string]any, len(all))
	for i := range all {
		ss := &all[i]
		out[i] = map[string]any{"id": strconv.FormatInt(ss.ID, 10), "name": deviceName(ss.Agent), "lastUsed": when(ss.UsedAt), "isVerified": ss.MFA, "ipAddress": ss.Address,
			"createdAt": when(ss.CreatedAt)}
	}
	return named(w, http.StatusOK, "devices", out)
}

func (s *Service) deleteDevice(w http.ResponseWriter, r *http.Request) error {
	of, err := s.ofPath(r, "sessions:manage")
	if err != nil {
		return err
	}
	id, err := pathID(r, "device")
	if err != nil {
		return err
	}
	if err := s.endOf(r, id, of); err != nil {
		return err
	}
	return done(w, "signed out at the device")
}
