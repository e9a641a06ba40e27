package identity

import (
	"context"
	"encoding/json"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/web"
)

// keyMark begins every API key: what it is can be told, and found where it leaked. The tenant's number and 43 characters follow.
const keyMark = "nck_"

const (
	keyLife    = 365 * 24 * time.Hour
	maxOverlap = 30 * 24 * time.Hour
	maxKeys    = 1000 // of a tenant
)

// Key is an API key as it is listed: its secret is not among it.
type Key struct {
	ID                                    int64
	Name, Prefix, Service                 string // Prefix is of the newest secret; Service is the account's name, or ""
	Scopes, Addresses                     []string
	Expires, LastUsed, CreatedAt, Rotated time.Time // zero: never
	CreatedBy                             string
}

// ServiceAccount is a program that speaks for itself.
type ServiceAccount struct {
	ID                int64
	Name, Description string
	Role              string // service, device
	Scopes            []string
	Certificate       string // SHA-256 of its client certificate, in lower-case hexadecimal; "": none
	CreatedAt         time.Time
}

func newKey(tenant int32) string { return secret(keyMark + strconv.Itoa(int(tenant)) + "_") }

func keyPrefix(key string) string { return key[:len(key)-43+6] }

// cutKey reads the tenant of a key.
func cutKey(key string) (int32, bool) {
	rest, ok := strings.CutPrefix(key, keyMark)
	t, random, ok2 := strings.Cut(rest, "_")
	n, err := strconv.ParseInt(t, 10, 32)
	return int32(n), ok && ok2 && err == nil && n > 0 && len(random) == 43
}

// checkScopes reads scopes, and says why the caller may not give them to a program.
func checkScopes(ctx context.Context, list []string) (string, error) {
	scopes, err := access.ParseScopes(strings.Join(list, " "))
	if err != nil {
		return "", fault.At(fault.Invalid, "scopes", "%s", err.Error()).WithCode("value")
	}
	if scopes.Empty() || len(scopes.Unknown()) > 0 {
		return "", fault.At(fault.Invalid, "scopes", "scopes are permissions such as patients:read, or such as system/Patient.rs").WithCode("value")
	}
	c := access.From(ctx)
	for _, name := range scopes.Names() {
		if slices.Contains(scopes.Permissions(), name) {
			if !c.Permits(name) {
				return "", fault.New(fault.Forbidden, "you cannot give the permission %s, which you do not hold", name)
			}
			continue
		}
		// What a program may do with records is not bound to a person's sight: only who may do everything opens that.
		if (strings.Contains(name, "/") || name == access.WholeProduct) && !c.Permits(access.AllPermissions) {
			return "", fault.New(fault.Forbidden, "the scope %s needs somebody who may do everything", name)
		}
	}
	return scopes.String(), nil
}

func checkName(name string) (string, error) {
	name = strings.TrimSpace(name)
	if name == "" || len(name) > maxNames || strings.ContainsAny(name, "\x00\n\r\t") {
		return "", fault.At(fault.Invalid, "name", "a name has 1 to %d characters", maxNames).WithCode("value")
	}
	return name, nil
}

func needKeys(ctx context.Context) error {
	if c := access.From(ctx); !c.Permits("keys:manage") {
		return fault.New(fault.Forbidden, "this needs the permission keys:manage")
	}
	return nil
}

// CreateKey makes an API key and returns it; it is told once. The caller of ctx must hold keys:manage and the permissions that are among the
// scopes; scopes on records need somebody who may do everything.
func (s *Service) CreateKey(ctx context.Context, tenant int32, n NewKey) (string, int64, error) {
	if err := needKeys(ctx); err != nil {
		return "", 0, err
	}
	name, err := checkName(n.Name)
	if err != nil {
		return "", 0, err
	}
	service := int64(0)
	if n.Service != "" {
		account, err := s.serviceByName(ctx, tenant, n.Service)
		if err != nil {
			return "", 0, err
		}
		service = account.ID
		if len(n.Scopes) == 0 {
			n.Scopes = account.Scopes
		}
	}
	scopes, err := checkScopes(ctx, n.Scopes)
	if err != nil {
		return "", 0, err
	}
	if _, err := web.ParsePrefixes(n.Addresses); err != nil || len(n.Addresses) > 100 {
		return "", 0, fault.At(fault.Invalid, "addresses", "must be addresses, or networks such as 10.0.0.0/8, a hundred at most").WithCode("value")
	}
	now := s.now()
	if n.Expires.IsZero() {
		n.Expires = now.Add(keyLife)
	}
	if !n.Expires.After(now) {
		return "", 0, fault.At(fault.Invalid, "expiresAt", "must lie ahead").WithCode("value")
	}
	addresses, err := json.Marshal(append([]string{}, n.Addresses...))
	if err != nil {
		return "", 0, err
	}
	id, key := s.ledger.Next(), newKey(tenant)
	err = s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		var had int64
		if _, err := sqldb.QueryRow(ctx, tx, []any{&had}, "SELECT count(*) FROM identity_key WHERE tenant = $1 AND deleted_at = 0", tenant); err != nil {
			return err
		}
		if had >= maxKeys {
			return fault.New(fault.Conflict, "there are %d keys already: revoke some", maxKeys)
		}
		if _, err := tx.Exec(ctx, `INSERT INTO identity_key (tenant, id, name, scopes, service, addresses, expires_at, used_at, created_by, created_at, updated_by,
			updated_at, deleted_at) VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $9, $8, $9, 0)`,
			tenant, id, name, scopes, service, string(addresses), n.Expires.UnixMicro(), by(ctx), now.UnixMicro()); err != nil {
			return err
		}
		return giveKey(ctx, tx, tenant, id, key, now)
	})
	if err != nil {
		return "", 0, err
	}
	s.admin(ctx, tenant, "create", "Key", id, "scopes: "+scopes)
	return key, id, nil
}

func giveKey(ctx context.Context, tx sqldb.Tx, tenant int32, id int64, key string, now time.Time) error {
	_, err := tx.Exec(ctx, "INSERT INTO identity_key_secret (tenant, hash, key_id, prefix, expires_at, created_at) VALUES ($1, $2, $3, $4, 0, $5)",
		tenant, sum(key), id, keyPrefix(key), now.UnixMicro())
	return err
}

// standingKey returns a key that was not revoked and is not over, which the caller may manage; NotFound.
func (s *Service) standingKey(ctx context.Context, tenant int32, id int64) (*Key, error) {
	if err := needKeys(ctx); err != nil {
		return nil, err
	}
	all, err := s.Keys(ctx, tenant)
	if err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].ID == id {
			return &all[i], nil
		}
	}
	return nil, fault.New(fault.NotFound, "there is no such key")
}

// RotateKey gives a key a new secret, which is returned; the ones before it are good for the overlap yet, 30 days at most. The caller must
// be allowed to make such a key.
func (s *Service) RotateKey(ctx context.Context, tenant int32, id int64, overlap time.Duration) (string, error) {
	k, err := s.standingKey(ctx, tenant, id)
	if err != nil {
		return "", err
	}
	if _, err := checkScopes(ctx, k.Scopes); err != nil {
		return "", err
	}
	if overlap < 0 || overlap > maxOverlap {
		return "", fault.At(fault.Invalid, "overlapSeconds", "must be 0 to %d", int(maxOverlap/time.Second)).WithCode("value")
	}
	now, key := s.now(), newKey(tenant)
	err = s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		until := now.Add(overlap).UnixMicro()
		if _, err := tx.Exec(ctx, "UPDATE identity_key_secret SET expires_at = $3 WHERE tenant = $1 AND key_id = $2 AND (expires_at = 0 OR expires_at > $3)",
			tenant, id, until); err != nil {
			return err
		}
		n, err := tx.Exec(ctx, "UPDATE identity_key SET updated_by = $3, updated_at = $4 WHERE tenant = $1 AND id = $2 AND deleted_at = 0", tenant, id, by(ctx), now.UnixMicro())
		if err != nil || n == 0 {
			return or[error](err, fault.New(fault.NotFound, "there is no such key"))
		}
		return giveKey(ctx, tx, tenant, id, key, now)
	})
	if err != nil {
		return "", err
	}
	s.forgetKey(tenant, id)
	s.admin(ctx, tenant, "rotate", "Key", id, "overlap: "+overlap.String())
	return key, nil
}

// RevokeKey ends a key and all its secrets at once, in other processes within two seconds.
func (s *Service) RevokeKey(ctx context.Context, tenant int32, id int64) error {
	if err := needKeys(ctx); err != nil {
		return err
	}
	err := s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		n, err := tx.Exec(ctx, "UPDATE identity_key SET deleted_at = $3, updated_at = $3, updated_by = $4 WHERE tenant = $1 AND id = $2 AND deleted_at = 0",
			tenant, id, s.now().UnixMicro(), by(ctx))
		if err == nil && n == 0 {
			return fault.New(fault.NotFound, "there is no such key")
		}
		return err
	})
	if err != nil {
		return err
	}
	s.forgetKey(tenant, id)
	s.admin(ctx, tenant, "revoke", "Key", id, "")
	return nil
}

// Keys lists the keys that were not revoked, newest first, those that are over among them.
func (s *Service) Keys(ctx context.Context, tenant int32) ([]Key, error) {
	out := []Key{}
	err := s.ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		out = out[:0]
		return sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
			var k Key
			var scopes, addresses string
			var expires, used, created, rotated int64
			if err := rows.Scan(&k.ID, &k.Name, &scopes, &addresses, &expires, &used, &k.CreatedBy, &created, &k.Service, &k.Prefix, &rotated); err != nil {
				return err
			}
			k.Scopes, k.Expires, k.LastUsed, k.CreatedAt = strings.Fields(scopes), at(expires), at(used), at(created)
			if rotated != created {
				k.Rotated = at(rotated)
			}
			out = append(out, k)
			return json.Unmarshal([]byte(addresses), &out[len(out)-1].Addresses)
		}, `SELECT k.id, k.name, k.scopes, k.addresses, k.expires_at, k.used_at, k.created_by, k.created_at, COALESCE(a.name, ''),
			COALESCE((SELECT x.prefix FROM identity_key_secret x WHERE x.tenant = k.tenant AND x.key_id = k.id AND x.expires_at = 0), ''),
			COALESCE((SELECT x.created_at FROM identity_key_secret x WHERE x.tenant = k.tenant AND x.key_id = k.id AND x.expires_at = 0), 0)
			FROM identity_key k LEFT JOIN identity_service a ON a.tenant = k.tenant AND a.id = k.service
			WHERE k.tenant = $1 AND k.deleted_at = 0 ORDER BY k.id DESC`, tenant)
	})
	return out, err
}

// keyRow is what a secret opens.
type keyRow struct {
	id            int64
	name, scopes  string
	role, account string // of its service account
	within        string // the account's scopes
	from          []netip.Prefix
	until, used   int64
}

// keyOf finds what a key opens; nil where it opens nothing now.
func (s *Service) keyOf(ctx context.Context, tenant int32, key string, now time.Time) (*keyRow, error) {
	var k *keyRow
	var addresses string
	var service, gone, secretUntil int64
	err := s.ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		k = &keyRow{}
		found, err := sqldb.QueryRow(ctx, q, []any{&k.id, &k.name, &k.scopes, &addresses, &k.until, &k.used, &service, &k.role, &k.account, &k.within, &gone, &secretUntil},
			`SELECT k.id, k.name, k.scopes, k.addresses, k.expires_at, k.used_at, k.service, COALESCE(a.role, ''), COALESCE(a.name, ''), COALESCE(a.scopes, ''),
				COALESCE(a.deleted_at, 0), x.expires_at
			FROM identity_key_secret x JOIN identity_key k ON k.tenant = x.tenant AND k.id = x.key_id AND k.deleted_at = 0
			LEFT JOIN identity_service a ON a.tenant = k.tenant AND a.id = k.service WHERE x.tenant = $1 AND x.hash = $2`, tenant, sum(key))
		if !found {
			k = nil
		}
		return err
	})
	if err != nil || k == nil {
		return nil, err
	}
	if secretUntil != 0 {
		k.until = min(k.until, secretUntil)
	}
	if gone != 0 || now.UnixMicro() >= k.until {
		return nil, nil
	}
	var list []string
	if err := json.Unmarshal([]byte(addresses), &list); err != nil {
		return nil, err
	}
	k.from, err = web.ParsePrefixes(list)
	return k, err
}

// touchKey notes that a key is in use, once a minute at most.
func (s *Service) touchKey(ctx context.Context, tenant int32, k *keyRow, now time.Time) error {
	if now.Sub(at(k.used)) < touchEvery {
		return nil
	}
	return s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE identity_key SET used_at = $3 WHERE tenant = $1 AND id = $2", tenant, k.id, now.UnixMicro())
		return err
	})
}

var certificateForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

// CreateService makes a service account: Role is "service", or "device".
func (s *Service) CreateService(ctx context.Context, tenant int32, n ServiceAccount) (*ServiceAccount, error) {
	if err := needKeys(ctx); err != nil {
		return nil, err
	}
	var err error
	if n.Name, err = checkName(n.Name); err != nil {
		return nil, err
	}
	if n.Role = or(n.Role, "service"); n.Role != "service" && n.Role != "device" {
		return nil, fault.At(fault.Invalid, "role", "must be service or device").WithCode("value")
	}
	if len(n.Description) > 500 {
		return nil, fault.At(fault.Invalid, "description", "it is longer than 500 bytes").WithCode("value")
	}
	n.Certificate = strings.ToLower(strings.ReplaceAll(n.Certificate, ":", ""))
	if n.Certificate != "" && !certificateForm.MatchString(n.Certificate) {
		return nil, fault.At(fault.Invalid, "certificate", "must be a SHA-256 fingerprint in hexadecimal").WithCode("value")
	}
	scopes, err := checkScopes(ctx, n.Scopes)
	if err != nil {
		return nil, err
	}
	n.ID, n.CreatedAt, n.Scopes = s.ledger.Next(), s.now(), strings.Fields(scopes)
	made := int64(0)
	err = s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) (err error) {
		made, err = tx.Exec(ctx, `INSERT INTO identity_service (tenant, id, name, description, role, scopes, certificate, created_by, created_at, updated_by, updated_at,
			deleted_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $8, $9, 0) ON CONFLICT DO NOTHING`,
			tenant, n.ID, n.Name, n.Description, n.Role, scopes, n.Certificate, by(ctx), n.CreatedAt.UnixMicro())
		return err
	})
	if err != nil {
		return nil, err
	}
	if made == 0 {
		return nil, fault.At(fault.Conflict, "name", "there is a service account of this name, or with this certificate").WithCode("DUPLICATE_ENTRY")
	}
	s.admin(ctx, tenant, "create", "ServiceAccount", n.ID, n.Role+": "+scopes)
	return &n, nil
}

// Services lists the service accounts by name.
func (s *Service) Services(ctx context.Context, tenant int32) ([]ServiceAccount, error) {
	out := []ServiceAccount{}
	err := s.ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		out = out[:0]
		return sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
			var a ServiceAccount
			var scopes string
			var created int64
			err := rows.Scan(&a.ID, &a.Name, &a.Description, &a.Role, &scopes, &a.Certificate, &created)
			a.Scopes, a.CreatedAt = strings.Fields(scopes), at(created)
			out = append(out, a)
			return err
		}, "SELECT id, name, description, role, scopes, certificate, created_at FROM identity_service WHERE tenant = $1 AND deleted_at = 0 ORDER BY name", tenant)
	})
	return out, err
}

func (s *Service) serviceByName(ctx context.Context, tenant int32, name string) (*ServiceAccount, error) {
	return s.serviceBy(ctx, tenant, func(a *ServiceAccount) bool { return a.Name == name })
}

func (s *Service) serviceBy(ctx context.Context, tenant int32, is func(*ServiceAccount) bool) (*ServiceAccount, error) {
	all, err := s.Services(ctx, tenant)
	if err != nil {
		return nil, err
	}
	for i := range all {
		if is(&all[i]) {
			return &all[i], nil
		}
	}
	return nil, fault.At(fault.NotFound, "service", "there is no such service account")
}

// DeleteService ends a service account with all its keys.
func (s *Service) DeleteService(ctx context.Context, tenant int32, id int64) error {
	if err := needKeys(ctx); err != nil {
		return err
	}
	now := s.now().UnixMicro()
	err := s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		n, err := tx.Exec(ctx, "UPDATE identity_service SET deleted_at = $3, updated_at = $3, updated_by = $4 WHERE tenant = $1 AND id = $2 AND deleted_at = 0",
			tenant, id, now, by(ctx))
		if err != nil || n == 0 {
			return or[error](err, fault.New(fault.NotFound, "there is no such service account"))
		}
		_, err = tx.Exec(ctx, "UPDATE identity_key SET deleted_at = $3, updated_at = $3, updated_by = $4 WHERE tenant = $1 AND service = $2 AND deleted_at = 0",
			tenant, id, now, by(ctx))
		return err
	})
	if err != nil {
		return err
	}
	s.Forget(tenant)
	s.admin(ctx, tenant, "delete", "ServiceAccount", id, "with its keys")
	return nil
}
