package identity

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"encoding/base64"
	"image/png"
	"slices"
	"strconv"
	"strings"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"github.com/pquerna/otp/totp"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/sqldb"
)

const (
	totpStep = 30 // seconds (RFC 6238 section 4.1)
	// totpSkew is how many steps the phone's clock may be wrong.
	totpSkew      = 1
	recoveryCodes = 10
	// recoveryBits is the length of a recovery code. Nobody tries 2^80 values, not even with the hashes in hand, so that SHA-256 is enough for
	// them: a slow hash protects what people choose. Sixteen characters can still be typed from paper.
	recoveryBits = 80
)

// Enrolment is a second factor that the user has not shown yet to have.
type Enrolment struct {
	Secret string // in base32, for typing
	URL    string // otpauth://totp/…
	QRCode string // the URL as an image: data:image/png;base64,…
}

func totpPlace(user int64) string { return "identity.mfa/" + strconv.FormatInt(user, 10) }

// factor is a row of identity_mfa.
type factor struct {
	sealed       []byte
	active, step int64
}

func (s *Service) factorOf(ctx context.Context, tenant int32, user int64) (*factor, error) {
	var f factor
	found := false
	err := s.ledger.Read(ctx, tenant, func(q sqldb.Querier) (err error) {
		found, err = sqldb.QueryRow(ctx, q, []any{&f.sealed, &f.active, &f.step}, "SELECT secret, active, step FROM identity_mfa WHERE tenant = $1 AND user_id = $2 AND deleted_at = 0", tenant, user)
		f.sealed = slices.Clone(f.sealed)
		return err
	})
	if err != nil || !found {
		return nil, err
	}
	return &f, nil
}

// EnableMFA gives a user a new secret; it counts once VerifyMFA has seen a code of it. Conflict where there is a second factor already.
func (s *Service) EnableMFA(ctx context.Context, u *User) (*Enrolment, error) {
	if u.MFAEnabled {
		return nil, fault.New(fault.Conflict, "there is a second factor already: disable it first")
	}
	key, err := totp.Generate(totp.GenerateOpts{Issuer: "nilecare", AccountName: u.Email, Period: totpStep, SecretSize: 20, Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
	if err != nil {
		return nil, err
	}
	img, err := key.Image(240, 240)
	if err != nil {
		return nil, err
	}
	var picture bytes.Buffer
	if err := png.Encode(&picture, img); err != nil {
		return nil, err
	}
	sealed, err := s.ledger.Seal(ctx, u.Tenant, totpPlace(u.ID), []byte(key.Secret()))
	if err != nil {
		return nil, err
	}
	now := s.now().UnixMicro()
	err = s.ledger.Update(ctx, u.Tenant, func(tx sqldb.Tx) error {
		var on int64
		if _, err := sqldb.QueryRow(ctx, tx, []any{&on}, "SELECT mfa FROM identity_user WHERE tenant = $1 AND id = $2", u.Tenant, u.ID); err != nil {
			return err
		}
		if on != 0 {
			return fault.New(fault.Conflict, "there is a second factor already: disable it first")
		}
		_, err := tx.Exec(ctx, `INSERT INTO identity_mfa (tenant, user_id, secret, active, step, created_by, created_at, updated_by, updated_at, deleted_at)
			VALUES ($1, $2, $3, 0, 0, $4, $5, $4, $5, 0) ON CONFLICT (tenant, user_id) DO UPDATE SET secret = EXCLUDED.secret, active = 0, step = 0,
			updated_by = EXCLUDED.updated_by, updated_at = EXCLUDED.updated_at, deleted_at = 0`, u.Tenant, u.ID, sealed, by(ctx), now)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &Enrolment{Secret: key.Secret(), URL: key.URL(), QRCode: "data:image/png;base64," + base64.StdEncoding.EncodeToString(picture.Bytes())}, nil
}

// VerifyMFA makes the second factor count that EnableMFA gave, and returns the recovery codes: nobody is told them again. Invalid where the code is
// wrong.
func (s *Service) VerifyMFA(ctx context.Context, u *User, code string) ([]string, error) {
	f, err := s.factorOf(ctx, u.Tenant, u.ID)
	if err != nil {
		return nil, err
	}
	if f == nil || f.active != 0 || u.MFAEnabled {
		return nil, fault.New(fault.Conflict, "there is no second factor that waits to be verified")
	}
	step, ok, err := s.matches(ctx, u.Tenant, u.ID, f, code)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fault.At(fault.Invalid, "code", "the code is wrong or too old").WithCode("INVALID_CODE")
	}
	codes := newRecoveryCodes()
	err = s.ledger.Update(ctx, u.Tenant, func(tx sqldb.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE identity_mfa SET active = 1, step = $3, updated_by = $4, updated_at = $5
			WHERE tenant = $1 AND user_id = $2 AND active = 0 AND deleted_at = 0 AND secret = $6`, u.Tenant, u.ID, step, by(ctx), s.now().UnixMicro(), f.sealed)
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.New(fault.Conflict, "there is no second factor that waits to be verified")
		}
		if err := s.putRecovery(ctx, tx, u, codes); err != nil {
			return err
		}
		return s.setMFA(ctx, tx, u.Tenant, u.ID, true)
	})
	if err != nil {
		return nil, err
	}
	s.forgetUser(u.Tenant, u.ID)
	s.admin(ctx, u.Tenant, "mfa", "User", u.ID, "a second factor was added")
	return codes, nil
}

// DisableMFA takes the second factor away. The caller has proven password and code.
func (s *Service) DisableMFA(ctx context.Context, u *User) error {
	now := s.now().UnixMicro()
	err := s.ledger.Update(ctx, u.Tenant, func(tx sqldb.Tx) error {
		if _, err := tx.Exec(ctx, "UPDATE identity_mfa SET active = 0, secret = $3, updated_by = $4, updated_at = $5, deleted_at = $5 WHERE tenant = $1 AND user_id = $2",
			u.Tenant, u.ID, []byte{}, by(ctx), now); err != nil {
			return err
		}
		if err := s.putRecovery(ctx, tx, u, nil); err != nil {
			return err
		}
		return s.setMFA(ctx, tx, u.Tenant, u.ID, false)
	})
	if err != nil {
		return err
	}
	s.forgetUser(u.Tenant, u.ID)
	s.security(ctx, u.Tenant, "mfa-disabled", "medium", u.ID, "", "the second factor was taken away")
	return nil
}

// ClearMFA takes the second factor of somebody who has lost it, and ends the sessions. The caller holds users:update, and all that the user may do;
// nobody takes away the own one so: Conflict where there is none.
func (s *Service) ClearMFA(ctx context.Context, tenant int32, id int64) error {
	c := access.From(ctx)
	if !c.Permits("users:update") || c.User == id && c.Tenant == tenant {
		return fault.New(fault.Forbidden, "this needs the permission users:update, and another's account")
	}
	u, err := s.User(ctx, tenant, id)
	if err != nil {
		return err
	}
	if err := s.mayManage(ctx, u); err != nil {
		return err
	}
	if !u.MFAEnabled {
		return fault.New(fault.Conflict, "there is no second factor")
	}
	if err := s.DisableMFA(ctx, u); err != nil {
		return err
	}
	return s.EndSessions(ctx, tenant, id, 0, "the second factor was taken away")
}

// RenewRecovery gives new recovery codes in the old ones' place. The caller has proven a code.
func (s *Service) RenewRecovery(ctx context.Context, u *User) ([]string, error) {
	codes := newRecoveryCodes()
	if err := s.ledger.Update(ctx, u.Tenant, func(tx sqldb.Tx) error { return s.putRecovery(ctx, tx, u, codes) }); err != nil {
		return nil, err
	}
	s.admin(ctx, u.Tenant, "mfa", "User", u.ID, "new recovery codes")
	return codes, nil
}

func (s *Service) putRecovery(ctx context.Context, tx sqldb.Tx, u *User, codes []string) error {
	if _, err := tx.Exec(ctx, "DELETE FROM identity_recovery WHERE tenant = $1 AND user_id = $2", u.Tenant, u.ID); err != nil {
		return err
	}
	for _, c := range codes {
		if _, err := tx.Exec(ctx, "INSERT INTO identity_recovery (tenant, user_id, hash, used_at, created_by, created_at) VALUES ($1, $2, $3, 0, $4, $5)",
			u.Tenant, u.ID, sum(plainCode(c)), by(ctx), s.now().UnixMicro()); err != nil {
			return err
		}
	}
	return nil
}

// newRecoveryCodes are shown as ABCD-EFGH-IJKL-MNOP.
func newRecoveryCodes() []string {
	out := make([]string, recoveryCodes)
	for i := range out {
		var b [recoveryBits / 8]byte
		_, _ = rand.Read(b[:]) // it never fails
		t := base32.StdEncoding.EncodeToString(b[:])
		out[i] = t[:4] + "-" + t[4:8] + "-" + t[8:12] + "-" + t[12:]
	}
	return out
}

// plainCode is the one form of a code: people type blanks and hyphens, or leave them out.
func plainCode(code string) string {
	return strings.ToUpper(strings.NewReplacer(" ", "", "-", "").Replace(strings.TrimSpace(code)))
}

// useCode is the hook: it checks a code of the app, or a recovery code, and uses it up.
func (s *Service) useCode(ctx context.Context, tenant int32, user int64, code string) (bool, error) {
	if len(code) > 64 {
		return false, nil
	}
	f, err := s.factorOf(ctx, tenant, user)
	if err != nil || f == nil || f.active == 0 {
		return false, err
	}
	now := s.now().UnixMicro()
	if plain := plainCode(code); len(plain) != int(otp.DigitsSix) {
		used, err := s.once(ctx, tenant, "UPDATE identity_recovery SET used_at = $4 WHERE tenant = $1 AND user_id = $2 AND hash = $3 AND used_at = 0", user, sum(plain), now)
		if used {
			s.security(ctx, tenant, "recovery-code", "low", user, access.From(ctx).Address, "a recovery code was used in place of the second factor")
		}
		return used, err
	}
	step, ok, err := s.matches(ctx, tenant, user, f, code)
	if err != nil || !ok {
		return false, err
	}
	// A step is used once (RFC 6238 section 5.2): whoever looked over the shoulder comes too late.
	return s.once(ctx, tenant, "UPDATE identity_mfa SET step = $3, updated_at = $4 WHERE tenant = $1 AND user_id = $2 AND active = 1 AND deleted_at = 0 AND step < $3", user, step, now)
}

// once runs a statement that changes a row for the first caller alone.
func (s *Service) once(ctx context.Context, tenant int32, statement string, args ...any) (bool, error) {
	n := int64(0)
	err := s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) (err error) {
		n, err = tx.Exec(ctx, statement, append([]any{tenant}, args...)...)
		return err
	})
	return n > 0, err
}

// matches returns the step of a code of the app; false where the code is none of now, or its step was used.
func (s *Service) matches(ctx context.Context, tenant int32, user int64, f *factor, code string) (int64, bool, error) {
	secret, err := s.ledger.Open(ctx, tenant, totpPlace(user), f.sealed)
	if err != nil {
		return 0, false, err
	}
	code = plainCode(code)
	now := s.now().Unix() / totpStep
	found := int64(0)
	for step := now - totpSkew; step <= now+totpSkew; step++ {
		want, err := hotp.GenerateCodeCustom(string(secret), uint64(step), hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1}) //nolint:gosec // after 1970
		if err != nil {
			return 0, false, err
		}
		if subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 && step > f.step {
			found = step
		}
	}
	return found, found > 0, nil
}

// mustHaveMFA reports whether one of the user's roles has to have a second factor, and the user has none.
func (s *Service) mustHaveMFA(u *User) bool {
	return !u.MFAEnabled && slices.ContainsFunc(u.Roles, func(r string) bool {
		return slices.ContainsFunc(s.set.RequireMFA, func(name string) bool { return access.CanonicalRole(name) == r })
	})
}
