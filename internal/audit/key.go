package audit

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// PublicKey is a key that verifies blocks.
type PublicKey struct {
	Num       int64  `json:"num"` // 1, 2, 3 …
	Public    []byte `json:"public"`
	CreatedAt int64  `json:"created_at"` // microseconds since 1970
	Retired   bool   `json:"retired"`    // it signs no more
}

// Fingerprint names the key for people: the first 16 bytes of the SHA-256 of the public key, in hexadecimal.
func (k *PublicKey) Fingerprint() string {
	sum := sha256.Sum256(k.Public)
	return hex.EncodeToString(sum[:16])
}

type signingKey struct {
	num     int64
	private ed25519.PrivateKey
}

func publicPlace(num int64) string { return fmt.Sprintf("audit.public/%d", num) }
func secretPlace(num int64) string { return fmt.Sprintf("audit.secret/%d", num) }

type keyRow struct {
	PublicKey
	proof, secret []byte
}

func readKeys(ctx context.Context, q sqldb.Querier, tenant int32) ([]keyRow, error) {
	var out []keyRow
	err := sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
		var k keyRow
		err := rows.Scan(&k.Num, &k.Public, &k.proof, &k.secret, &k.CreatedAt)
		k.Retired = len(k.secret) == 0
		out = append(out, k)
		return err
	}, "SELECT num, public, proof, secret, created_at FROM audit_key WHERE tenant = $1 ORDER BY num", tenant)
	return out, err
}

// Keys returns the public keys of a tenant's audit, the oldest first.
func Keys(ctx context.Context, s Store, tenant int32) ([]PublicKey, error) {
	var rows []keyRow
	err := s.Read(ctx, tenant, func(q sqldb.Querier) (err error) {
		rows, err = readKeys(ctx, q, tenant)
		return err
	})
	out := make([]PublicKey, 0, len(rows))
	for i := range rows {
		out = append(out, rows[i].PublicKey)
	}
	return out, err
}

// signing returns the key that signs, and makes the first one.
func signing(ctx context.Context, s Store, tenant int32, now int64) (*signingKey, error) {
	for range 3 {
		var rows []keyRow
		if err := s.Read(ctx, tenant, func(q sqldb.Querier) (err error) {
			rows, err = readKeys(ctx, q, tenant)
			return err
		}); err != nil {
			return nil, err
		}
		if len(rows) > 0 {
			return rows[len(rows)-1].open(ctx, s, tenant)
		}
		if err := addKey(ctx, s, tenant, 0, now); err != nil {
			return nil, err
		}
	}
	return nil, fault.New(fault.Unavailable, "the audit's key could not be made")
}

func (k *keyRow) open(ctx context.Context, s Store, tenant int32) (*signingKey, error) {
	seed, err := s.Open(ctx, tenant, secretPlace(k.Num), k.secret)
	if err != nil {
		return nil, err
	}
	if len(seed) != ed25519.SeedSize {
		return nil, fault.New(fault.Internal, "the audit's key %d is none", k.Num)
	}
	key := &signingKey{k.Num, ed25519.NewKeyFromSeed(seed)}
	if !bytes.Equal(key.private.Public().(ed25519.PublicKey), k.Public) {
		return nil, fault.New(fault.Internal, "the audit's key %d does not belong to its public key: it was changed", k.Num)
	}
	return key, nil
}

// addKey makes the key that follows last, and takes last out of use. Where somebody else was faster it does nothing.
func addKey(ctx context.Context, s Store, tenant int32, last, now int64) error {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	num := last + 1
	proof, err := s.Seal(ctx, tenant, publicPlace(num), public)
	if err != nil {
		return err
	}
	secret, err := s.Seal(ctx, tenant, secretPlace(num), private.Seed())
	if err != nil {
		return err
	}
	return s.Update(ctx, tenant, func(tx sqldb.Tx) error {
		n, err := tx.Exec(ctx, "INSERT INTO audit_key (tenant, num, public, proof, secret, created_at) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
			tenant, num, []byte(public), proof, secret, now)
		if err != nil || n == 0 || last == 0 {
			return err
		}
		_, err = tx.Exec(ctx, "UPDATE audit_key SET secret = NULL WHERE tenant = $1 AND num <= $2", tenant, last)
		return err
	})
}
