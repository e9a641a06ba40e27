package identity

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/audit"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/token"
)

const (
	accessLife = 15 * time.Minute
	accessType = "at+jwt"
	// touchEvery is how exactly it is known when a session was last used.
	touchEvery = time.Minute
)

// Session is a session of a user's.
type Session struct {
	ID, User                   int64
	How                        string // see ByPassword
	MFA, Remember              bool
	Address, Agent             string
	CreatedAt, UsedAt, Expires time.Time

	cookie []byte
	ended  int64
	device []byte
	tenant int32
}

type device struct {
	Address string `json:"address,omitempty"`
	Agent   string `json:"agent,omitempty"`
}

func devicePlace(id int64) string { return "identity.session/" + strconv.FormatInt(id, 10) }

const sessionColumns = "id, user_id, how, mfa, remember, cookie, device, used_at, expires_at, created_at, deleted_at"

func scanSession(rows sqldb.Rows, tenant int32) (*Session, error) {
	ss := &Session{tenant: tenant}
	var mfa, remember, used, expires, created int64
	err := rows.Scan(&ss.ID, &ss.User, &ss.How, &mfa, &remember, &ss.cookie, &ss.device, &used, &expires, &created, &ss.ended)
	ss.cookie, ss.device = slices.Clone(ss.cookie), slices.Clone(ss.device)
	ss.MFA, ss.Remember, ss.UsedAt, ss.Expires, ss.CreatedAt = mfa != 0, remember != 0, at(used), at(expires), at(created)
	return ss, err
}

func readSession(ctx context.Context, q sqldb.Querier, tenant int32, id int64) (ss *Session, err error) {
	err = sqldb.Each(ctx, q, func(rows sqldb.Rows) (err error) {
		ss, err = scanSession(rows, tenant)
		return err
	}, "SELECT "+sessionColumns+" FROM identity_session WHERE tenant = $1 AND id = $2", tenant, id)
	return ss, err
}

// idle is how long the session may lie unused.
func (s *Service) idle(ss *Session) time.Duration {
	if ss.Remember {
		return s.set.RememberIdle
	}
	return s.set.Idle
}

// over says why a session is no good now; "": it is.
func (s *Service) over(ss *Session, now time.Time) string {
	switch {
	case ss.ended != 0:
		return "it was ended"
	case !now.Before(ss.Expires):
		return "its time is over"
	case now.Sub(ss.UsedAt) >= s.idle(ss):
		return "it was not used for too long"
	}
	return ""
}

func (s *Service) openDevice(ctx context.Context, ss *Session) error {
	plain, err := s.ledger.Open(ctx, ss.tenant, devicePlace(ss.ID), ss.device)
	if err != nil {
		return err
	}
	var d device
	err = json.Unmarshal(plain, &d)
	ss.Address, ss.Agent = d.Address, d.Agent
	return err
}

// Begin begins a session of a user who proved who he is by how. ByPassword asks for a second factor where the user has one. Of more sessions
// than the settings allow, those that were used least recently end. Forbidden where the account is not active, or the tenant is not served.
func (s *Service) Begin(ctx context.Context, tenant int32, user int64, how string, remember bool, address, agent string) (*SignedIn, error) {
	u, err := s.User(ctx, tenant, user)
	if err != nil {
		return nil, err
	}
	if err := s.mayEnter(ctx, u, address); err != nil {
		return nil, err
	}
	if how == ByPassword && u.MFAEnabled {
		raw, err := s.challenge(ctx, u, remember, "")
		return &SignedIn{User: User{ID: u.ID, Tenant: tenant}, NeedsMFA: true, MFAToken: raw, Remember: remember}, err
	}
	ss := &Session{ID: s.ledger.Next(), User: user, How: how, MFA: how == ByMFA || how == ByPasskey, Remember: remember, tenant: tenant}
	return s.begin(ctx, u, ss, device{address, clip(agent, 300)})
}

// mayEnter says why a user who proved who he is may not come in: his account is not active, or the tenant is not served.
func (s *Service) mayEnter(ctx context.Context, u *User, address string) error {
	if u.Status != Active {
		s.session(ctx, u.Tenant, "login", audit.Minor, u.ID, 0, address, "refused: the account is "+u.Status)
		return fault.New(fault.Forbidden, "the account is not active").WithCode("PERMISSION_DENIED")
	}
	if s.hooks.tenant != nil {
		return s.hooks.tenant(ctx, u.Tenant)
	}
	return nil
}

func clip(text string, most int) string {
	if len(text) > most {
		text = text[:most]
	}
	return strings.ToValidUTF8(text, "")
}

func (s *Service) begin(ctx context.Context, u *User, ss *Session, d device) (*SignedIn, error) {
	plain, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	if ss.device, err = s.ledger.Seal(ctx, u.Tenant, devicePlace(ss.ID), plain); err != nil {
		return nil, err
	}
	now := s.now()
	life := s.set.Absolute
	if ss.Remember {
		life = s.set.RememberAbsolute
	}
	ss.Expires = now.Add(life)
	cookie, refresh := secret(""), secret("")
	var ended []int64
	err = s.ledger.Update(ctx, u.Tenant, func(tx sqldb.Tx) error {
		if err := tx.Lock(ctx, lockOf("sessions", u.Tenant, u.ID)); err != nil {
			return err
		}
		if ended, err = s.makeRoom(ctx, tx, u, now); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO identity_session (tenant, id, user_id, how, mfa, remember, cookie, device, used_at, expires_at, reason,
			created_by, created_at, updated_by, updated_at, deleted_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, '', $11, $9, $11, $9, 0)`,
			u.Tenant, ss.ID, u.ID, ss.How, number(ss.MFA), number(ss.Remember), sum(cookie), ss.device, now.UnixMicro(), ss.Expires.UnixMicro(), who(u.ID)); err != nil {
			return err
		}
		if err := giveRefresh(ctx, tx, u.Tenant, ss.ID, refresh, now); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "UPDATE identity_user SET last_login = $3 WHERE tenant = $1 AND id = $2", u.Tenant, u.ID, now.UnixMicro())
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, id := range ended {
		s.forgetSession(u.Tenant, id)
		s.session(ctx, u.Tenant, "logout", audit.Success, u.ID, id, d.Address, "too many sessions at once: the least recently used one ended")
	}
	u.LastLogin = at(now.UnixMicro())
	s.session(ctx, u.Tenant, "login", audit.Success, u.ID, ss.ID, d.Address, ss.How)
	in := &SignedIn{User: *u, Session: ss.ID, Cookie: s.handle(u.Tenant, ss.ID, cookie), RefreshToken: s.handle(u.Tenant, ss.ID, refresh), Expires: ss.Expires,
		Remember: ss.Remember, MustSetUp: !ss.MFA && s.mustHaveMFA(u)}
	in.AccessToken, err = s.accessToken(ctx, u, ss)
	return in, err
}

// handle is a secret as it is given out: tenant and session are needed to find it.
func (s *Service) handle(tenant int32, session int64, secret string) string {
	return strconv.Itoa(int(tenant)) + "." + strconv.FormatInt(session, 10) + "." + secret
}

// cutHandle reads a handle back.
func cutHandle(raw string) (tenant int32, session int64, secret string, ok bool) {
	t, rest, ok1 := strings.Cut(raw, ".")
	n, secret, ok2 := strings.Cut(rest, ".")
	tt, err1 := strconv.ParseInt(t, 10, 32)
	session, err2 := strconv.ParseInt(n, 10, 64)
	return int32(tt), session, secret, ok1 && ok2 && err1 == nil && err2 == nil && tt > 0 && session > 0 && len(secret) == 43
}

// makeRoom ends the sessions that are over, and of those that stand the least recently used ones, so that one more may begin.
func (s *Service) makeRoom(ctx context.Context, tx sqldb.Tx, u *User, now time.Time) (ended []int64, err error) {
	all, err := s.standing(ctx, tx, u.Tenant, u.ID)
	if err != nil {
		return nil, err
	}
	left := 0
	for _, ss := range all {
		why := s.over(ss, now)
		if why == "" {
			if left++; left < s.set.Sessions {
				continue
			}
			why = "too many sessions at once"
			ended = append(ended, ss.ID)
		}
		if err := endOne(ctx, tx, u.Tenant, ss.ID, now, by(ctx), why); err != nil {
			return nil, err
		}
	}
	return ended, nil
}

// standing are the sessions that nobody ended, the most recently used first.
func (s *Service) standing(ctx context.Context, q sqldb.Querier, tenant int32, user int64) (all []*Session, err error) {
	err = sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
		ss, err := scanSession(rows, tenant)
		all = append(all, ss)
		return err
	}, "SELECT "+sessionColumns+" FROM identity_session WHERE tenant = $1 AND user_id = $2 AND deleted_at = 0 ORDER BY used_at DESC, id DESC", tenant, user)
	return all, err
}

func endOne(ctx context.Context, tx sqldb.Tx, tenant int32, id int64, now time.Time, by, why string) error {
	_, err := tx.Exec(ctx, "UPDATE identity_session SET deleted_at = $3, updated_at = $3, updated_by = $4, reason = $5 WHERE tenant = $1 AND id = $2 AND deleted_at = 0",
		tenant, id, now.UnixMicro(), by, why)
	return err
}

func giveRefresh(ctx context.Context, tx sqldb.Tx, tenant int32, session int64, secret string, now time.Time) error {
	_, err := tx.Exec(ctx, "INSERT INTO identity_refresh (tenant, hash, session, created_at, used_at) VALUES ($1, $2, $3, $4, 0)", tenant, sum(secret), session, now.UnixMicro())
	return err
}

// accessToken is a JWT (RFC 9068, but for client_id, which those of apps alone have) for the product's own front ends.
func (s *Service) accessToken(ctx context.Context, u *User, ss *Session) (string, error) {
	now := s.now()
	expires := now.Add(accessLife)
	if ss.Expires.Before(expires) {
		expires = ss.Expires
	}
	id := strconv.FormatInt(u.ID, 10)
	return s.o.Tokens.Sign(ctx, u.Tenant, "ES256", accessType, token.Claims{Issuer: s.o.Issuer(u.Tenant), Subject: id, Audience: []string{s.o.Audience(u.Tenant)},
		ID: secret("")[:22], Issued: now, Expires: expires,
		Extra: map[string]any{"tenant": u.Tenant, "sid": strconv.FormatInt(ss.ID, 10), "userId": id, "role": u.Role, "type": "access"}})
}

func errRefresh() error {
	return fault.New(fault.Unauthenticated, "the refresh token is not valid: sign in again").WithCode("INVALID_TOKEN")
}

// Refresh exchanges a refresh token for new tokens; it is good once. One that comes again was stolen, or its answer was lost: its session
// ends with all that it gave out, since nobody can tell which of two holders is the right one. Unauthenticated for all that is no good.
func (s *Service) Refresh(ctx context.Context, raw, address string) (*SignedIn, error) {
	tenant, id, key, ok := cutHandle(raw)
	if !ok {
		return nil, errRefresh()
	}
	now := s.now()
	next := secret("")
	var ss *Session
	var why string
	reused := false
	err := s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) (err error) {
		ss, why, reused = nil, "", false
		if err := tx.Lock(ctx, lockOf("session", tenant, id)); err != nil {
			return err
		}
		var of, used int64
		found, err := sqldb.QueryRow(ctx, tx, []any{&of, &used}, "SELECT session, used_at FROM identity_refresh WHERE tenant = $1 AND hash = $2", tenant, sum(key))
		if err != nil || !found || of != id {
			return err
		}
		if ss, err = readSession(ctx, tx, tenant, id); err != nil || ss == nil {
			return err
		}
		if why = s.over(ss, now); why == "" && used != 0 {
			why, reused = "a refresh token was used twice", true
		}
		if why != "" {
			return endOne(ctx, tx, tenant, id, now, who(ss.User), why)
		}
		if _, err := tx.Exec(ctx, "UPDATE identity_refresh SET used_at = $3 WHERE tenant = $1 AND hash = $2", tenant, sum(key), now.UnixMicro()); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "UPDATE identity_session SET used_at = $3 WHERE tenant = $1 AND id = $2", tenant, id, now.UnixMicro()); err != nil {
			return err
		}
		return giveRefresh(ctx, tx, tenant, id, next, now)
	})
	switch {
	case err != nil:
		return nil, err
	case ss == nil:
		return nil, errRefresh()
	case reused:
		s.forgetSession(tenant, id)
		s.security(ctx, tenant, "refresh-reuse", "high", ss.User, address, "a refresh token was used twice: its session ended")
		return nil, errRefresh()
	case why != "":
		s.forgetSession(tenant, id)
		s.session(ctx, tenant, "refresh", audit.Minor, ss.User, id, address, "refused: "+why)
		return nil, errRefresh()
	}
	return s.refreshed(ctx, ss, next, address)
}

func (s *Service) refreshed(ctx context.Context, ss *Session, next, address string) (*SignedIn, error) {
	u, err := s.User(ctx, ss.tenant, ss.User)
	if fault.Is(err, fault.NotFound) || err == nil && u.Status != Active {
		return nil, errRefresh()
	}
	if err != nil {
		return nil, err
	}
	if s.hooks.tenant != nil {
		if err := s.hooks.tenant(ctx, ss.tenant); err != nil {
			return nil, err
		}
	}
	in := &SignedIn{User: *u, Session: ss.ID, RefreshToken: s.handle(ss.tenant, ss.ID, next), Expires: ss.Expires, Remember: ss.Remember}
	if in.AccessToken, err = s.accessToken(ctx, u, ss); err != nil {
		return nil, err
	}
	s.session(ctx, ss.tenant, "refresh", audit.Success, u.ID, ss.ID, address, "")
	return in, nil
}

// EndSession ends a session: its tokens and its cookie are refused from then on, in other processes within two seconds. One that is
// not there, or over, is no error.
func (s *Service) EndSession(ctx context.Context, tenant int32, session int64, why string) error {
	var ss *Session
	err := s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) (err error) {
		if ss, err = readSession(ctx, tx, tenant, session); err != nil || ss == nil || ss.ended != 0 {
			return err
		}
		return endOne(ctx, tx, tenant, session, s.now(), by(ctx), why)
	})
	if err != nil || ss == nil || ss.ended != 0 {
		return err
	}
	s.forgetSession(tenant, session)
	s.session(ctx, tenant, "logout", audit.Success, ss.User, session, "", why)
	return nil
}

// EndSessions ends all of a user's sessions but keep (0: none is kept), and those of apps.
func (s *Service) EndSessions(ctx context.Context, tenant int32, user, keep int64, why string) error {
	n := int64(0)
	err := s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) (err error) {
		n, err = tx.Exec(ctx, `UPDATE identity_session SET deleted_at = $4, updated_at = $4, updated_by = $5, reason = $6
			WHERE tenant = $1 AND user_id = $2 AND id <> $3 AND deleted_at = 0`, tenant, user, keep, s.now().UnixMicro(), by(ctx), why)
		return err
	})
	if err != nil {
		return err
	}
	s.forgetUser(tenant, user)
	if n > 0 {
		s.session(ctx, tenant, "logout", audit.Success, user, 0, "", strconv.FormatInt(n, 10)+" sessions: "+why)
	}
	if s.apps != nil {
		return s.apps.EndSessions(ctx, tenant, user, by(ctx), why)
	}
	return nil
}

// Sessions lists a user's sessions that stand, the most recently used first.
func (s *Service) Sessions(ctx context.Context, tenant int32, user int64) ([]Session, error) {
	var all []*Session
	err := s.ledger.Read(ctx, tenant, func(q sqldb.Querier) (err error) {
		all, err = s.standing(ctx, q, tenant, user)
		return err
	})
	if err != nil {
		return nil, err
	}
	out, now := []Session{}, s.now()
	for _, ss := range all {
		if s.over(ss, now) != "" {
			continue
		}
		if err := s.openDevice(ctx, ss); err != nil {
			return nil, err
		}
		out = append(out, *ss)
	}
	return out, nil
}

// sessionOf returns whose a standing session is; NotFound where there is none.
func (s *Service) sessionOf(ctx context.Context, tenant int32, id int64) (*Session, error) {
	var ss *Session
	err := s.ledger.Read(ctx, tenant, func(q sqldb.Querier) (err error) {
		ss, err = readSession(ctx, q, tenant, id)
		return err
	})
	if err == nil && (ss == nil || s.over(ss, s.now()) != "") {
		err = fault.New(fault.NotFound, "there is no such session")
	}
	return ss, err
}

// touch notes that a session is in use, once a minute at most.
func (s *Service) touch(ctx context.Context, ss *Session, now time.Time) error {
	if now.Sub(ss.UsedAt) < min(touchEvery, s.idle(ss)/4) {
		return nil
	}
	return s.ledger.Update(ctx, ss.tenant, func(tx sqldb.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE identity_session SET used_at = $3 WHERE tenant = $1 AND id = $2 AND deleted_at = 0 AND used_at < $3",
			ss.tenant, ss.ID, now.UnixMicro())
		return err
	})
}

// Sweep deletes what is over for longer than the time given (30 days at least are useful to look back): sessions with their tokens, wrong guesses,
// set-up links. It returns how many sessions it deleted.
func (s *Service) Sweep(ctx context.Context, tenant int32, after time.Duration) (n int64, err error) {
	before := s.now().Add(-after).UnixMicro()
	err = s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		for _, q := range []string{
			`DELETE FROM identity_refresh WHERE tenant = $1 AND session IN (SELECT id FROM identity_session WHERE tenant = $1
				AND (expires_at < $2 OR deleted_at > 0 AND deleted_at < $2))`,
			"DELETE FROM identity_attempt WHERE tenant = $1 AND failed_at < $2 AND locked_until < $2",
			"DELETE FROM identity_setup WHERE tenant = $1 AND expires_at < $2",
			"DELETE FROM identity_code WHERE tenant = $1 AND expires_at < $2",
			"DELETE FROM identity_mail WHERE tenant = $1 AND expires_at < $2",
			"DELETE FROM identity_key_secret WHERE tenant = $1 AND expires_at > 0 AND expires_at < $2",
			"DELETE FROM identity_session WHERE tenant = $1 AND (expires_at < $2 OR deleted_at > 0 AND deleted_at < $2)",
		} {
			if n, err = tx.Exec(ctx, q, tenant, before); err != nil {
				return err
			}
		}
		return nil
	})
	return n, err
}

// endByRefresh ends the session of a refresh token that is good.
func (s *Service) endByRefresh(ctx context.Context, tenant int32, id int64, key string) error {
	var of int64
	var found bool
	err := s.ledger.Read(ctx, tenant, func(q sqldb.Querier) (err error) {
		found, err = sqldb.QueryRow(ctx, q, []any{&of}, "SELECT session FROM identity_refresh WHERE tenant = $1 AND hash = $2 AND used_at = 0", tenant, sum(key))
		return err
	})
	if err != nil || !found || of != id {
		return err
	}
	return s.EndSession(ctx, tenant, id, "signed out")
}
