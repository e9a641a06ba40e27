package oauth

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/nilecare/nilecare/internal/clock"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// deviceAuthorization answers POST /oauth2/device_authorization (RFC 8628 section 3.1).
func (s *Server) deviceAuthorization(w http.ResponseWriter, r *http.Request) error {
	f, err := form(w, r)
	if err != nil {
		return err
	}
	c, err := s.authenticate(r, f)
	if err != nil {
		return err
	}
	if !c.grants(grantDevice) {
		return bad("unauthorized_client", "the client is not registered for the device flow")
	}
	asked, err := parseScopes(f.Get("scope"))
	if err != nil {
		return err
	}
	scopes := withoutLevels(narrowTo(asked, c.scopes), "system")
	if len(scopes) == 0 {
		return bad("invalid_scope", "none of these scopes is this client's")
	}
	ctx, tenant, now := r.Context(), tenantOf(r.Context()), s.now()
	code, shown := secret("ndc_"), userCode()
	err = s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO oauth_device (tenant, hash, user_code, client, scope, state, body, session, pause, polled_at, expires_at,
			created_at, updated_by, updated_at) VALUES ($1, $2, $3, $4, $5, 'pending', '', 0, $6, 0, $7, $8, $9, $8)`,
			tenant, hash(code), hash(plainUserCode(shown)), c.ID, scopeText(scopes), int64(pollInterval), now.Add(deviceLife).UnixMicro(), now.UnixMicro(), "Client/"+c.ID)
		return err
	})
	if err != nil {
		return err
	}
	page := s.Issuer(tenant) + "/oauth2/device"
	answer(w, http.StatusOK, map[string]any{"device_code": code, "user_code": shown, "verification_uri": page,
		"verification_uri_complete": page + "?user_code=" + url.QueryEscape(shown), "expires_in": int(deviceLife / time.Second), "interval": pollInterval})
	return nil
}

// byDevice is a poll of a device (RFC 8628 section 3.4).
func (s *Server) byDevice(ctx context.Context, tenant int32, c *Client, f url.Values) (map[string]any, error) {
	code := f.Get("device_code")
	if code == "" {
		return nil, bad("invalid_request", "device_code is missing")
	}
	var g granted
	var ss *session
	var refresh string
	var failed error
	err := s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		ss, refresh, failed = nil, "", nil
		var client, state, body string
		var num, pause, polled, expires int64
		found, err := sqldb.QueryRow(ctx, tx, []any{&client, &state, &body, &num, &pause, &polled, &expires},
			"SELECT client, state, body, session, pause, polled_at, expires_at FROM oauth_device WHERE tenant = $1 AND hash = $2", tenant, hash(code))
		if err != nil {
			return err
		}
		now := s.micro()
		switch {
		case !found || client != c.ID || state == "used":
			failed = badGrant("the device code is not valid, or was used")
			return nil
		case now >= expires:
			failed = bad("expired_token", "the device code has expired")
			return nil
		case state == "denied":
			failed = bad("access_denied", "the person did not agree")
			return nil
		case state == "pending":
			failed = bad("authorization_pending", "the person has not decided yet")
			if polled != 0 && now-polled < pause*1e6 {
				failed = bad("slow_down", "poll less often")
				pause += pollInterval
			}
			_, err := tx.Exec(ctx, "UPDATE oauth_device SET polled_at = $3, pause = $4 WHERE tenant = $1 AND hash = $2", tenant, hash(code), now, pause)
			return err
		}
		g = granted{}
		if err := json.Unmarshal([]byte(body), &g); err != nil {
			return err
		}
		n, err := tx.Exec(ctx, "UPDATE oauth_device SET state = 'used', updated_at = $3 WHERE tenant = $1 AND hash = $2 AND state = 'approved'", tenant, hash(code), now)
		if err != nil || n == 0 {
			failed = badGrant("the device code is not valid, or was used")
			return err
		}
		// The browser in which the person agreed is not the device: their signing out of it does not end the device's access.
		g.Login = nil
		if ss, err = s.begin(ctx, tx, tenant, num, &g); err != nil {
			return err
		}
		refresh, err = s.giveRefresh(ctx, tx, tenant, c, ss)
		return err
	})
	if err != nil {
		return nil, err
	}
	if failed != nil {
		return nil, failed
	}
	user, err := s.userOf(ctx, tenant, ss.subject)
	if err != nil {
		return nil, err
	}
	s.noteSession(ctx, tenant, "token", ss, "device_code: "+ss.scope)
	return s.tokenAnswer(ctx, tenant, c, ss, wordsOf(ss.scope), user, refresh, &g)
}

// devicePage answers GET /oauth2/device. A code in the URL is shown, and never taken by itself (RFC 8628 section 3.3.1).
func (s *Server) devicePage(w http.ResponseWriter, r *http.Request) error {
	return s.showDevice(w, r, http.StatusOK, r.URL.Query().Get("user_code"), "")
}

func (s *Server) showDevice(w http.ResponseWriter, r *http.Request, status int, code, problem string) error {
	tenant := tenantOf(r.Context())
	s.browser(w, r, tenant)
	d := s.blank(r, "")
	d.CSRF, d.UserCode, d.Problem = s.csrf(r, tenant), short(code), problem
	return s.show(w, r, status, "device", d)
}

// deviceCode answers POST /oauth2/device: a person typed the code of a device. From here on it is a request like an app's.
func (s *Server) deviceCode(w http.ResponseWriter, r *http.Request) error {
	f, err := form(w, r)
	if err != nil {
		return err
	}
	ctx, tenant := r.Context(), tenantOf(r.Context())
	if !s.checkCSRF(r, tenant, f.Get("csrf")) {
		return s.showDevice(w, r, http.StatusOK, f.Get("user_code"), "")
	}
	if !s.guesses.may(tenant) {
		return s.showDevice(w, r, http.StatusTooManyRequests, "", "too_many")
	}
	req := &request{UserCode: strings.ToUpper(short(f.Get("user_code"))), CreatedAt: s.micro()}
	code := plainUserCode(f.Get("user_code"))
	if code != "" {
		err = s.ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
			_, err := sqldb.QueryRow(ctx, q, []any{&req.Device, &req.Client, &req.Scope},
				"SELECT hash, client, scope FROM oauth_device WHERE tenant = $1 AND user_code = $2 AND state = 'pending' AND expires_at > $3", tenant, hash(code), s.micro())
			return err
		})
		if err != nil {
			return err
		}
	}
	if len(req.Device) == 0 {
		s.guesses.wrong(tenant)
		return s.showDevice(w, r, http.StatusUnprocessableEntity, "", "bad_code")
	}
	if req.client, err = s.findClient(ctx, tenant, req.Client); err != nil || req.client == nil {
		return errStale
	}
	return s.saveAndGoFresh(w, r, req)
}

func approveDevice(ctx context.Context, tx sqldb.Tx, tenant int32, device []byte, body string, num, user, now int64) error {
	n, err := tx.Exec(ctx, `UPDATE oauth_device SET state = 'approved', body = $3, session = $4, updated_by = $5, updated_at = $6
		WHERE tenant = $1 AND hash = $2 AND state = 'pending' AND expires_at > $6`, tenant, device, body, num, who(user), now)
	if err == nil && n == 0 {
		return errStale
	}
	return err
}

func (s *Server) denyDevice(w http.ResponseWriter, r *http.Request, req *request) error {
	ctx, tenant := r.Context(), tenantOf(r.Context())
	err := s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE oauth_device SET state = 'denied', updated_at = $3 WHERE tenant = $1 AND hash = $2 AND state = 'pending'",
			tenant, req.Device, s.micro())
		return err
	})
	if err != nil {
		return err
	}
	d := s.data(r, req)
	d.Problem = "device_no"
	return s.show(w, r, http.StatusOK, "message", d)
}

// guesses bounds how many wrong user codes a tenant's page takes: 60 at once and one each two seconds then. There are 2^34 codes, of which
// each lives ten minutes (RFC 8628 section 5.1).
type guesses struct {
	now clock.Clock
	mu  sync.Mutex
	of  map[int32]*rate.Limiter
}

func newGuesses(now clock.Clock) *guesses { return &guesses{now: now, of: map[int32]*rate.Limiter{}} }

func (g *guesses) limiter(tenant int32) *rate.Limiter {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.of[tenant]
	if l == nil {
		l = rate.NewLimiter(rate.Every(2*time.Second), 60)
		g.of[tenant] = l
	}
	return l
}

func (g *guesses) may(tenant int32) bool { return g.limiter(tenant).TokensAt(g.now()) >= 1 }

func (g *guesses) wrong(tenant int32) { g.limiter(tenant).AllowN(g.now(), 1) }
