package identity

import (
	"context"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// mostHosts is how many host names a tenant may have.
const mostHosts = 20

// hostForm is a name of the DNS, in ASCII (RFC 1123; other scripts as xn--).
var hostForm = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// plainHost is the one form of a host name: lower case, without port and final dot.
func plainHost(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.TrimSuffix(strings.ToLower(strings.TrimSpace(host)), ".")
}

// TenantOf says which tenant a request is for by its Host and X-Tenant-ID headers; 0: neither says. Invalid where the header is no number, or names
// another tenant than the host; Forbidden for a tenant that is not served, or is not there. It lets nobody in: credentials must be the tenant's.
func (s *Service) TenantOf(ctx context.Context, host, header string) (int32, error) {
	named := int32(0)
	if header = strings.TrimSpace(header); header != "" {
		n, err := strconv.ParseInt(header, 10, 32)
		if err != nil || n < 1 {
			return 0, fault.At(fault.Invalid, "X-Tenant-ID", "must be a tenant's number")
		}
		named = int32(n)
	}
	of, err := s.hostTenant(ctx, plainHost(host))
	if err != nil {
		return 0, err
	}
	if of != 0 && named != 0 && of != named {
		return 0, fault.At(fault.Invalid, "X-Tenant-ID", "names another tenant than the host")
	}
	id := or(of, named)
	if id == 0 {
		return 0, nil
	}
	return id, s.tenantOpen(ctx, id)
}

// hostTenant is whose the host name was a second ago at most; 0: nobody's.
func (s *Service) hostTenant(ctx context.Context, host string) (int32, error) {
	if host == "" {
		return 0, nil
	}
	if id, fresh := s.tenants.host(host, s.now()); fresh {
		return id, nil
	}
	all := map[string]int32{}
	err := s.ledger.Read(ctx, firstTenant, func(q sqldb.Querier) error {
		clear(all)
		return sqldb.Each(ctx, q, func(r sqldb.Rows) error {
			var name string
			var id int64
			err := r.Scan(&name, &id)
			all[name] = int32(id) //nolint:gosec // the column's
			return err
		}, "SELECT host, id FROM identity_host WHERE tenant = 1")
	})
	if err != nil {
		return 0, err
	}
	s.tenants.setHosts(all, s.now().Add(tenantLife))
	return all[host], nil
}

// TenantChange says what of a tenant changes; nil stays as it is.
type TenantChange struct {
	Name  *string
	Hosts *[]string // all of them
}

// check brings the change into the one form.
func (c *TenantChange) check() error {
	if c.Name != nil {
		name := strings.TrimSpace(*c.Name)
		if name == "" || len(name) > longestTenantName {
			return fault.At(fault.Invalid, "name", "must be given, in %d bytes at most", longestTenantName)
		}
		c.Name = &name
	}
	if c.Hosts == nil {
		return nil
	}
	set := map[string]bool{}
	for _, h := range *c.Hosts {
		h = plainHost(h)
		if len(h) > 253 || !hostForm.MatchString(h) {
			return fault.At(fault.Invalid, "hosts", "must be names such as clinic.example.org")
		}
		set[h] = true
	}
	if len(set) > mostHosts {
		return fault.At(fault.Invalid, "hosts", "are more than %d", mostHosts)
	}
	hosts := slices.Sorted(maps.Keys(set))
	c.Hosts = &hosts
	return nil
}

// ChangeTenant changes a tenant's name, or by which host names requests are its. Conflict where a name is another's, or the tenant is deleted.
func (s *Service) ChangeTenant(ctx context.Context, id int32, c TenantChange) (*Tenant, error) {
	if err := mayKeepTenants(ctx); err != nil {
		return nil, err
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	err := s.ledger.Update(ctx, firstTenant, func(tx sqldb.Tx) error {
		if err := tx.Lock(ctx, lockOf("tenants", firstTenant, 0)); err != nil {
			return err
		}
		var name, status string
		found, err := sqldb.QueryRow(ctx, tx, []any{&name, &status}, "SELECT name, status FROM identity_tenant WHERE tenant = 1 AND id = $1", id)
		switch {
		case err != nil:
			return err
		case !found:
			return errNoTenant()
		case status == TenantDeleted:
			return fault.New(fault.Conflict, "the tenant is deleted")
		}
		if c.Name != nil {
			name = *c.Name
		}
		if _, err := tx.Exec(ctx, "UPDATE identity_tenant SET name = $2, updated_by = $3, updated_at = $4 WHERE tenant = 1 AND id = $1", id, name, by(ctx), s.now().UnixMicro()); err != nil {
			return err
		}
		if c.Hosts == nil {
			return nil
		}
		return s.putHosts(ctx, tx, id, *c.Hosts)
	})
	if err != nil {
		return nil, err
	}
	s.tenants.setHosts(nil, s.now())
	t, err := s.readTenant(ctx, id)
	if err != nil {
		return nil, err
	}
	s.tenants.put(id, t, s.now().Add(tenantLife))
	s.admin(ctx, firstTenant, "update", "Tenant", int64(id), "")
	return t, nil
}

func (s *Service) putHosts(ctx context.Context, tx sqldb.Tx, id int32, hosts []string) error {
	if _, err := tx.Exec(ctx, "DELETE FROM identity_host WHERE tenant = 1 AND id = $1", id); err != nil {
		return err
	}
	for _, h := range hosts {
		n, err := tx.Exec(ctx, "INSERT INTO identity_host (tenant, host, id, created_by, created_at) VALUES (1, $1, $2, $3, $4) ON CONFLICT (tenant, host) DO NOTHING",
			h, id, by(ctx), s.now().UnixMicro())
		if err == nil && n == 0 {
			err = fault.At(fault.Conflict, "hosts", "is another tenant's: %s", h)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
