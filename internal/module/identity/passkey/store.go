package passkey

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// passkey is one credential of a user.
type passkey struct {
	num     int64
	subject int64
	body    body
	counter int64
	used    int64
	created int64
}

// body is what is sealed.
type body struct {
	Name       string              `json:"name"`
	Credential webauthn.Credential `json:"credential"`
}

func hash(b []byte) []byte {
	h := sha256.Sum256(b)
	return h[:]
}

func credentialPlace(num int64) string { return fmt.Sprintf("passkey.credential/%d", num) }

const columns = "num, subject, body, counter, used_at, created_at"

// find returns credentials; where names them by $2.
func (s *Service) find(ctx context.Context, tenant int32, where string, arg any) ([]*passkey, error) {
	type row struct {
		p      *passkey
		sealed []byte
	}
	var rows []row
	err := s.ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		rows = nil
		return sqldb.Each(ctx, q, func(r sqldb.Rows) error {
			p := &passkey{}
			var sealed []byte
			if err := r.Scan(&p.num, &p.subject, &sealed, &p.counter, &p.used, &p.created); err != nil {
				return err
			}
			rows = append(rows, row{p, sealed})
			return nil
		}, "SELECT "+columns+" FROM passkey_credential WHERE tenant = $1 AND "+where+" ORDER BY num", tenant, arg)
	})
	if err != nil {
		return nil, err
	}
	out := make([]*passkey, 0, len(rows))
	for _, r := range rows {
		plain, err := s.ledger.Open(ctx, tenant, credentialPlace(r.p.num), r.sealed)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(plain, &r.p.body); err != nil {
			return nil, err
		}
		r.p.body.Credential.Authenticator.SignCount = uint32(r.p.counter)
		out = append(out, r.p)
	}
	return out, nil
}

func (s *Service) ofUser(ctx context.Context, tenant int32, user int64) ([]*passkey, error) {
	return s.find(ctx, tenant, "subject = $2", user)
}

func (s *Service) sealed(ctx context.Context, tenant int32, num int64, b body) ([]byte, error) {
	plain, err := json.Marshal(b)
	if err != nil {
		return nil, err
	}
	return s.ledger.Seal(ctx, tenant, credentialPlace(num), plain)
}

// insert keeps a new credential. Conflict where it is registered already, or the user has too many.
func (s *Service) insert(ctx context.Context, tenant int32, user int64, who string, b body) (int64, error) {
	num := s.ledger.Next()
	sealed, err := s.sealed(ctx, tenant, num, b)
	if err != nil {
		return 0, err
	}
	now := s.now().UnixMicro()
	return num, s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		var have int64
		if _, err := sqldb.QueryRow(ctx, tx, []any{&have}, "SELECT count(*) FROM passkey_credential WHERE tenant = $1 AND subject = $2", tenant, user); err != nil {
			return err
		}
		if have >= maxPasskeys {
			return fault.New(fault.Conflict, "there are %d passkeys already: delete one first", have)
		}
		n, err := tx.Exec(ctx, `INSERT INTO passkey_credential (tenant, num, hash, subject, body, counter, used_at, created_by, created_at, updated_by, updated_at, deleted_at)
			VALUES ($1, $2, $3, $4, $5, $6, 0, $7, $8, $7, $8, 0) ON CONFLICT (tenant, hash) DO NOTHING`,
			tenant, num, hash(b.Credential.ID), user, sealed, int64(b.Credential.Authenticator.SignCount), who, now)
		if err == nil && n == 0 {
			return fault.New(fault.Conflict, "this passkey is registered already")
		}
		return err
	})
}

// used notes a sign-in and moves the counter on. It reports false, and changes nothing, where the counter does not go forward from what
// stands in the table now: an authenticator that counts never says the same twice (WebAuthn section 7.2, step 22).
func (s *Service) used(ctx context.Context, tenant int32, p *passkey, counter int64) (bool, error) {
	now := s.now().UnixMicro()
	forward := false
	err := s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE passkey_credential SET counter = $3, used_at = $4, updated_at = $4, updated_by = $5
			WHERE tenant = $1 AND num = $2 AND (counter < $3 OR counter = 0 AND CAST($3 AS bigint) = 0)`, tenant, p.num, counter, now, fmt.Sprintf("User/%d", p.subject))
		forward = n == 1
		return err
	})
	return forward, err
}

// rename and remove change a user's own passkey; NotFound where it is not theirs.
func (s *Service) rename(ctx context.Context, tenant int32, user, num int64, who, name string) error {
	all, err := s.find(ctx, tenant, "num = $2", num)
	if err != nil {
		return err
	}
	if len(all) == 0 || all[0].subject != user {
		return errNoPasskey
	}
	all[0].body.Name = name
	sealed, err := s.sealed(ctx, tenant, num, all[0].body)
	if err != nil {
		return err
	}
	return s.change(ctx, tenant, "UPDATE passkey_credential SET body = $4, updated_by = $5, updated_at = $6 WHERE tenant = $1 AND num = $2 AND subject = $3",
		tenant, num, user, sealed, who, s.now().UnixMicro())
}

func (s *Service) remove(ctx context.Context, tenant int32, user, num int64) error {
	return s.change(ctx, tenant, "DELETE FROM passkey_credential WHERE tenant = $1 AND num = $2 AND subject = $3", tenant, num, user)
}

var errNoPasskey = fault.New(fault.NotFound, "there is no such passkey")

func (s *Service) change(ctx context.Context, tenant int32, sql string, args ...any) error {
	return s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		n, err := tx.Exec(ctx, sql, args...)
		if err == nil && n == 0 {
			return errNoPasskey
		}
		return err
	})
}

// Forget deletes all passkeys of a user: when the user is deleted, or an administrator resets how they sign in.
func (s *Service) Forget(ctx context.Context, tenant int32, user int64) error {
	return s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		_, err := tx.Exec(ctx, "DELETE FROM passkey_credential WHERE tenant = $1 AND subject = $2", tenant, user)
		return err
	})
}

// Count is how many passkeys a user has.
func (s *Service) Count(ctx context.Context, tenant int32, user int64) (int, error) {
	var n int
	err := s.ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		_, err := sqldb.QueryRow(ctx, q, []any{&n}, "SELECT count(*) FROM passkey_credential WHERE tenant = $1 AND subject = $2", tenant, user)
		return err
	})
	return n, err
}
