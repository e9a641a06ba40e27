package passkey

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"

	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// The kinds of challenges.
const (
	toRegister = "register"
	toSignIn   = "login"
)

func challengePlace(h []byte) string { return "passkey.challenge/" + hex.EncodeToString(h) }

// remember keeps what was begun until it is answered, and sweeps out what has expired.
func (s *Service) remember(ctx context.Context, tenant int32, kind string, user int64, begun *webauthn.SessionData) error {
	raw, err := base64.RawURLEncoding.DecodeString(begun.Challenge)
	if err != nil {
		return err
	}
	h := hash(raw)
	plain, err := json.Marshal(begun)
	if err != nil {
		return err
	}
	sealed, err := s.ledger.Seal(ctx, tenant, challengePlace(h), plain)
	if err != nil {
		return err
	}
	now := s.now()
	return s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		if _, err := tx.Exec(ctx, "DELETE FROM passkey_challenge WHERE tenant = $1 AND expires_at <= $2", tenant, now.UnixMicro()); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "INSERT INTO passkey_challenge (tenant, hash, kind, subject, body, expires_at, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)",
			tenant, h, kind, user, sealed, now.Add(challengeLife).UnixMicro(), now.UnixMicro())
		return err
	})
}

// errChallenge does not tell an unknown challenge from one that was used, or was another's.
var errChallenge = fault.New(fault.Unauthenticated, "the challenge is unknown, used or too old: begin again")

// take uses a challenge up, whoever answers it, and returns what was begun with it.
func (s *Service) take(ctx context.Context, tenant int32, kind string, user int64, challenge string) (*webauthn.SessionData, error) {
	raw, err := base64.RawURLEncoding.DecodeString(challenge)
	if err != nil {
		return nil, errChallenge
	}
	h := hash(raw)
	var sealed []byte
	var gotKind string
	var gotUser, expires int64
	taken := false
	err = s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		taken = false
		found, err := sqldb.QueryRow(ctx, tx, []any{&gotKind, &gotUser, &sealed, &expires},
			"SELECT kind, subject, body, expires_at FROM passkey_challenge WHERE tenant = $1 AND hash = $2", tenant, h)
		if err != nil || !found {
			return err
		}
		n, err := tx.Exec(ctx, "DELETE FROM passkey_challenge WHERE tenant = $1 AND hash = $2", tenant, h)
		taken = n == 1
		return err
	})
	if err != nil {
		return nil, err
	}
	if !taken || gotKind != kind || gotUser != user || expires <= s.now().UnixMicro() {
		return nil, errChallenge
	}
	plain, err := s.ledger.Open(ctx, tenant, challengePlace(h), sealed)
	if err != nil {
		return nil, err
	}
	begun := &webauthn.SessionData{}
	return begun, json.Unmarshal(plain, begun)
}
