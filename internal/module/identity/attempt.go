package identity

import (
	"context"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/web"
)

// Wrong guesses are counted by what was tried, whether there is such a user or not: a lock-out tells nobody which accounts there are.

const (
	longestLock = 24 * time.Hour
	// forgetAfter is how long a wrong guess counts.
	forgetAfter = 24 * time.Hour
	// addressWindow is the same of an address, which may be a whole hospital's.
	addressWindow = 15 * time.Minute
)

func (s *Service) account(ctx context.Context, tenant int32, email string) ([]byte, error) {
	return s.ledger.Blind(ctx, tenant, "identity.attempt.account", plainEmail(email))
}

func (s *Service) addressOf(ctx context.Context, tenant int32, address string) ([]byte, error) {
	return s.ledger.Blind(ctx, tenant, "identity.attempt.address", address)
}

// attempts is what is known of wrong guesses.
type attempts struct{ failures, locks, failed, until int64 }

func readAttempts(ctx context.Context, q sqldb.Querier, tenant int32, subject []byte) (a attempts, err error) {
	_, err = sqldb.QueryRow(ctx, q, []any{&a.failures, &a.locks, &a.failed, &a.until},
		"SELECT failures, locks, failed_at, locked_until FROM identity_attempt WHERE tenant = $1 AND subject = $2", tenant, subject)
	return a, err
}

// errLocked is answered with 423 and says when to come again.
func errLocked(left time.Duration) error {
	return web.Later(fault.New(fault.Forbidden, "too many wrong guesses: the account is locked for a while").WithCode(web.Locked), left)
}

// open says why nobody may try now: the account is locked, or the address must wait.
func (s *Service) mayTry(ctx context.Context, tenant int32, account, address []byte) error {
	var a, from attempts
	err := s.ledger.View(ctx, tenant, func(q sqldb.Querier) (err error) {
		if a, err = readAttempts(ctx, q, tenant, account); err != nil || address == nil {
			return err
		}
		from, err = readAttempts(ctx, q, tenant, address)
		return err
	})
	now := s.now()
	switch {
	case err != nil:
		return err
	case a.until > now.UnixMicro():
		return errLocked(at(a.until).Sub(now))
	case from.until > now.UnixMicro():
		return web.Later(fault.New(fault.TooMany, "too many wrong guesses from this address: wait a while"), at(from.until).Sub(now))
	}
	return nil
}

// wrong counts a wrong guess; locked reports that it locked the account.
func (s *Service) wrong(ctx context.Context, tenant int32, account, address []byte) (locked bool, err error) {
	now := s.now()
	err = s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) (err error) {
		if locked, err = s.count(ctx, tx, tenant, account, now, s.set.Failures, s.set.Lock, forgetAfter); err != nil || address == nil {
			return err
		}
		// An address waits a minute first, then two …
		_, err = s.count(ctx, tx, tenant, address, now, s.set.AddressFailures, time.Minute, addressWindow)
		return err
	})
	return locked, err
}

func (s *Service) count(ctx context.Context, tx sqldb.Tx, tenant int32, subject []byte, now time.Time, most int, lock, forget time.Duration) (bool, error) {
	a, err := readAttempts(ctx, tx, tenant, subject)
	if err != nil {
		return false, err
	}
	if now.Sub(at(a.failed)) > forget && now.Sub(at(a.until)) > forget {
		a.failures, a.locks = 0, 0
	}
	a.failures++
	locked := a.failures >= int64(most)
	if locked {
		left := lock
		for range a.locks {
			left = min(2*left, longestLock)
		}
		a.until, a.failures, a.locks = now.Add(left).UnixMicro(), 0, a.locks+1
	}
	_, err = tx.Exec(ctx, `INSERT INTO identity_attempt (tenant, subject, failures, locks, failed_at, locked_until) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (tenant, subject) DO UPDATE SET failures = EXCLUDED.failures, locks = EXCLUDED.locks, failed_at = EXCLUDED.failed_at,
		locked_until = EXCLUDED.locked_until`, tenant, subject, a.failures, a.locks, now.UnixMicro(), a.until)
	return locked, err
}

// right forgets an account's wrong guesses.
func (s *Service) right(ctx context.Context, tenant int32, account []byte) error {
	return s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		_, err := tx.Exec(ctx, "DELETE FROM identity_attempt WHERE tenant = $1 AND subject = $2", tenant, account)
		return err
	})
}

// Unlock takes back a lock-out.
func (s *Service) Unlock(ctx context.Context, tenant int32, user int64) error {
	c := access.From(ctx)
	if !c.Permits("users:update") {
		return fault.New(fault.Forbidden, "this needs the permission users:update")
	}
	u, err := s.User(ctx, tenant, user)
	if err != nil {
		return err
	}
	account, err := s.account(ctx, tenant, u.Email)
	if err != nil {
		return err
	}
	err = s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		if _, err := tx.Exec(ctx, "DELETE FROM identity_attempt WHERE tenant = $1 AND subject = $2", tenant, account); err != nil {
			return err
		}
		// What is counted by a browser is counted anew: see fromBrowser.
		_, err := tx.Exec(ctx, "UPDATE identity_user SET version = version + 1, updated_at = $3, updated_by = $4 WHERE tenant = $1 AND id = $2",
			tenant, user, s.now().UnixMicro(), by(ctx))
		return err
	})
	if err != nil {
		return err
	}
	s.admin(ctx, tenant, "unlock", "User", user, "")
	return nil
}
