package token

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/audit"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// readKeys reads the tenant's keys, by algorithm and age.
func (r *Ring) readKeys(ctx context.Context, tenant int32) ([]*key, error) {
	var keys []*key
	err := r.ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		keys = nil
		return sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
			k := &key{}
			var st string
			var public []byte
			var made, activated, retiredAt int64
			if err := rows.Scan(&k.kid, &k.alg, &st, &public, &made, &activated, &retiredAt); err != nil {
				return err
			}
			k.state, k.made, k.activated, k.retired = state(st), timeOf(made), timeOf(activated), timeOf(retiredAt)
			var err error
			k.public, err = x509.ParsePKIXPublicKey(public)
			keys = append(keys, k)
			return err
		}, "SELECT kid, alg, state, public, created_at, coalesce(activated_at, 0), coalesce(retired_at, 0) FROM signing_key WHERE tenant = $1 ORDER BY alg, created_at, kid", tenant)
	})
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	return keys, nil
}

func timeOf(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros)
}

// errGone says that a key's private half was deleted.
var errGone = errors.New("token: the private key is gone")

// openPrivate reads the private half of a key.
func (r *Ring) openPrivate(ctx context.Context, tenant int32, k *key) (crypto.Signer, error) {
	var sealed []byte
	err := r.ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		_, err := sqldb.QueryRow(ctx, q, []any{&sealed}, "SELECT private FROM signing_key WHERE tenant = $1 AND kid = $2", tenant, k.kid)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	if len(sealed) == 0 {
		return nil, errGone
	}
	der, err := r.ledger.Open(ctx, tenant, privatePlace(k.kid), sealed)
	if err != nil {
		return nil, fmt.Errorf("token: the private key %s: %w", k.kid, err)
	}
	private, err := x509.ParsePKCS8PrivateKey(der)
	clear(der)
	if err != nil {
		return nil, fmt.Errorf("token: the private key %s cannot be read", k.kid)
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("token: the private key %s does not sign", k.kid)
	}
	return signer, nil
}

// insertKey has no effect where another key stands in the same place of the ring.
const insertKey = "INSERT INTO signing_key (tenant, kid, alg, state, public, private, activated_at, created_by, created_at, updated_by, updated_at) " +
	"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $8, $9) ON CONFLICT DO NOTHING"

func (r *Ring) insert(ctx context.Context, tx sqldb.Tx, tenant int32, k *freshKey, st state) (int64, error) {
	now := r.clock().UnixMicro()
	var activated any
	if st == active {
		activated = now
	}
	return tx.Exec(ctx, insertKey, tenant, k.kid, k.alg, string(st), k.public, k.private, activated, access.From(ctx).Who, now)
}

// makeFirst makes the first active key and the next one. Of two processes that do, one wins.
func (r *Ring) makeFirst(ctx context.Context, tenant int32, alg string) error {
	now, err := r.generate(ctx, tenant, alg)
	if err != nil {
		return err
	}
	then, err := r.generate(ctx, tenant, alg)
	if err != nil {
		return err
	}
	return r.ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		n, err := r.insert(ctx, tx, tenant, now, active)
		if err == nil && n == 1 {
			_, err = r.insert(ctx, tx, tenant, then, next)
		}
		return err
	})
}

// insertFresh makes a key and puts it in that place of the ring, where that is free.
func (r *Ring) insertFresh(ctx context.Context, tenant int32, alg string, st state) error {
	k, err := r.generate(ctx, tenant, alg)
	if err != nil {
		return err
	}
	return r.ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		_, err := r.insert(ctx, tx, tenant, k, st)
		return err
	})
}

// errFaster says that another process rotated.
var errFaster = errors.New("token: another process was faster")

// advance retires the active key, makes the next one active and puts a new one in its place.
func (r *Ring) advance(ctx context.Context, tenant int32, k *key) error {
	fresh, err := r.generate(ctx, tenant, k.alg)
	if err != nil {
		return err
	}
	spare, err := r.spare(ctx, tenant, k.alg)
	if err != nil {
		return err
	}
	err = r.ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		now, who := r.clock().UnixMicro(), access.From(ctx).Who
		n, err := tx.Exec(ctx, "UPDATE signing_key SET state = 'retired', retired_at = $3, updated_at = $3, updated_by = $4 WHERE tenant = $1 AND kid = $2 AND state = 'active'", tenant, k.kid, now, who)
		if err != nil {
			return err
		}
		if n == 0 {
			return errFaster
		}
		n, err = tx.Exec(ctx, "UPDATE signing_key SET state = 'active', activated_at = $3, updated_at = $3, updated_by = $4 WHERE tenant = $1 AND alg = $2 AND state = 'next'", tenant, k.alg, now, who)
		if err == nil && n == 0 {
			if spare == nil {
				return fmt.Errorf("token: there is no next key for %s", k.alg)
			}
			_, err = r.insert(ctx, tx, tenant, spare, active)
		}
		if err != nil {
			return err
		}
		_, err = r.insert(ctx, tx, tenant, fresh, next)
		return err
	})
	if errors.Is(err, errFaster) {
		return nil
	}
	if err == nil {
		r.note(ctx, tenant, "rotate", k.alg+" "+k.kid+" is retired")
	}
	return err
}

// spare makes a key for a ring that has no next one, as after a restore of half a ring; else nil.
func (r *Ring) spare(ctx context.Context, tenant int32, alg string) (*freshKey, error) {
	keys, err := r.readKeys(ctx, tenant)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		if k.alg == alg && k.state == next {
			return nil, nil
		}
	}
	return r.generate(ctx, tenant, alg)
}

// bury lets keys go that were retired before the time.
func (r *Ring) bury(ctx context.Context, tenant int32, before time.Time) error {
	return r.ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE signing_key SET state = 'gone', private = NULL, deleted_at = $3, updated_at = $3, updated_by = $4 WHERE tenant = $1 AND state = 'retired' AND retired_at < $2",
			tenant, before.UnixMicro(), r.clock().UnixMicro(), access.From(ctx).Who)
		return err
	})
}

// remove lets a key go.
func (r *Ring) remove(ctx context.Context, tenant int32, kid string) error {
	err := r.ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE signing_key SET state = 'gone', private = NULL, deleted_at = $3, updated_at = $3, updated_by = $4 WHERE tenant = $1 AND kid = $2",
			tenant, kid, r.clock().UnixMicro(), access.From(ctx).Who)
		return err
	})
	if err == nil {
		r.note(ctx, tenant, "revoke", kid)
	}
	return err
}

// Reseal seals the private keys anew that an older version of the tenant's key sealed, and returns how many.
func (r *Ring) Reseal(ctx context.Context, tenant int32) (int, error) {
	sealed := map[string][]byte{}
	err := r.ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		return sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
			var kid string
			var private []byte
			err := rows.Scan(&kid, &private)
			sealed[kid] = private
			return err
		}, "SELECT kid, private FROM signing_key WHERE tenant = $1 AND private IS NOT NULL", tenant)
	})
	if err != nil {
		return 0, fmt.Errorf("token: %w", err)
	}
	done := 0
	for kid, old := range sealed {
		stale, err := r.ledger.Stale(ctx, tenant, old)
		if err != nil {
			return done, err
		}
		if !stale {
			continue
		}
		plain, err := r.ledger.Open(ctx, tenant, privatePlace(kid), old)
		if err != nil {
			return done, err
		}
		fresh, err := r.ledger.Seal(ctx, tenant, privatePlace(kid), plain)
		clear(plain)
		if err != nil {
			return done, err
		}
		if err := r.ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
			_, err := tx.Exec(ctx, "UPDATE signing_key SET private = $3 WHERE tenant = $1 AND kid = $2 AND private IS NOT NULL", tenant, kid, fresh)
			return err
		}); err != nil {
			return done, err
		}
		done++
	}
	return done, nil
}

// note has what was done to a key audited.
func (r *Ring) note(ctx context.Context, tenant int32, action, detail string) {
	c := access.From(ctx)
	r.ledger.Note(audit.Entry{Tenant: tenant, Kind: audit.Admin, Action: action, Type: "Key", Who: c.Who, Name: c.Name, Client: c.Client,
		Session: c.Session, Purpose: c.Purpose, Address: c.Address, Request: c.RequestID, Detail: "signing key " + detail})
}
