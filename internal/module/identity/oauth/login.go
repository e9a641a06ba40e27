package oauth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/audit"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// A browser has two cookies: one that says that it is this browser, to which requests are bound, and one that says who is signed in. The
// second is a new one after each sign-in.

func (s *Server) cookieName(tenant int32, what string) string {
	name := fmt.Sprintf("nilecare_%s_%d", what, tenant)
	if s.secure {
		return "__Host-" + name
	}
	return name
}

func (s *Server) setCookie(w http.ResponseWriter, tenant int32, what, value string, life time.Duration) {
	http.SetCookie(w, &http.Cookie{Name: s.cookieName(tenant, what), Value: value, Path: "/", HttpOnly: true, Secure: s.secure,
		SameSite: http.SameSiteLaxMode, MaxAge: int(life / time.Second)})
}

func (s *Server) cookie(r *http.Request, tenant int32, what string) string {
	c, err := r.Cookie(s.cookieName(tenant, what))
	if err != nil || len(c.Value) > 100 {
		return ""
	}
	return c.Value
}

// browser returns the browser's cookie, giving it one where it has none.
func (s *Server) browser(w http.ResponseWriter, r *http.Request, tenant int32) string {
	if v := s.cookie(r, tenant, "browser"); v != "" {
		return v
	}
	v := secret("")
	s.setCookie(w, tenant, "browser", v, loginLife)
	r.AddCookie(&http.Cookie{Name: s.cookieName(tenant, "browser"), Value: v})
	return v
}

// csrf is the token that a form must bring: it is bound to both cookies, and tells neither.
func (s *Server) csrf(r *http.Request, tenant int32) string {
	sum := sha256.Sum256([]byte("csrf\x00" + s.cookie(r, tenant, "browser") + "\x00" + s.cookie(r, tenant, "login")))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func (s *Server) checkCSRF(r *http.Request, tenant int32, sent string) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" {
		return false
	}
	return s.cookie(r, tenant, "browser") != "" && same(s.csrf(r, tenant), sent)
}

// login is somebody who is signed in at a browser.
type login struct {
	hash    []byte
	subject int64
	methods string
	authAt  int64
}

// mfa reports a sign-in with more than a password (RFC 8176).
func (l *login) mfa() bool { return slices.Contains(strings.Fields(l.methods), "mfa") }

// login returns who is signed in at the browser; nil for nobody.
func (s *Server) login(r *http.Request, tenant int32) (*login, error) {
	v := s.cookie(r, tenant, "login")
	if v == "" {
		return nil, nil
	}
	ctx := r.Context()
	l := &login{hash: hash(v)}
	found := false
	err := s.ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		var err error
		found, err = sqldb.QueryRow(ctx, q, []any{&l.subject, &l.methods, &l.authAt},
			"SELECT subject, methods, auth_at FROM oauth_login WHERE tenant = $1 AND hash = $2 AND deleted_at = 0 AND expires_at > $3", tenant, l.hash, s.micro())
		return err
	})
	if err != nil || !found {
		return nil, err
	}
	return l, nil
}

// SignedIn makes a browser's login of a user whom somebody else has signed in, such as a federation provider, and sets its cookie. The
// caller then leads the browser back to the URL of the parameter "return" that it was sent with, where [Server.ReturnsHere] permits.
func (s *Server) SignedIn(w http.ResponseWriter, r *http.Request, user int64, methods []string) error {
	_, err := s.startLogin(w, r, tenantOf(r.Context()), user, methods)
	return err
}

// ReturnsHere reports whether a URL leads back to this server's own pages, so that a browser may be sent there.
func (s *Server) ReturnsHere(ctx context.Context, to string) bool {
	rest, ok := strings.CutPrefix(to, s.path(tenantOf(ctx), "/oauth2/continue?"))
	return ok && !strings.ContainsAny(rest, "\\\r\n#")
}

func (s *Server) startLogin(w http.ResponseWriter, r *http.Request, tenant int32, user int64, methods []string) (*login, error) {
	ctx := r.Context()
	old, fresh := s.cookie(r, tenant, "login"), secret("")
	now := s.now()
	l := &login{hash: hash(fresh), subject: user, methods: strings.Join(methods, " "), authAt: now.UnixMicro()}
	err := s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		if old != "" { // what hangs on the old login goes on with the new one where it is the same person, else it ends
			if _, err := tx.Exec(ctx, `UPDATE oauth_session SET login = $3 WHERE tenant = $1 AND login = $2 AND subject = $4 AND deleted_at = 0`,
				tenant, hash(old), l.hash, user); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, "UPDATE oauth_login SET deleted_at = $3, updated_at = $3, updated_by = $4 WHERE tenant = $1 AND hash = $2 AND deleted_at = 0",
				tenant, hash(old), l.authAt, who(user)); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, `INSERT INTO oauth_login (tenant, hash, subject, methods, auth_at, expires_at, created_by, created_at, updated_by, updated_at, deleted_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $5, $7, $5, 0)`, tenant, l.hash, user, l.methods, l.authAt, now.Add(loginLife).UnixMicro(), who(user))
		return err
	})
	if err != nil {
		return nil, err
	}
	s.setCookie(w, tenant, "login", fresh, loginLife)
	return l, nil
}

// signIn answers POST /oauth2/login: e-mail and password.
func (s *Server) signIn(w http.ResponseWriter, r *http.Request) error {
	req, f, err := s.posted(w, r)
	if err != nil || req == nil {
		return err
	}
	ctx, tenant := r.Context(), tenantOf(r.Context())
	e := s.entry(ctx, tenant, audit.Session, "login", "")
	in, err := s.o.Users.SignIn(ctx, Attempt{Tenant: tenant, Email: f.Get("email"), Password: f.Get("password"), Address: e.Address, Agent: r.UserAgent()})
	if err != nil {
		return s.signInFailed(w, r, req, err, false)
	}
	if in.Challenge != "" {
		req.Challenge = in.Challenge
		return s.saveAndGo(w, r, req)
	}
	return s.enter(w, r, req, in)
}

// secondFactor answers POST /oauth2/code: a one-time or recovery code.
func (s *Server) secondFactor(w http.ResponseWriter, r *http.Request) error {
	req, f, err := s.posted(w, r)
	if err != nil || req == nil {
		return err
	}
	if f.Get("back") != "" || req.Challenge == "" {
		req.Challenge = ""
		return s.saveAndGo(w, r, req)
	}
	ctx, tenant := r.Context(), tenantOf(r.Context())
	in, err := s.o.Users.SecondFactor(ctx, tenant, req.Challenge, strings.TrimSpace(f.Get("code")), s.entry(ctx, tenant, audit.Session, "", "").Address, r.UserAgent())
	if err != nil {
		return s.signInFailed(w, r, req, err, true)
	}
	return s.enter(w, r, req, in)
}

func (s *Server) enter(w http.ResponseWriter, r *http.Request, req *request, in SignedIn) error {
	if _, err := s.startLogin(w, r, tenantOf(r.Context()), in.User.ID, in.Methods); err != nil {
		return err
	}
	req.Challenge, req.Entered = "", true
	return s.saveAndGo(w, r, req)
}

// signInFailed shows the form again, with a text that does not say which part was wrong.
func (s *Server) signInFailed(w http.ResponseWriter, r *http.Request, req *request, err error, code bool) error {
	text := ""
	switch fault.KindOf(err) {
	case fault.Unauthenticated, fault.NotFound, fault.Invalid, fault.Unprocessable:
		text = "wrong"
		if code {
			text = "wrong_code"
		}
	case fault.Forbidden:
		text = "locked"
	case fault.TooMany:
		text = "too_many"
	default:
		return err
	}
	status := http.StatusUnprocessableEntity
	if text == "too_many" {
		status = http.StatusTooManyRequests
	}
	return s.showSignIn(w, r, req, status, text)
}

// showSignIn shows the form for a password, or for a code where the password was right.
func (s *Server) showSignIn(w http.ResponseWriter, r *http.Request, req *request, status int, problem string) error {
	d := s.data(r, req)
	d.Problem = problem
	if req.Challenge != "" {
		return s.show(w, r, status, "code", d)
	}
	d.Hint = req.Hint
	tenant := tenantOf(r.Context())
	if s.o.Providers != nil {
		for _, p := range s.o.Providers(r.Context(), tenant) {
			d.Providers = append(d.Providers, Provider{p.Name,
				withQuery(p.URL, url.Values{"return": {s.path(tenant, "/oauth2/continue") + "?request=" + req.handle}})})
		}
	}
	return s.show(w, r, status, "signin", d)
}
