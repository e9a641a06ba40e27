package identity

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// The states of a tenant.
const (
	TenantActive    = "active"
	TenantSuspended = "suspended" // nobody of it is served
	TenantDeleting  = "deleting"  // suspended, and deleted when its time has come
	TenantDeleted   = "deleted"   // its keys are destroyed: what it had cannot be read any more
)

const (
	firstTenant       = 1
	longestTenantName = 200 // bytes
	// Grace is how long a tenant that is to be deleted can be taken back.
	Grace = 30 * 24 * time.Hour
)

// Tenant is an organisation with records of its own. The first one is always there; its administrators keep the others.
type Tenant struct {
	ID                 int32
	Name, Status       string
	Hosts              []string  // by which requests are this tenant's, beside those that name it; in order
	DeleteAt           time.Time // zero: it is not to be deleted
	CreatedAt, Updated time.Time
}

// tenantLife is how long a tenant is taken on what was read of it.
const tenantLife = time.Second

// tenantStates remembers, for a second, which tenants there are.
type tenantStates struct {
	mu         sync.Mutex
	known      map[int32]tenantState
	hosts      map[string]int32
	hostsUntil time.Time
}

type tenantState struct {
	t     *Tenant // nil: there is none
	until time.Time
}

// maxTenantStates bounds what is remembered: anybody may name a tenant.
const maxTenantStates = 4096

func (t *tenantStates) get(id int32, now time.Time) (*Tenant, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, ok := t.known[id]
	return s.t, ok && now.Before(s.until)
}

func (t *tenantStates) put(id int32, of *Tenant, until time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known == nil || len(t.known) >= maxTenantStates {
		t.known = map[int32]tenantState{}
	}
	t.known[id] = tenantState{of, until}
}

func (t *tenantStates) host(name string, now time.Time) (id int32, fresh bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.hosts[name], t.hosts != nil && now.Before(t.hostsUntil)
}

// setHosts remembers all host names; nil: they are to be read anew.
func (t *tenantStates) setHosts(all map[string]int32, until time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hosts, t.hostsUntil = all, until
}

// findTenant returns a tenant as it was at most a second ago; nil: there is none.
func (s *Service) findTenant(ctx context.Context, id int32) (*Tenant, error) {
	if t, ok := s.tenants.get(id, s.now()); ok {
		return t, nil
	}
	t, err := s.readTenant(ctx, id)
	if err == nil {
		s.tenants.put(id, t, s.now().Add(tenantLife))
	}
	return t, err
}

// Tenant returns a tenant as it was at most a second ago, whoever asks; NotFound where there is none. The first is always there, and active.
func (s *Service) Tenant(ctx context.Context, id int32) (*Tenant, error) {
	if id == firstTenant {
		return &Tenant{ID: firstTenant, Status: TenantActive}, nil
	}
	t, err := s.findTenant(ctx, id)
	if err == nil && t == nil {
		err = errNoTenant()
	}
	if err != nil {
		return nil, err
	}
	out := *t
	out.Hosts = slices.Clone(t.Hosts)
	return &out, nil
}

func errNoTenant() error { return fault.New(fault.NotFound, "there is no such tenant") }

// tenantOpen is the hook: why a tenant is not served.
func (s *Service) tenantOpen(ctx context.Context, id int32) error {
	if id == firstTenant {
		return nil
	}
	t, err := s.findTenant(ctx, id)
	if err == nil && (t == nil || t.Status != TenantActive) {
		err = fault.New(fault.Forbidden, "this tenant is not served")
	}
	return err
}

const tenantColumns = "id, name, status, delete_at, created_at, updated_at"

func scanTenant(r sqldb.Rows) (t Tenant, err error) {
	var id, gone, made, changed int64
	err = r.Scan(&id, &t.Name, &t.Status, &gone, &made, &changed)
	t.ID, t.DeleteAt, t.CreatedAt, t.Updated = int32(id), at(gone), at(made), at(changed) //nolint:gosec // the column's
	return t, err
}

func (s *Service) readTenant(ctx context.Context, id int32) (*Tenant, error) {
	all, err := s.readTenants(ctx, " AND id = $1", id)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return &all[0], nil
}

// readTenants reads tenants with their host names, in the order of their numbers.
func (s *Service) readTenants(ctx context.Context, where string, args ...any) (out []Tenant, err error) {
	err = s.ledger.View(ctx, firstTenant, func(q sqldb.Querier) error {
		out = nil
		if err := sqldb.Each(ctx, q, func(r sqldb.Rows) error {
			t, err := scanTenant(r)
			out = append(out, t)
			return err
		}, "SELECT "+tenantColumns+" FROM identity_tenant WHERE tenant = 1"+where+" ORDER BY id", args...); err != nil {
			return err
		}
		return sqldb.Each(ctx, q, func(r sqldb.Rows) error {
			var host string
			var id int64
			err := r.Scan(&host, &id)
			if i, ok := slices.BinarySearchFunc(out, id, func(t Tenant, id int64) int { return cmp.Compare(int64(t.ID), id) }); ok {
				out[i].Hosts = append(out[i].Hosts, host)
			}
			return err
		}, "SELECT host, id FROM identity_host WHERE tenant = 1"+where+" ORDER BY host", args...)
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
	return s.readTenants(ctx, "")
}

// CreateTenant makes a tenant with keys of its own, and returns it with the token by which its first administrator sets it up.
func (s *Service) CreateTenant(ctx context.Context, name string) (*Tenant, string, error) {
	if err := mayKeepTenants(ctx); err != nil {
		return nil, "", err
	}
	if name = strings.TrimSpace(name); name == "" || len(name) > longestTenantName {
		return nil, "", fault.At(fault.Invalid, "name", "must be given, in %d bytes at most", longestTenantName)
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
		if err == nil && n > 0 && to == TenantDeleted { // its names may be others'
			_, err = tx.Exec(ctx, "DELETE FROM identity_host WHERE tenant = 1 AND id = $1", id)
		}
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
		return nil, errNoTenant()
	case n == 0:
		return nil, fault.New(fault.Conflict, "the tenant is %s", t.Status)
	}
	s.tenants.put(id, t, s.now().Add(tenantLife))
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
