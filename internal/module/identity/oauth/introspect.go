package oauth

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/token"
)

// permissionIntrospect lets a caller of the product (a service with an API key) introspect every token.
const permissionIntrospect = "tokens:introspect"

// introspect answers POST /oauth2/introspect (RFC 7662, SMART "Token Introspection"). A client is told of its own tokens; a resource server,
// or a caller with the permission, of all.
func (s *Server) introspect(w http.ResponseWriter, r *http.Request) error {
	f, err := form(w, r)
	if err != nil {
		return err
	}
	caller, c := access.From(r.Context()), (*Client)(nil)
	all := caller.Known() && caller.Permits(permissionIntrospect)
	if !all {
		if c, err = s.authenticate(r, f); err != nil {
			return err
		}
		if c.public() {
			return badClient("only confidential clients may introspect")
		}
		all = c.Meta.ResourceServer
	}
	raw := f.Get("token")
	if raw == "" {
		return bad("invalid_request", "token is missing")
	}
	out, owner, err := s.stateOf(r.Context(), tenantOf(r.Context()), raw)
	if err != nil {
		return err
	}
	if out == nil || !all && owner != c.ID {
		out = map[string]any{"active": false}
	}
	answer(w, http.StatusOK, out)
	return nil
}

// stateOf says what a token is, and whose; nil for one that is no good.
func (s *Server) stateOf(ctx context.Context, tenant int32, raw string) (map[string]any, string, error) {
	if strings.HasPrefix(raw, "nrt_") {
		return s.refreshState(ctx, tenant, raw)
	}
	claims, err := s.verify(ctx, tenant, raw)
	if err != nil || claims == nil {
		return nil, "", err
	}
	out := map[string]any{"active": true, "token_type": "Bearer", "iss": claims.Issuer, "sub": claims.Subject, "aud": claims.Audience,
		"jti": claims.ID, "exp": claims.Expires.Unix(), "iat": claims.Issued.Unix()}
	for _, name := range []string{"client_id", "scope", "sid", "tenant", "patient", "encounter", "fhirUser", "auth_time"} {
		if v, ok := claims.Extra[name]; ok {
			out[name] = v
		}
	}
	owner, _ := claims.Extra["client_id"].(string)
	return out, owner, nil
}

// verify returns the claims of an access token that is good now; nil for all others.
func (s *Server) verify(ctx context.Context, tenant int32, raw string) (*token.Claims, error) {
	claims, err := s.o.Signer.Verify(ctx, tenant, raw, token.Want{Issuer: s.Issuer(tenant), Audience: s.Audience(tenant), Type: "at+jwt"})
	if fault.Is(err, fault.Unauthenticated) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	client, _ := claims.Extra["client_id"].(string)
	sid, ok := claims.Extra["sid"]
	num := int64(0)
	if ok {
		if num = sessionNumber(sid); num == 0 {
			return nil, nil
		}
	}
	alive, err := s.Alive(ctx, tenant, client, num, claims.ID)
	if err != nil || !alive {
		return nil, err
	}
	return claims, nil
}

func (s *Server) refreshState(ctx context.Context, tenant int32, raw string) (map[string]any, string, error) {
	var out map[string]any
	owner := ""
	err := s.ledger.View(ctx, tenant, func(q sqldb.Querier) error {
		out = nil
		var num, expires, used int64
		found, err := sqldb.QueryRow(ctx, q, []any{&num, &expires, &used}, "SELECT session, expires_at, used_at FROM oauth_refresh WHERE tenant = $1 AND hash = $2",
			tenant, hash(raw))
		if err != nil || !found || used != 0 || s.micro() >= expires {
			return err
		}
		ss, err := readSession(ctx, q, tenant, num)
		if err != nil || ss == nil || ss.ended != 0 || s.micro() >= ss.expires {
			return err
		}
		if ok, err := s.loginStands(ctx, q, tenant, ss); err != nil || !ok {
			return err
		}
		owner = ss.client
		out = map[string]any{"active": true, "token_type": "refresh_token", "client_id": ss.client, "scope": ss.scope, "iss": s.Issuer(tenant),
			"sub": strings.TrimPrefix(who(ss.subject), "User/"), "exp": expires / 1e6}
		return nil
	})
	return out, owner, err
}

// revoke answers POST /oauth2/revoke (RFC 7009). A refresh token ends its session with all that it gave; an access token ends alone.
// Nobody is told whether there was something to revoke.
func (s *Server) revoke(w http.ResponseWriter, r *http.Request) error {
	f, err := form(w, r)
	if err != nil {
		return err
	}
	c, err := s.authenticate(r, f)
	if err != nil {
		return err
	}
	raw := f.Get("token")
	if raw == "" {
		return bad("invalid_request", "token is missing")
	}
	if err := s.revokeToken(r.Context(), tenantOf(r.Context()), c, raw); err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	return nil
}

func (s *Server) revokeToken(ctx context.Context, tenant int32, c *Client, raw string) error {
	if strings.HasPrefix(raw, "nrt_") {
		ss, err := s.peekRefresh(ctx, tenant, raw)
		if err != nil || ss == nil || ss.client != c.ID || ss.ended != 0 {
			return err
		}
		err = s.ending(ctx, tenant, func(tx sqldb.Tx) error {
			return endSessionsOf(ctx, tx, tenant, "num = $4", ss.num, "Client/"+c.ID, s.micro(), "the client revoked it")
		})
		if err == nil {
			s.noteSession(ctx, tenant, "revoke", ss, "refresh token")
		}
		return err
	}
	claims, err := s.verify(ctx, tenant, raw)
	if err != nil || claims == nil || claims.Extra["client_id"] != c.ID {
		return err
	}
	return s.ending(ctx, tenant, func(tx sqldb.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO oauth_revoked (tenant, jti, expires_at) VALUES ($1, $2, $3) ON CONFLICT (tenant, jti) DO NOTHING",
			tenant, claims.ID, claims.Expires.UnixMicro())
		return err
	})
}

// userinfo answers GET and POST /oauth2/userinfo (OpenID Connect Core section 5.3).
func (s *Server) userinfo(w http.ResponseWriter, r *http.Request) error {
	ctx, tenant := r.Context(), tenantOf(r.Context())
	kind, raw, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(kind, "Bearer") || raw == "" {
		return badToken("an access token is needed")
	}
	claims, err := s.verify(ctx, tenant, strings.TrimSpace(raw))
	if err != nil {
		return err
	}
	if claims == nil {
		return badToken("the access token is not valid")
	}
	text, _ := claims.Extra["scope"].(string)
	scopes := wordsOf(text)
	num := sessionNumber(claims.Subject)
	if !hasScope(scopes, "openid") || num == 0 {
		return &failure{status: http.StatusForbidden, code: "insufficient_scope", text: "this needs the scope openid", bearer: true, scope: "openid"}
	}
	user, err := s.o.Users.User(ctx, tenant, num)
	if err != nil {
		if fault.KindOf(err) == fault.Internal {
			return err
		}
		return badToken("the access token is not valid")
	}
	out := map[string]any{"sub": claims.Subject}
	s.addProfile(tenant, out, scopes, user)
	answer(w, http.StatusOK, out)
	return nil
}

// logout answers GET and POST /oauth2/logout (OpenID Connect RP-Initiated Logout 1.0). Without a hint that says who is signed in, the person
// is asked first; nobody is led to a URI that the client did not register.
func (s *Server) logout(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	if r.Method == http.MethodPost {
		f, err := form(w, r)
		if err != nil {
			return err
		}
		q = f
	}
	if _, err := once(q); err != nil {
		return err
	}
	ctx, tenant := r.Context(), tenantOf(r.Context())
	subject, client := s.hinted(ctx, tenant, q.Get("id_token_hint"))
	if client == "" {
		client = q.Get("client_id")
	} else if id := q.Get("client_id"); id != "" && id != client {
		return pageFailure("client_id is not that of id_token_hint")
	}
	back := ""
	if uri := q.Get("post_logout_redirect_uri"); uri != "" {
		c, err := s.findClient(ctx, tenant, client)
		if err != nil {
			return err
		}
		if c == nil || !redirectMatches(c.Meta.PostLogout, uri) {
			return pageFailure("post_logout_redirect_uri is not one that the app registered")
		}
		back = uri
	}
	l, err := s.login(r, tenant)
	if err != nil {
		return err
	}
	confirmed := r.Method == http.MethodPost && q.Get("confirm") != "" && s.checkCSRF(r, tenant, q.Get("csrf"))
	if l != nil && !confirmed && subject != strings.TrimPrefix(who(l.subject), "User/") {
		return s.askLogout(w, r, q, client, back)
	}
	if err := s.endLogin(w, r, tenant, l); err != nil {
		return err
	}
	if back == "" {
		d := s.blank(r, q.Get("ui_locales"))
		d.Problem = "logged_out"
		return s.show(w, r, http.StatusOK, "message", d)
	}
	params := url.Values{}
	if state := q.Get("state"); state != "" {
		params.Set("state", state)
	}
	if len(params) > 0 {
		back = withQuery(back, params)
	}
	w.Header().Set("Cache-Control", "no-store")
	redirect(w, back)
	return nil
}

func (s *Server) askLogout(w http.ResponseWriter, r *http.Request, q url.Values, client, back string) error {
	tenant := tenantOf(r.Context())
	s.browser(w, r, tenant)
	d := s.blank(r, q.Get("ui_locales"))
	d.CSRF, d.Redirect = s.csrf(r, tenant), back
	d.Fields = []field{{"client_id", client}, {"post_logout_redirect_uri", back}, {"state", q.Get("state")}, {"ui_locales", q.Get("ui_locales")}}
	return s.show(w, r, http.StatusOK, "logout", d)
}

// hinted is the person and the client of an ID token of ours that has not expired; "" otherwise.
func (s *Server) hinted(ctx context.Context, tenant int32, raw string) (subject, client string) {
	if raw == "" {
		return "", ""
	}
	claims, err := s.o.Signer.Verify(ctx, tenant, raw, token.Want{Issuer: s.Issuer(tenant), Type: "JWT"})
	if err != nil || len(claims.Audience) != 1 {
		return "", ""
	}
	return claims.Subject, claims.Audience[0]
}

// endLogin ends a browser's login, and the sessions that last only as long as it.
func (s *Server) endLogin(w http.ResponseWriter, r *http.Request, tenant int32, l *login) error {
	s.setCookie(w, tenant, "login", "", -1e9)
	if l == nil {
		return nil
	}
	ctx, now := r.Context(), s.micro()
	err := s.ending(ctx, tenant, func(tx sqldb.Tx) error {
		if _, err := tx.Exec(ctx, "UPDATE oauth_login SET deleted_at = $3, updated_at = $3, updated_by = $4 WHERE tenant = $1 AND hash = $2 AND deleted_at = 0",
			tenant, l.hash, now, who(l.subject)); err != nil {
			return err
		}
		return endSessionsOf(ctx, tx, tenant, "login = $4 AND offline = 0", l.hash, who(l.subject), now, "the person signed out")
	})
	if err == nil {
		s.noteSession(ctx, tenant, "logout", &session{subject: l.subject}, "")
	}
	return err
}
