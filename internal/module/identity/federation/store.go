package federation

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/module/identity"
	"github.com/nilecare/nilecare/internal/sqldb"
)

func random() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func hash(v string) []byte {
	h := sha256.Sum256([]byte(v))
	return h[:]
}

var errNoProvider = fault.New(fault.NotFound, "there is no such provider")

func secretPlace(id string) string { return "federation.provider/" + id }

const providerColumns = "id, kind, name, enabled, config, secret, updated_at"

// Providers returns a tenant's providers in the order of their ids.
func (s *Service) Providers(ctx context.Context, tenant int32) ([]*Provider, error) {
	return s.providers(ctx, tenant, "", nil)
}

// Provider returns one; NotFound where there is none.
func (s *Service) Provider(ctx context.Context, tenant int32, id string) (*Provider, error) {
	all, err := s.providers(ctx, tenant, " AND id = $2", id)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, errNoProvider
	}
	return all[0], nil
}

func (s *Service) providers(ctx context.Context, tenant int32, where string, arg any) ([]*Provider, error) {
	args := []any{tenant}
	if where != "" {
		args = append(args, arg)
	}
	var out []*Provider
	var sealed [][]byte
	err := s.ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		out, sealed = nil, nil
		return sqldb.Each(ctx, q, func(r sqldb.Rows) error {
			p := &Provider{tenant: tenant}
			var enabled, updated int64
			var config string
			var secret []byte
			if err := r.Scan(&p.ID, &p.Kind, &p.Name, &enabled, &config, &secret, &updated); err != nil {
				return err
			}
			p.Enabled, p.Updated = enabled != 0, time.UnixMicro(updated).UTC()
			out, sealed = append(out, p), append(sealed, secret)
			return json.Unmarshal([]byte(config), &p.Config)
		}, "SELECT "+providerColumns+" FROM federation_provider WHERE tenant = $1 AND deleted_at = 0"+where+" ORDER BY id", args...)
	})
	if err != nil {
		return nil, err
	}
	for i, p := range out {
		plain, err := s.ledger.Open(ctx, tenant, secretPlace(p.ID), sealed[i])
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(plain, &p.secret); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// save writes a provider; Conflict where it is new and its id is taken, NotFound where it is not new and gone.
func (s *Service) save(ctx context.Context, p *Provider, who string, isNew bool) error {
	config, err := json.Marshal(p.Config)
	if err != nil {
		return err
	}
	plain, err := json.Marshal(p.secret)
	if err != nil {
		return err
	}
	sealed, err := s.ledger.Seal(ctx, p.tenant, secretPlace(p.ID), plain)
	if err != nil {
		return err
	}
	enabled := int64(0)
	if p.Enabled {
		enabled = 1
	}
	// Time goes on with every change, so that what is cached of a provider is never that of the one before.
	p.Updated = time.UnixMicro(max(s.now().UnixMicro(), p.Updated.UnixMicro()+1)).UTC()
	return s.ledger.Update(ctx, p.tenant, func(tx sqldb.Tx) error {
		if isNew {
			n, err := tx.Exec(ctx, `INSERT INTO federation_provider (tenant, id, kind, name, enabled, config, secret, created_by, created_at, updated_by, updated_at, deleted_at)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $8, $9, 0) ON CONFLICT (tenant, id) DO NOTHING`,
				p.tenant, p.ID, p.Kind, p.Name, enabled, string(config), sealed, who, p.Updated.UnixMicro())
			if err == nil && n == 0 {
				return fault.At(fault.Conflict, "id", "is taken, or was: links of users may bear it still")
			}
			return err
		}
		n, err := tx.Exec(ctx, `UPDATE federation_provider SET name = $3, enabled = $4, config = $5, secret = $6, updated_by = $7, updated_at = $8
			WHERE tenant = $1 AND id = $2 AND deleted_at = 0`, p.tenant, p.ID, p.Name, enabled, string(config), sealed, who, p.Updated.UnixMicro())
		if err == nil && n == 0 {
			return errNoProvider
		}
		return err
	})
}

// remove takes a provider away with its secret. Its id stays taken, since links of users bear it.
func (s *Service) remove(ctx context.Context, tenant int32, id, who string) error {
	return s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		n, err := tx.Exec(ctx, "UPDATE federation_provider SET deleted_at = $4, updated_at = $4, updated_by = $3, enabled = 0, config = '{}', secret = $5 WHERE tenant = $1 AND id = $2 AND deleted_at = 0",
			tenant, id, who, s.now().UnixMicro(), []byte{})
		if err == nil && n == 0 {
			return errNoProvider
		}
		return err
	})
}

// flow is a sign-in on its way.
type flow struct {
	Nonce    string             `json:"nonce,omitempty"`
	Verifier string             `json:"verifier,omitempty"`
	Request  string             `json:"request,omitempty"` // the id of our SAML request
	Return   string             `json:"return"`
	Who      *identity.External `json:"who,omitempty"` // whom a provider asserted, where only the browser's cookie is missing yet

	browser []byte
}

func flowPlace(h []byte) string { return "federation.flow/" + hex.EncodeToString(h) }

// keep writes a flow under the hash of its state, and sweeps out what has expired.
func (s *Service) keep(ctx context.Context, p *Provider, state string, f *flow, life time.Duration) error {
	plain, err := json.Marshal(f)
	if err != nil {
		return err
	}
	h := hash(state)
	sealed, err := s.ledger.Seal(ctx, p.tenant, flowPlace(h), plain)
	if err != nil {
		return err
	}
	now := s.now()
	return s.ledger.Update(ctx, p.tenant, func(tx sqldb.Tx) error {
		for _, table := range []string{"federation_flow", "federation_used"} {
			if _, err := tx.Exec(ctx, "DELETE FROM "+table+" WHERE tenant = $1 AND expires_at <= $2", p.tenant, now.UnixMicro()); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, "INSERT INTO federation_flow (tenant, hash, browser, provider, body, expires_at, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)",
			p.tenant, h, f.browser, p.ID, sealed, now.Add(life).UnixMicro(), now.UnixMicro())
		return err
	})
}

var errNoFlow = fault.New(fault.Forbidden, "this sign-in is unknown, used or too old, or was begun in another browser: begin again")

// take uses a flow up, whoever asks, and returns it where it is the provider's and has not expired.
func (s *Service) take(ctx context.Context, p *Provider, state string) (*flow, error) {
	h := hash(state)
	f := &flow{}
	var sealed []byte
	var provider string
	var expires int64
	taken := false
	err := s.ledger.Update(ctx, p.tenant, func(tx sqldb.Tx) error {
		taken = false
		found, err := sqldb.QueryRow(ctx, tx, []any{&f.browser, &provider, &sealed, &expires},
			"SELECT browser, provider, body, expires_at FROM federation_flow WHERE tenant = $1 AND hash = $2", p.tenant, h)
		if err != nil || !found {
			return err
		}
		n, err := tx.Exec(ctx, "DELETE FROM federation_flow WHERE tenant = $1 AND hash = $2", p.tenant, h)
		taken = n == 1
		return err
	})
	if err != nil {
		return nil, err
	}
	if !taken || provider != p.ID || expires <= s.now().UnixMicro() {
		return nil, errNoFlow
	}
	plain, err := s.ledger.Open(ctx, p.tenant, flowPlace(h), sealed)
	if err != nil {
		return nil, err
	}
	return f, json.Unmarshal(plain, f)
}

// first reports that an assertion was not taken before, and notes that it is now.
func (s *Service) first(ctx context.Context, p *Provider, assertion string, until time.Time) (bool, error) {
	once := false
	err := s.ledger.Update(ctx, p.tenant, func(tx sqldb.Tx) error {
		n, err := tx.Exec(ctx, "INSERT INTO federation_used (tenant, hash, expires_at) VALUES ($1, $2, $3) ON CONFLICT (tenant, hash) DO NOTHING",
			p.tenant, hash(p.ID+"\x00"+assertion), until.UnixMicro())
		once = n == 1
		return err
	})
	return once, err
}
