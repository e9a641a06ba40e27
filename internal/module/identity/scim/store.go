package scim

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"

	"github.com/nilecare/nilecare/internal/sqldb"
)

// kept is what a directory told of a resource that its owner has no place for.
type kept struct {
	body    object
	updated int64
}

func place(kind, id string) string { return "scim." + kind + "/" + id }

// read returns what is kept of a resource; an empty one where nothing is.
func (s *Service) read(ctx context.Context, tenant int32, kind, id string) (*kept, error) {
	k := &kept{body: object{}}
	var sealed []byte
	found := false
	err := s.ledger.Read(ctx, tenant, func(q sqldb.Querier) (err error) {
		found, err = sqldb.QueryRow(ctx, q, []any{&sealed, &k.updated}, "SELECT body, updated_at FROM scim_resource WHERE tenant = $1 AND kind = $2 AND id = $3", tenant, kind, id)
		return err
	})
	if err != nil || !found {
		return k, err
	}
	plain, err := s.ledger.Open(ctx, tenant, place(kind, id), sealed)
	if err != nil {
		return nil, err
	}
	return k, decode(plain, &k.body)
}

// decode keeps the digits of numbers.
func decode(raw []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	return d.Decode(v)
}

// blind is the index of a value that is found without its standing in clear; none for an empty one. A userName's case does not matter.
func (s *Service) blind(ctx context.Context, tenant int32, kind, what, value string) ([]byte, error) {
	if value == "" {
		return []byte{}, nil
	}
	if what == "name" {
		value = strings.ToLower(value)
	}
	return s.ledger.Blind(ctx, tenant, "scim."+kind+"."+what, value)
}

// write keeps what a directory told of a resource. Another user of the same userName is a failure: uniqueness.
func (s *Service) write(ctx context.Context, tenant int32, kind, id, who string, body object) error {
	external, err := s.blind(ctx, tenant, kind, "external", text(get(body, "externalId")))
	if err != nil {
		return err
	}
	name, err := s.blind(ctx, tenant, kind, "name", text(get(body, "userName")))
	if err != nil {
		return err
	}
	plain, err := json.Marshal(body)
	if err != nil {
		return err
	}
	sealed, err := s.ledger.Seal(ctx, tenant, place(kind, id), plain)
	if err != nil {
		return err
	}
	now := s.now().UnixMicro()
	return s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		if err := s.freeName(ctx, tx, tenant, kind, id, name); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO scim_resource (tenant, kind, id, external, name, body, created_by, created_at, updated_by, updated_at, deleted_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $7, $8, 0) ON CONFLICT (tenant, kind, id) DO UPDATE SET external = EXCLUDED.external, name = EXCLUDED.name,
			body = EXCLUDED.body, updated_by = EXCLUDED.updated_by, updated_at = EXCLUDED.updated_at`, tenant, kind, id, external, name, sealed, who, now)
		return err
	})
}

// nameLock orders those who write names: on PostgreSQL two who ask at once would both find a name free.
const nameLock = 0x7363696d6e616d65

func (s *Service) freeName(ctx context.Context, tx sqldb.Tx, tenant int32, kind, id string, name []byte) error {
	if len(name) == 0 {
		return nil
	}
	if err := tx.Lock(ctx, nameLock+int64(tenant)); err != nil {
		return err
	}
	var other string
	found, err := sqldb.QueryRow(ctx, tx, []any{&other}, "SELECT id FROM scim_resource WHERE tenant = $1 AND kind = $2 AND name = $3 AND id <> $4", tenant, kind, name, id)
	if err == nil && found {
		return failed(409, "uniqueness", "another user has this userName")
	}
	return err
}

// named and external find the ids of resources by a blind index.
func (s *Service) indexed(ctx context.Context, tenant int32, kind, column, value string) ([]string, error) {
	blind, err := s.blind(ctx, tenant, kind, column, value)
	if err != nil || len(blind) == 0 {
		return nil, err
	}
	var out []string
	err = s.ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		out = nil
		return sqldb.Each(ctx, q, func(r sqldb.Rows) error {
			var id string
			err := r.Scan(&id)
			out = append(out, id)
			return err
		}, "SELECT id FROM scim_resource WHERE tenant = $1 AND kind = $2 AND "+column+" = $3 ORDER BY id", tenant, kind, blind)
	})
	return out, err
}

func (s *Service) forget(ctx context.Context, tenant int32, kind, id string) error {
	return s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		_, err := tx.Exec(ctx, "DELETE FROM scim_resource WHERE tenant = $1 AND kind = $2 AND id = $3", tenant, kind, id)
		return err
	})
}

// Forget takes away what is kept of a user: when the user is deleted by another way than this.
func (s *Service) Forget(ctx context.Context, tenant int32, user int64) error {
	return s.forget(ctx, tenant, s.users.name, idOf(user))
}
