package oauth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/token"
)

// maxForm bounds the body of a request to this server.
const maxForm = 64 << 10

// form reads a form of a body. A parameter may come once (RFC 6749 section 3.2), but those that are lists by their standard.
func form(w http.ResponseWriter, r *http.Request, lists ...string) (url.Values, error) {
	if typ, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || typ != "application/x-www-form-urlencoded" {
		return nil, bad("invalid_request", "the body must be application/x-www-form-urlencoded")
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return nil, bad("invalid_request", "the form cannot be read")
	}
	return once(r.PostForm, lists...)
}

func once(v url.Values, lists ...string) (url.Values, error) {
	for name, vs := range v {
		if len(vs) > 1 && !slices.Contains(lists, name) {
			return nil, bad("invalid_request", "a parameter came more than once")
		}
	}
	return v, nil
}

// token answers POST /oauth2/token.
func (s *Server) token(w http.ResponseWriter, r *http.Request) error {
	f, err := form(w, r)
	if err != nil {
		return err
	}
	typ := f.Get("grant_type")
	if typ == "" {
		return bad("invalid_request", "grant_type is missing")
	}
	if !slices.Contains([]string{grantCode, grantRefresh, grantClient, grantDevice}, typ) {
		return bad("unsupported_grant_type", "this grant type is not served")
	}
	c, err := s.tokenClient(r, f, typ)
	if err != nil {
		return err
	}
	if !c.grants(typ) {
		return bad("unauthorized_client", "the client is not registered for this grant type")
	}
	tenant := tenantOf(r.Context())
	if res := f.Get("resource"); res != "" && !s.isAudience(tenant, res) {
		return bad("invalid_target", "resource must be "+s.Audience(tenant))
	}
	var out map[string]any
	switch typ {
	case grantCode:
		out, err = s.byCode(r.Context(), tenant, c, f)
	case grantRefresh:
		out, err = s.byRefresh(r.Context(), tenant, c, f)
	case grantClient:
		out, err = s.byClient(r.Context(), tenant, c, f)
	default:
		out, err = s.byDevice(r.Context(), tenant, c, f)
	}
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, out)
	return nil
}

// tokenClient is the client of a token request. A public client that refreshes need not name itself: SMART App Launch 2.2, "Refresh access
// token", lists no client_id, and some apps send none. The refresh token says whose it is, and the name of a public client proves nothing.
func (s *Server) tokenClient(r *http.Request, f url.Values, typ string) (*Client, error) {
	if _, _, basic := r.BasicAuth(); typ != grantRefresh || basic || f.Get("refresh_token") == "" ||
		f.Has("client_id") || f.Has("client_secret") || f.Has("client_assertion") || f.Has("client_assertion_type") {
		return s.authenticate(r, f)
	}
	ss, err := s.peekRefresh(r.Context(), tenantOf(r.Context()), f.Get("refresh_token"))
	if err != nil {
		return nil, err
	}
	if ss == nil {
		return nil, badGrant("the refresh token is not valid, has expired, or was used")
	}
	c, err := s.findClient(r.Context(), tenantOf(r.Context()), ss.client)
	if err == nil && (c == nil || !c.public()) {
		err = badClient("client authentication is missing")
	}
	return c, err
}

func badGrant(text string) *failure { return bad("invalid_grant", text) }

// byCode redeems a code (RFC 6749 section 4.1.3, RFC 7636 section 4.6). Whatever is wrong with a try of the right client, the code is used up.
func (s *Server) byCode(ctx context.Context, tenant int32, c *Client, f url.Values) (map[string]any, error) {
	code, verifier := f.Get("code"), f.Get("code_verifier")
	if code == "" || verifier == "" {
		return nil, bad("invalid_request", "code and code_verifier are needed")
	}
	refuse := badGrant("the code is not valid, has expired, or was used")
	g, user, err := s.peekCode(ctx, tenant, code)
	if err != nil {
		return nil, err
	}
	var ss *session
	var refresh string
	var reused int64
	var failed error
	err = s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		ss, refresh, reused, failed = nil, "", 0, nil
		var client string
		var num, expires, used int64
		found, err := sqldb.QueryRow(ctx, tx, []any{&client, &num, &expires, &used},
			"SELECT client, session, expires_at, used_at FROM oauth_code WHERE tenant = $1 AND hash = $2", tenant, hash(code))
		if err != nil {
			return err
		}
		if !found || client != c.ID {
			failed = refuse
			return nil
		}
		n, err := tx.Exec(ctx, "UPDATE oauth_code SET used_at = $3 WHERE tenant = $1 AND hash = $2 AND used_at = 0", tenant, hash(code), s.micro())
		if err != nil {
			return err
		}
		if n == 0 || used != 0 {
			failed, reused = refuse, num
			return endSessionsOf(ctx, tx, tenant, "num = $4", num, "Client/"+c.ID, s.micro(), "its code was used again")
		}
		if failed = s.checkCode(g, f, verifier, expires); failed != nil {
			return nil //nolint:nilerr // the code is used up, and the client is told why it got nothing
		}
		if ss, err = s.begin(ctx, tx, tenant, num, g); err != nil {
			return err
		}
		refresh, err = s.giveRefresh(ctx, tx, tenant, c, ss)
		return err
	})
	if err != nil {
		return nil, err
	}
	if failed != nil {
		if reused != 0 {
			s.o.Ended(tenant)
			s.noteSession(ctx, tenant, "reuse-code", &session{num: reused, client: c.ID, subject: g.Subject}, "a code came a second time: its session ended")
		}
		return nil, failed
	}
	s.noteSession(ctx, tenant, "token", ss, "authorization_code: "+ss.scope)
	return s.tokenAnswer(ctx, tenant, c, ss, wordsOf(ss.scope), user, refresh, g)
}

// peekCode reads what a code grants and to whom, before the transaction that uses it up.
func (s *Server) peekCode(ctx context.Context, tenant int32, code string) (*granted, User, error) {
	var body string
	err := s.ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		_, err := sqldb.QueryRow(ctx, q, []any{&body}, "SELECT body FROM oauth_code WHERE tenant = $1 AND hash = $2", tenant, hash(code))
		return err
	})
	if err != nil {
		return nil, User{}, err
	}
	if body == "" {
		return nil, User{}, badGrant("the code is not valid, has expired, or was used")
	}
	g := &granted{}
	if err := json.Unmarshal([]byte(body), g); err != nil {
		return nil, User{}, err
	}
	user, err := s.userOf(ctx, tenant, g.Subject)
	return g, user, err
}

// userOf is the person of a grant; invalid_grant where they are no longer one.
func (s *Server) userOf(ctx context.Context, tenant int32, id int64) (User, error) {
	user, err := s.o.Users.User(ctx, tenant, id)
	if err == nil {
		return user, nil
	}
	if k := fault.KindOf(err); k == fault.NotFound || k == fault.Gone || k == fault.Forbidden || k == fault.Unauthenticated {
		return User{}, badGrant("the person who granted this cannot sign in any longer")
	}
	return User{}, err
}

func (s *Server) checkCode(g *granted, f url.Values, verifier string, expires int64) error {
	refuse := badGrant("the code is not valid, has expired, or was used")
	if s.micro() >= expires {
		return refuse
	}
	// OAuth 2.1 no longer sends redirect_uri here; where it comes it must be the same (RFC 6749 section 4.1.3).
	if uri, sent := f["redirect_uri"]; sent && uri[0] != g.Redirect {
		return badGrant("redirect_uri is not that of the authorization request")
	}
	if !verifies(g.Challenge, verifier) {
		return badGrant("code_verifier is not that of the authorization request")
	}
	return nil
}

// verifies is RFC 7636 section 4.6 for S256.
func verifies(challenge, verifier string) bool {
	if len(verifier) < 43 || len(verifier) > 128 || !isPKCE(verifier) {
		return false
	}
	sum := sha256.Sum256([]byte(verifier))
	return same(challenge, base64.RawURLEncoding.EncodeToString(sum[:]))
}

func isPKCE(v string) bool {
	return !slices.ContainsFunc([]byte(v), func(c byte) bool {
		return (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' && c != '_' && c != '~'
	})
}

// byRefresh gives new tokens for a refresh token, and another refresh token (RFC 6749 section 6, RFC 9700 section 4.14.2).
func (s *Server) byRefresh(ctx context.Context, tenant int32, c *Client, f url.Values) (map[string]any, error) {
	raw := f.Get("refresh_token")
	if raw == "" {
		return nil, bad("invalid_request", "refresh_token is missing")
	}
	refuse := badGrant("the refresh token is not valid, has expired, or was used")
	ss, err := s.peekRefresh(ctx, tenant, raw)
	if err != nil {
		return nil, err
	}
	if ss == nil || ss.client != c.ID {
		return nil, refuse
	}
	scopes, err := narrowed(ss.scope, f.Get("scope"))
	if err != nil {
		return nil, err
	}
	user, err := s.userOf(ctx, tenant, ss.subject)
	if err != nil {
		return nil, err
	}
	next, reused, err := s.rotate(ctx, tenant, c, ss, raw)
	if err != nil {
		return nil, err
	}
	if reused {
		s.o.Ended(tenant)
		s.noteSession(ctx, tenant, "reuse-refresh", ss, "a refresh token came a second time: its session ended")
		return nil, refuse
	}
	if next == "" {
		return nil, refuse
	}
	s.noteSession(ctx, tenant, "refresh", ss, scopeText(scopes))
	return s.tokenAnswer(ctx, tenant, c, ss, scopes, user, next, nil)
}

// narrowed is what of a session's scope was asked for: all where nothing was; invalid_scope for more.
func narrowed(have, asked string) ([]scope, error) {
	all := wordsOf(have)
	if asked == "" {
		return all, nil
	}
	scopes, err := parseScopes(asked)
	if err != nil {
		return nil, err
	}
	if len(only(scopes, all)) != len(scopes) || len(scopes) == 0 {
		return nil, bad("invalid_scope", "this is more than was granted")
	}
	return scopes, nil
}

func (s *Server) peekRefresh(ctx context.Context, tenant int32, raw string) (*session, error) {
	var ss *session
	err := s.ledger.View(ctx, tenant, func(q sqldb.Querier) error {
		ss = nil
		var num int64
		found, err := sqldb.QueryRow(ctx, q, []any{&num}, "SELECT session FROM oauth_refresh WHERE tenant = $1 AND hash = $2", tenant, hash(raw))
		if err != nil || !found {
			return err
		}
		ss, err = readSession(ctx, q, tenant, num)
		return err
	})
	return ss, err
}

// rotate uses a refresh token up and makes the next one. "" where it may not be used; reused where it was used before, and now the session
// has ended.
func (s *Server) rotate(ctx context.Context, tenant int32, c *Client, ss *session, raw string) (next string, reused bool, err error) {
	err = s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		next, reused = "", false
		now := s.micro()
		current, err := readSession(ctx, tx, tenant, ss.num)
		if err != nil || current == nil || current.ended != 0 || now >= current.expires {
			return err
		}
		if alive, err := s.loginStands(ctx, tx, tenant, current); err != nil || !alive {
			return err
		}
		n, err := tx.Exec(ctx, "UPDATE oauth_refresh SET used_at = $3 WHERE tenant = $1 AND hash = $2 AND used_at = 0 AND expires_at > $3", tenant, hash(raw), now)
		if err != nil {
			return err
		}
		if n == 0 {
			var used int64
			if _, err := sqldb.QueryRow(ctx, tx, []any{&used}, "SELECT used_at FROM oauth_refresh WHERE tenant = $1 AND hash = $2", tenant, hash(raw)); err != nil || used == 0 {
				return err
			}
			reused = true
			return endSessionsOf(ctx, tx, tenant, "num = $4", ss.num, "Client/"+c.ID, now, "a refresh token was used again")
		}
		next, err = s.giveRefresh(ctx, tx, tenant, c, current)
		return err
	})
	return next, reused, err
}

// loginStands reports whether a session may go on: one that is not offline lasts as long as the login that it came from (SMART's online_access).
func (s *Server) loginStands(ctx context.Context, q sqldb.Querier, tenant int32, ss *session) (bool, error) {
	if ss.offline || len(ss.login) == 0 {
		return true, nil
	}
	var one int64
	return sqldb.QueryRow(ctx, q, []any{&one}, "SELECT 1 FROM oauth_login WHERE tenant = $1 AND hash = $2 AND deleted_at = 0 AND expires_at > $3",
		tenant, ss.login, s.micro())
}

// byClient is RFC 6749 section 4.4 and SMART Backend Services: a client that speaks for itself, with scopes of the level system.
func (s *Server) byClient(ctx context.Context, tenant int32, c *Client, f url.Values) (map[string]any, error) {
	asked := c.scopes
	if text := f.Get("scope"); text != "" {
		var err error
		if asked, err = parseScopes(text); err != nil {
			return nil, err
		}
	}
	scopes := slices.DeleteFunc(narrowTo(asked, c.scopes), func(sc scope) bool { return sc.level != "system" })
	if len(scopes) == 0 {
		return nil, bad("invalid_scope", "none of these scopes is this client's")
	}
	now := s.now()
	raw, err := s.o.Signer.Sign(ctx, tenant, "ES256", "at+jwt", token.Claims{
		Issuer: s.Issuer(tenant), Subject: c.ID, Audience: []string{s.Audience(tenant)}, ID: secret("")[:22], Issued: now, Expires: now.Add(backendLife),
		Extra: map[string]any{"client_id": c.ID, "scope": scopeText(scopes), "tenant": tenant}})
	if err != nil {
		return nil, err
	}
	s.noteSession(ctx, tenant, "token", &session{client: c.ID}, "client_credentials: "+scopeText(scopes))
	return map[string]any{"access_token": raw, "token_type": "Bearer", "expires_in": int(backendLife / time.Second), "scope": scopeText(scopes)}, nil
}
