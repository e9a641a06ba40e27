package oauth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/audit"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/token"
)

// Launch is the context of a launch (SMART App Launch 2.2, "Launch context arrives with your access_token").
type Launch struct {
	Patient   string            `json:"patient,omitempty"`
	Encounter string            `json:"encounter,omitempty"`
	Intent    string            `json:"intent,omitempty"`
	Banner    *bool             `json:"need_patient_banner,omitempty"`
	Tenant    string            `json:"tenant,omitempty"`
	Context   []LaunchReference `json:"fhirContext,omitempty"`
}

// LaunchReference is one more resource in context (fhirContext).
type LaunchReference struct {
	Reference string `json:"reference"`
	Type      string `json:"type,omitempty"`
	Role      string `json:"role,omitempty"`
}

// granted is what a person granted an app, as a code or a device code keeps it.
type granted struct {
	Client    string   `json:"client"`
	Subject   int64    `json:"subject"`
	Scope     string   `json:"scope"`
	Launch    Launch   `json:"launch"`
	Redirect  string   `json:"redirect_uri,omitempty"`
	Challenge string   `json:"challenge,omitempty"`
	Nonce     string   `json:"nonce,omitempty"`
	AuthAt    int64    `json:"auth_at"` // microseconds
	Methods   []string `json:"methods,omitempty"`
	Login     []byte   `json:"login,omitempty"` // hash of the browser's login
}

// session is what an app has been granted, for as long as it lasts: the tokens of one authorization.
type session struct {
	num     int64
	client  string
	subject int64
	scope   string
	launch  Launch
	offline bool
	login   []byte
	authAt  int64
	expires int64
	reason  string
	ended   int64
}

// begin makes a session of a grant, in a transaction that used up the code that it came by.
func (s *Server) begin(ctx context.Context, tx sqldb.Tx, tenant int32, num int64, g *granted) (*session, error) {
	scopes := wordsOf(g.Scope)
	now := s.now()
	ss := &session{num: num, client: g.Client, subject: g.Subject, scope: g.Scope, launch: g.Launch, login: g.Login, authAt: g.AuthAt,
		offline: hasScope(scopes, "offline_access")}
	switch {
	case ss.offline:
		ss.expires = now.Add(sessionLife).UnixMicro()
	case hasScope(scopes, "online_access"):
		ss.expires = now.Add(onlineLife).UnixMicro()
	default:
		ss.expires = now.Add(accessLife).UnixMicro()
	}
	launch, err := json.Marshal(g.Launch)
	if err != nil {
		return nil, err
	}
	offline := int64(0)
	if ss.offline {
		offline = 1
	}
	_, err = tx.Exec(ctx, `INSERT INTO oauth_session (tenant, num, client, subject, scope, context, offline, login, auth_at, expires_at,
		created_by, created_at, updated_by, updated_at, deleted_at, reason) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $11, $12, 0, '')`,
		tenant, num, ss.client, ss.subject, ss.scope, string(launch), offline, blob(ss.login), ss.authAt, ss.expires, who(ss.subject), now.UnixMicro())
	return ss, err
}

func who(user int64) string { return "User/" + strconv.FormatInt(user, 10) }

const sessionColumns = "num, client, subject, scope, context, offline, login, auth_at, expires_at, deleted_at, reason"

func scanSession(rows sqldb.Rows) (*session, error) {
	ss := &session{}
	var launch string
	var offline int64
	if err := rows.Scan(&ss.num, &ss.client, &ss.subject, &ss.scope, &launch, &offline, &ss.login, &ss.authAt, &ss.expires, &ss.ended, &ss.reason); err != nil {
		return nil, err
	}
	ss.offline = offline != 0
	return ss, json.Unmarshal([]byte(launch), &ss.launch)
}

func readSession(ctx context.Context, q sqldb.Querier, tenant int32, num int64) (*session, error) {
	var ss *session
	err := sqldb.Each(ctx, q, func(rows sqldb.Rows) (err error) {
		ss, err = scanSession(rows)
		return err
	}, "SELECT "+sessionColumns+" FROM oauth_session WHERE tenant = $1 AND num = $2", tenant, num)
	return ss, err
}

// endSessionsOf ends sessions; where names them by $4.
func endSessionsOf(ctx context.Context, tx sqldb.Tx, tenant int32, where string, arg any, who string, now int64, why string) error {
	_, err := tx.Exec(ctx, "UPDATE oauth_session SET deleted_at = $2, updated_at = $2, updated_by = $3, reason = $5 WHERE tenant = $1 AND deleted_at = 0 AND "+where,
		tenant, now, who, arg, why)
	return err
}

// ending is a transaction that ends access before its time. What was remembered of tokens is forgotten after it.
func (s *Server) ending(ctx context.Context, tenant int32, f func(tx sqldb.Tx) error) error {
	err := s.ledger.Update(ctx, tenant, f)
	if err == nil {
		s.o.Ended(tenant)
	}
	return err
}

// giveRefresh makes a refresh token of a session; "" where its scope has none.
func (s *Server) giveRefresh(ctx context.Context, tx sqldb.Tx, tenant int32, c *Client, ss *session) (string, error) {
	scopes := wordsOf(ss.scope)
	if !c.grants(grantRefresh) || !hasScope(scopes, "offline_access") && !hasScope(scopes, "online_access") {
		return "", nil
	}
	raw := secret("nrt_")
	now := s.now()
	_, err := tx.Exec(ctx, "INSERT INTO oauth_refresh (tenant, hash, session, created_at, expires_at, used_at) VALUES ($1, $2, $3, $4, $5, 0)",
		tenant, hash(raw), ss.num, now.UnixMicro(), min(now.Add(refreshLife).UnixMicro(), ss.expires))
	return raw, err
}

// tokenAnswer is RFC 6749 section 5.1 with what SMART adds.
func (s *Server) tokenAnswer(ctx context.Context, tenant int32, c *Client, ss *session, scopes []scope, user User, refresh string, g *granted) (map[string]any, error) {
	access, err := s.accessToken(ctx, tenant, c, ss, scopes, user)
	if err != nil {
		return nil, err
	}
	out := map[string]any{"access_token": access, "token_type": "Bearer", "expires_in": int(accessLife / time.Second), "scope": scopeText(scopes)}
	if refresh != "" {
		out["refresh_token"] = refresh
	}
	s.addLaunch(out, ss.launch)
	if hasScope(scopes, "openid") {
		nonce := ""
		var methods []string
		if g != nil {
			nonce, methods = g.Nonce, g.Methods
		}
		if out["id_token"], err = s.idToken(ctx, tenant, c, ss, scopes, user, access, nonce, methods); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s *Server) addLaunch(out map[string]any, l Launch) {
	if l.Patient == "" && l.Encounter == "" && len(l.Context) == 0 && l.Intent == "" {
		return
	}
	if l.Patient != "" {
		out["patient"] = l.Patient
	}
	if l.Encounter != "" {
		out["encounter"] = l.Encounter
	}
	if len(l.Context) > 0 {
		out["fhirContext"] = l.Context
	}
	if l.Intent != "" {
		out["intent"] = l.Intent
	}
	out["need_patient_banner"] = l.Banner == nil || *l.Banner
	if s.o.Style != "" {
		out["smart_style_url"] = s.o.Style
	}
}

// accessToken is a JWT of RFC 9068.
func (s *Server) accessToken(ctx context.Context, tenant int32, c *Client, ss *session, scopes []scope, user User) (string, error) {
	now := s.now()
	extra := map[string]any{"client_id": c.ID, "scope": scopeText(scopes), "sid": strconv.FormatInt(ss.num, 10), "tenant": tenant,
		"auth_time": ss.authAt / 1e6}
	if ss.launch.Patient != "" {
		extra["patient"] = ss.launch.Patient
	}
	if ss.launch.Encounter != "" {
		extra["encounter"] = ss.launch.Encounter
	}
	if user.FHIRUser != "" {
		extra["fhirUser"] = s.Audience(tenant) + "/" + user.FHIRUser
	}
	return s.o.Signer.Sign(ctx, tenant, "ES256", "at+jwt", token.Claims{
		Issuer: s.Issuer(tenant), Subject: strconv.FormatInt(ss.subject, 10), Audience: []string{s.Audience(tenant)}, ID: secret("")[:22],
		Issued: now, Expires: now.Add(accessLife), Extra: extra})
}

// idToken is OpenID Connect Core section 2 with SMART's fhirUser.
func (s *Server) idToken(ctx context.Context, tenant int32, c *Client, ss *session, scopes []scope, user User, access, nonce string, methods []string) (string, error) {
	now := s.now()
	sum := sha256.Sum256([]byte(access))
	extra := map[string]any{"auth_time": ss.authAt / 1e6, "at_hash": base64.RawURLEncoding.EncodeToString(sum[:16]), "azp": c.ID,
		"sid": strconv.FormatInt(ss.num, 10)}
	if nonce != "" {
		extra["nonce"] = nonce
	}
	if len(methods) > 0 {
		extra["amr"] = methods
	}
	s.addProfile(tenant, extra, scopes, user)
	return s.o.Signer.Sign(ctx, tenant, c.Meta.IDTokenAlg, "JWT", token.Claims{
		Issuer: s.Issuer(tenant), Subject: strconv.FormatInt(ss.subject, 10), Audience: []string{c.ID}, ID: secret("")[:22],
		Issued: now, Expires: now.Add(idLife), Extra: extra})
}

// addProfile adds the claims that the scopes open: OpenID Connect Core section 5.4, SMART's fhirUser.
func (s *Server) addProfile(tenant int32, out map[string]any, scopes []scope, user User) {
	put := func(name, v string) {
		if v != "" {
			out[name] = v
		}
	}
	profile := hasScope(scopes, "profile")
	if user.FHIRUser != "" && (profile || hasScope(scopes, "fhirUser")) {
		out["fhirUser"] = s.Audience(tenant) + "/" + user.FHIRUser
		if profile {
			out["profile"] = out["fhirUser"]
		}
	}
	if profile {
		put("name", user.Name)
		put("given_name", user.Given)
		put("family_name", user.Family)
		put("locale", user.Locale)
	}
	if hasScope(scopes, "email") && user.Email != "" {
		out["email"], out["email_verified"] = user.Email, user.EmailVerified
	}
}

// Alive reports whether an access token of this server is still good: its client stands, and neither it nor its session was revoked.
// client, session and jti are the token's claims client_id, sid (0: none) and jti. The edge asks after it has verified the token.
func (s *Server) Alive(ctx context.Context, tenant int32, client string, session int64, jti string) (bool, error) {
	ok := false
	err := s.ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		var one int64
		var err error
		ok, err = sqldb.QueryRow(ctx, q, []any{&one}, `SELECT 1 FROM oauth_client c WHERE c.tenant = $1 AND c.id = $2 AND c.deleted_at = 0 AND c.disabled_at = 0
			AND NOT EXISTS (SELECT 1 FROM oauth_revoked r WHERE r.tenant = $1 AND r.jti = $3)
			AND (CAST($4 AS bigint) = 0 OR EXISTS (SELECT 1 FROM oauth_session s WHERE s.tenant = $1 AND s.num = $4 AND s.client = $2 AND s.deleted_at = 0))`,
			tenant, client, jti, session)
		return err
	})
	return ok, err
}

// EndSessions ends all sessions of a user, so that no app acts for them any longer: when they are deleted, locked or change their password.
func (s *Server) EndSessions(ctx context.Context, tenant int32, user int64, by, why string) error {
	now := s.micro()
	return s.ending(ctx, tenant, func(tx sqldb.Tx) error {
		if _, err := tx.Exec(ctx, "UPDATE oauth_login SET deleted_at = $3, updated_at = $3, updated_by = $4 WHERE tenant = $1 AND subject = $2 AND deleted_at = 0",
			tenant, user, now, by); err != nil {
			return err
		}
		return endSessionsOf(ctx, tx, tenant, "subject = $4", user, by, now, why)
	})
}

func (s *Server) noteSession(ctx context.Context, tenant int32, action string, ss *session, detail string) {
	kind, severity, outcome := audit.Session, "", audit.Success
	if strings.HasPrefix(action, "reuse") {
		kind, severity, outcome = audit.Security, "high", audit.Serious
	}
	e := s.entry(ctx, tenant, kind, action, detail)
	if e.Who = who(ss.subject); ss.subject == 0 {
		e.Who = "Client/" + ss.client
	}
	e.Client, e.Session, e.Severity, e.Outcome = ss.client, ss.num, severity, outcome
	s.ledger.Note(e)
}

func (s *Server) noteAdmin(ctx context.Context, tenant int32, action, by, client string) {
	e := s.entry(ctx, tenant, audit.Admin, action, "client "+client)
	e.Who, e.Type, e.Client = by, "Client", client
	s.ledger.Note(e)
}

// sortedText is a scope text in an order that does not depend on how it was asked.
func sortedText(scopes []scope) string {
	words := strings.Fields(scopeText(scopes))
	slices.Sort(words)
	return strings.Join(words, " ")
}

func sessionNumber(v any) int64 {
	n, err := strconv.ParseInt(fmt.Sprint(v), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
