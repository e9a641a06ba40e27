package identity

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/web/api"
)

// The states of a tenant.
const (
	TenantActive    = "active"
	TenantSuspended = "suspended" // nobody of it is served
	TenantDeleting  = "deleting"  // suspended, and deleted when its time has come
	TenantDeleted   = "deleted"   // its keys are destroyed: what it had cannot be read any more
)

const (
	firstTenant = 1
	// Grace is how long a tenant that is to be deleted can be taken back.
	Grace = 30 * 24 * time.Hour
)

// Tenant is an organisation with records of its own. The first one is always there; its administrators keep the others.
type Tenant struct {
	ID                 int32
	Name, Status       string
	DeleteAt           time.Time // zero: it is not to be deleted
	CreatedAt, Updated time.Time
}

// tenantStates remembers, for a second, which tenants are served.
type tenantStates struct {
	mu    sync.Mutex
	known map[int32]tenantState
}

type tenantState struct {
	status string
	until  time.Time
}

func (t *tenantStates) get(id int32, now time.Time) (string, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, ok := t.known[id]
	return s.status, ok && now.Before(s.until)
}

func (t *tenantStates) put(id int32, status string, until time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known == nil {
		t.known = map[int32]tenantState{}
	}
	t.known[id] = tenantState{status, until}
}

// tenantOpen is the hook: why a tenant is not served.
func (s *Service) tenantOpen(ctx context.Context, id int32) error {
	if id == firstTenant {
		return nil
	}
	status, ok := s.tenants.get(id, s.now())
	if !ok {
		t, err := s.readTenant(ctx, id)
		if err != nil {
			return err
		}
		if t != nil {
			status = t.Status
		}
		s.tenants.put(id, status, s.now().Add(time.Second))
	}
	if status != TenantActive {
		return fault.New(fault.Forbidden, "this tenant is not served")
	}
	return nil
}

const tenantColumns = "id, name, status, delete_at, created_at, updated_at"

func scanTenant(r sqldb.Rows) (t Tenant, err error) {
	var id, gone, made, changed int64
	err = r.Scan(&id, &t.Name, &t.Status, &gone, &made, &changed)
	t.ID, t.DeleteAt, t.CreatedAt, t.Updated = int32(id), at(gone), at(made), at(changed) //nolint:gosec // the column's
	return t, err
}

func (s *Service) readTenant(ctx context.Context, id int32) (*Tenant, error) {
	var out *Tenant
	err := s.ledger.Read(ctx, firstTenant, func(q sqldb.Querier) error {
		return sqldb.Each(ctx, q, func(r sqldb.Rows) error {
			t, err := scanTenant(r)
			out = &t
			return err
		}, "SELECT "+tenantColumns+" FROM identity_tenant WHERE tenant = 1 AND id = $1", id)
	})
	return out, err
}

// mayKeepTenants lets the first tenant's administrators, and the operator, keep the list.
func mayKeepTenants(ctx context.Context) error {
	c := access.From(ctx)
	if c.Tenant != firstTenant || !c.Permits("tenants:manage") {
		return fault.New(fault.Forbidden, "this needs the permission tenants:manage, in the first tenant")
	}
	return nil
}

// Tenants lists all tenants but the first, in the order of their numbers.
func (s *Service) Tenants(ctx context.Context) ([]Tenant, error) {
	if err := mayKeepTenants(ctx); err != nil {
		return nil, err
	}
	var out []Tenant
	err := s.ledger.Read(ctx, firstTenant, func(q sqldb.Querier) error {
		return sqldb.Each(ctx, q, func(r sqldb.Rows) error {
			t, err := scanTenant(r)
			out = append(out, t)
			return err
		}, "SELECT "+tenantColumns+" FROM identity_tenant WHERE tenant = 1 ORDER BY id")
	})
	return out, err
}

// CreateTenant makes a tenant with keys of its own, and returns it with the token by which its first administrator sets it up.
func (s *Service) CreateTenant(ctx context.Context, name string) (*Tenant, string, error) {
	if err := mayKeepTenants(ctx); err != nil {
		return nil, "", err
	}
	if name = strings.TrimSpace(name); name == "" || len(name) > 200 {
		return nil, "", fault.At(fault.Invalid, "name", "must be given, in 200 bytes at most")
	}
	t := &Tenant{Name: name, Status: TenantActive, CreatedAt: s.now(), Updated: s.now()}
	err := s.ledger.Update(ctx, firstTenant, func(tx sqldb.Tx) error {
		if err := tx.Lock(ctx, lockOf("tenants", firstTenant, 0)); err != nil {
			return err
		}
		var most int64
		if _, err := sqldb.QueryRow(ctx, tx, []any{&most}, "SELECT coalesce(max(id), 1) FROM identity_tenant WHERE tenant = 1"); err != nil {
			return err
		}
		t.ID = int32(most) + 1 //nolint:gosec // the column's
		_, err := tx.Exec(ctx, `INSERT INTO identity_tenant (tenant, id, name, status, delete_at, created_by, created_at, updated_by, updated_at, deleted_at)
			VALUES (1, $1, $2, 'active', 0, $3, $4, $3, $4, 0)`, t.ID, name, by(ctx), s.now().UnixMicro())
		return err
	})
	if err != nil {
		return nil, "", err
	}
	s.admin(ctx, firstTenant, "create", "Tenant", int64(t.ID), "")
	token, err := s.SetupToken(access.With(ctx, access.System(t.ID)), t.ID)
	return t, token, err
}

// setTenant brings a tenant from one of the states to another.
func (s *Service) setTenant(ctx context.Context, id int32, to string, deleteAt time.Time, from ...string) (*Tenant, error) {
	if err := mayKeepTenants(ctx); err != nil {
		return nil, err
	}
	gone := int64(0)
	if !deleteAt.IsZero() {
		gone = deleteAt.UnixMicro()
	}
	args := []any{id, to, gone, by(ctx), s.now().UnixMicro()}
	in := make([]string, len(from))
	for i, f := range from {
		args = append(args, f)
		in[i] = "$" + strconv.Itoa(len(args))
	}
	n := int64(0)
	err := s.ledger.Update(ctx, firstTenant, func(tx sqldb.Tx) (err error) {
		n, err = tx.Exec(ctx, "UPDATE identity_tenant SET status = $2, delete_at = $3, updated_by = $4, updated_at = $5 WHERE tenant = 1 AND id = $1 AND status IN ("+strings.Join(in, ", ")+")", args...)
		return err
	})
	if err != nil {
		return nil, err
	}
	t, err := s.readTenant(ctx, id)
	switch {
	case err != nil:
		return nil, err
	case t == nil:
		return nil, fault.New(fault.NotFound, "there is no such tenant")
	case n == 0:
		return nil, fault.New(fault.Conflict, "the tenant is %s", t.Status)
	}
	s.tenants.put(id, t.Status, s.now().Add(time.Second))
	s.Forget(id)
	s.admin(ctx, firstTenant, to, "Tenant", int64(id), "")
	return t, nil
}

// SuspendTenant has nobody of the tenant be served: at once in this process, within two seconds in others.
func (s *Service) SuspendTenant(ctx context.Context, id int32) (*Tenant, error) {
	return s.setTenant(ctx, id, TenantSuspended, time.Time{}, TenantActive)
}

// ResumeTenant takes a suspension, or a deletion whose time has not come, back.
func (s *Service) ResumeTenant(ctx context.Context, id int32) (*Tenant, error) {
	return s.setTenant(ctx, id, TenantActive, time.Time{}, TenantSuspended, TenantDeleting)
}

// DeleteTenant suspends the tenant, and has it deleted when [Grace] is over.
func (s *Service) DeleteTenant(ctx context.Context, id int32) (*Tenant, error) {
	return s.setTenant(ctx, id, TenantDeleting, s.now().Add(Grace), TenantActive, TenantSuspended)
}

// DueTenants are those whose time has come. Once destroy has made what they had unreadable they are deleted.
func (s *Service) DueTenants(ctx context.Context, destroy func(ctx context.Context, tenant int32) error) error {
	all, err := s.Tenants(ctx)
	if err != nil {
		return err
	}
	for _, t := range all {
		if t.Status != TenantDeleting || s.now().Before(t.DeleteAt) {
			continue
		}
		if err := destroy(ctx, t.ID); err != nil {
			return err
		}
		if _, err := s.setTenant(ctx, t.ID, TenantDeleted, time.Time{}, TenantDeleting); err != nil {
			return err
		}
	}
	return nil
}

type tenantIn struct {
	Name string `json:"name"`
}

func (s *Service) tenantRoutes() []api.Route {
	need := api.Permission("tenants:manage")
	return []api.Route{
		{Method: "GET", Path: "/api/v1/tenants", Need: need, Summary: "The tenants beside the first", Serve: s.getTenants},
		{Method: "POST", Path: "/api/v1/tenants", Need: need, Summary: "Make a tenant; answers with the token that its first administrator sets it up with", In: tenantIn{}, Serve: s.postTenant},
		{Method: "GET", Path: "/api/v1/tenants/{id}", Need: need, Summary: "One tenant", Serve: s.tenantDo(s.oneTenant)},
		{Method: "POST", Path: "/api/v1/tenants/{id}/suspend", Need: need, Summary: "Serve nobody of a tenant", Serve: s.tenantDo(s.SuspendTenant)},
		{Method: "POST", Path: "/api/v1/tenants/{id}/resume", Need: need, Summary: "Serve a tenant again", Serve: s.tenantDo(s.ResumeTenant)},
		{Method: "DELETE", Path: "/api/v1/tenants/{id}", Need: need, Summary: "Suspend a tenant, and delete it after thirty days", Serve: s.tenantDo(s.DeleteTenant)},
	}
}

func (s *Service) oneTenant(ctx context.Context, id int32) (*Tenant, error) {
	if err := mayKeepTenants(ctx); err != nil {
		return nil, err
	}
	t, err := s.readTenant(ctx, id)
	if err == nil && t == nil {
		err = fault.New(fault.NotFound, "there is no such tenant")
	}
	return t, err
}

func tenantJSON(t *Tenant) map[string]any {
	return map[string]any{"id": strconv.Itoa(int(t.ID)), "name": t.Name, "status": t.Status, "deleteAt": when(t.DeleteAt), "createdAt": when(t.CreatedAt), "updatedAt": when(t.Updated)}
}

func (s *Service) getTenants(w http.ResponseWriter, r *http.Request) error {
	all, err := s.Tenants(r.Context())
	if err != nil {
		return err
	}
	out := make([]map[string]any, len(all))
	for i := range all {
		out[i] = tenantJSON(&all[i])
	}
	return named(w, http.StatusOK, "tenants", out)
}

func (s *Service) postTenant(w http.ResponseWriter, r *http.Request) error {
	var in tenantIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	t, token, err := s.CreateTenant(r.Context(), in.Name)
	if err != nil {
		return err
	}
	out := tenantJSON(t)
	out["setupToken"] = token
	return named(w, http.StatusCreated, "tenant", out)
}

// tenantDo serves a route that does something to the tenant of its path.
func (s *Service) tenantDo(do func(context.Context, int32) (*Tenant, error)) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		id, err := strconv.ParseInt(r.PathValue("id"), 10, 32)
		if err != nil || id < 1 {
			return fault.New(fault.NotFound, "there is no such tenant")
		}
		t, err := do(r.Context(), int32(id))
		if err != nil {
			return err
		}
		return named(w, http.StatusOK, "tenant", tenantJSON(t))
	}
}
