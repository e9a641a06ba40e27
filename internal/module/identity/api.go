package identity

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/web"
	"github.com/nilecare/nilecare/internal/web/api"
)

type handler = func(w http.ResponseWriter, r *http.Request) error

// Routes are the product API's routes of the package.
func (s *Service) Routes() []api.Route {
	var out []api.Route
	for _, list := range [][]api.Route{s.authRoutes(), s.userRoutes(), s.roleRoutes(), s.sessionRoutes(), s.keyRoutes(), s.statsRoutes(), s.mfaRoutes()} {
		out = append(out, list...)
	}
	for _, more := range s.hooks.routes {
		out = append(out, more()...)
	}
	return out
}

// text is a member that clients send as a string or as a number.
type text string

// UnmarshalJSON takes a string, a number or null.
func (t *text) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	switch v := v.(type) {
	case string:
		*t = text(v)
	case float64:
		*t = text(b)
	default:
		return &json.UnmarshalTypeError{Value: "value", Type: stringType}
	}
	return nil
}

func (t *text) string() *string {
	if t == nil {
		return nil
	}
	v := string(*t)
	return &v
}

// pathID reads a number from the path; NotFound for what is none, since no record has such an id.
func pathID(r *http.Request, name string) (int64, error) {
	n, err := strconv.ParseInt(r.PathValue(name), 10, 64)
	if err != nil || n <= 0 {
		return 0, fault.New(fault.NotFound, "there is no such record")
	}
	return n, nil
}

func caller(r *http.Request) access.Caller { return access.From(r.Context()) }

func tenant(r *http.Request) int32 { return or(caller(r).Tenant, 1) }

// when is a time as the API tells it; nil for none.
func when(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

func list(l []string) []string {
	if l == nil {
		return []string{}
	}
	return l
}

// userJSON is a user as the product API tells of one: for both front ends, which name things differently.
func userJSON(u *User) map[string]any {
	id := strconv.FormatInt(u.ID, 10)
	name := u.FirstName
	if u.LastName != "" {
		name += " " + u.LastName
	}
	out := map[string]any{"id": id, "userId": id, "email": u.Email, "username": u.Username, "role": u.Role, "roles": list(u.Roles),
		"permissions": list(u.Permissions), "firstName": u.FirstName, "lastName": u.LastName, "first_name": u.FirstName, "last_name": u.LastName, "name": name,
		"status": u.Status, "phone": u.Phone, "national_id": u.NationalID, "nationalId": u.NationalID, "specialty": u.Specialty, "department": u.Department,
		"mfaEnabled": u.MFAEnabled, "emailVerified": u.EmailVerified, "lastLoginAt": when(u.LastLogin), "createdAt": when(u.CreatedAt), "updatedAt": when(u.UpdatedAt),
		"created_at": when(u.CreatedAt)}
	for k, v := range map[string]string{"organizationId": u.OrganizationID, "facilityId": u.FacilityID, "locale": u.Locale, "fhirUser": u.FHIRUser, "patient": u.Patient} {
		if v != "" {
			out[k] = v
		}
	}
	if len(u.Patients) > 0 {
		out["patients"] = u.Patients
	}
	return out
}

func usersJSON(users []User) []map[string]any {
	out := make([]map[string]any, len(users))
	for i := range users {
		out[i] = userJSON(&users[i])
	}
	return out
}

// signedInJSON is what sign-in answers, bare: one front end reads the top, the other data.
func signedInJSON(in *SignedIn) map[string]any {
	if in.NeedsMFA {
		more := map[string]any{"mfaRequired": true, "mfaToken": in.MFAToken, "userId": strconv.FormatInt(in.User.ID, 10)}
		return map[string]any{"success": true, "mfaRequired": true, "requiresMfa": true, "mfaToken": in.MFAToken, "message": "a code of the second factor is needed", "data": more}
	}
	user := userJSON(&in.User)
	return map[string]any{"success": true, "token": in.AccessToken, "accessToken": in.AccessToken, "refreshToken": in.RefreshToken, "user": user,
		"expiresIn": int(accessLife / time.Second), "mfaSetupRequired": in.MustSetUp,
		"data": map[string]any{"user": user, "token": in.AccessToken, "accessToken": in.AccessToken, "refreshToken": in.RefreshToken,
			"mfaSetupRequired": in.MustSetUp}}
}

// SetCookies gives the browser the session, the refresh token and a CSRF token: until the session's end where it is to be remembered, else
// until the browser's; and the mark that the user has signed in by it, which stays.
func (s *Service) SetCookies(w http.ResponseWriter, r *http.Request, in *SignedIn) {
	if in.NeedsMFA {
		return
	}
	var expires time.Time
	if in.Remember {
		expires = in.Expires
	}
	if in.RefreshToken != "" {
		web.SetRefresh(w, r, in.RefreshToken, expires)
	}
	if in.Cookie == "" {
		return
	}
	web.SetSession(w, r, in.Cookie, expires)
	s.knowBrowser(w, r, in.User.Tenant, in.User.ID)
	if s.o.CSRF != nil {
		s.o.CSRF.Give(w, r, in.Cookie, expires)
	}
}

// ClearCookies takes them back.
func (s *Service) ClearCookies(w http.ResponseWriter, r *http.Request) { web.ClearSession(w, r) }

func done(w http.ResponseWriter, message string) error {
	return api.Bare(w, http.StatusOK, map[string]any{"success": true, "message": message})
}

// named answers with the envelope, whose data names the thing, and the thing at the top too.
func named(w http.ResponseWriter, status int, name string, v any) error {
	return api.Bare(w, status, map[string]any{"success": true, name: v, "data": map[string]any{name: v}, "metadata": metadata(w)})
}

// metadata is the envelope's.
func metadata(w http.ResponseWriter) json.RawMessage {
	return json.RawMessage(bytes.TrimPrefix(web.AppendMetadata(nil, w.Header()), []byte(`"metadata":`)))
}

func (s *Service) authRoutes() []api.Route {
	return []api.Route{
		{Method: "POST", Path: "/api/v1/auth/login", Need: api.Public(), Summary: "Sign in with e-mail address and password", In: loginIn{}, Bare: true, Out: signedInOut{}, Serve: s.login},
		{Method: "POST", Path: "/api/v1/auth/logout", Need: api.Public(), Summary: "End the session and take the cookies back", Bare: true, Out: doneOut{}, Serve: s.logout},
		{Method: "POST", Path: "/api/v1/auth/refresh", Need: api.Public(), Summary: "Exchange the refresh token for new tokens", In: refreshIn{}, Bare: true, Out: signedInOut{}, Serve: s.refresh},
		{Method: "POST", Path: "/api/v1/auth/refresh-token", Need: api.Public(), Summary: "Exchange the refresh token for new tokens", In: refreshIn{}, Bare: true, Out: signedInOut{}, Serve: s.refresh},
		{Method: "POST", Path: "/api/v1/auth/validate", Need: api.Permission("tokens:introspect"), Summary: "For services: whose an access token is", In: validateIn{}, Bare: true, Once: api.Unkeyed, Out: validOut{}, Serve: s.validate},
		{Method: "GET", Path: "/api/v1/auth/me", Need: api.Known(), Summary: "Who is signed in", Out: userOne{}, Serve: s.me},
		{Method: "GET", Path: "/api/v1/auth/permits", Need: api.Known(), Summary: "Who calls, and which of some permissions the caller holds", Out: permitsOut{}, Serve: s.permits,
			Params: []api.Param{{Name: "permission", Many: true, Required: true, Help: "names of permissions, such as patients:read"}}},
		{Method: "GET", Path: "/api/v1/auth/csrf-token", Need: api.Public(), Summary: "A CSRF token for the session of the cookie", Bare: true, Serve: s.csrfToken},
		{Method: "POST", Path: "/api/v1/auth/password/change", Need: api.Known(), Summary: "Change the own password", In: passwordIn{}, Bare: true, Out: doneOut{}, Serve: s.changePassword},
		{Method: "POST", Path: "/api/v1/auth/register", Need: api.Public(), Summary: "Make an account for oneself, where the clinic lets people do so", In: registerIn{}, Bare: true, Out: signedInOut{}, Serve: s.register},
		{Method: "GET", Path: "/api/v1/auth/setup", Need: api.Public(), Summary: "Whether nobody administrates the tenant yet", Bare: true, Serve: s.setupState},
		{Method: "POST", Path: "/api/v1/auth/setup", Need: api.Public(), Summary: "Make the first administrator by the one-time set-up link", In: setupIn{}, Bare: true, Out: signedInOut{}, Serve: s.setup},
	}
}

type loginIn struct {
	Email      string `json:"email"`
	Password   string `json:"password"`
	Code       text   `json:"code,omitempty"`
	MFACode    text   `json:"mfaCode,omitempty"`
	MFAToken   string `json:"mfaToken,omitempty"`
	Remember   bool   `json:"remember,omitempty"`
	RememberMe bool   `json:"rememberMe,omitempty"`
}

func (s *Service) login(w http.ResponseWriter, r *http.Request) error {
	var in loginIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	ctx, c := r.Context(), caller(r)
	code := string(or(in.Code, in.MFACode))
	var got *SignedIn
	var err error
	switch {
	case in.MFAToken != "":
		got, err = s.SecondFactor(ctx, tenant(r), in.MFAToken, code, c.Address, r.UserAgent())
	case in.Email == "" || in.Password == "":
		return missing(map[string]string{"email": in.Email, "password": in.Password})
	default:
		got, err = s.SignIn(ctx, SignIn{Tenant: tenant(r), Email: in.Email, Password: in.Password, Code: code, Remember: in.Remember || in.RememberMe,
			Address: c.Address, Agent: r.UserAgent(), Browser: browserSays(r)})
	}
	if err != nil {
		return err
	}
	s.SetCookies(w, r, got)
	return api.Bare(w, http.StatusOK, signedInJSON(got))
}

// missing names the fields that are empty.
func missing(fields map[string]string) error {
	e := &fault.Error{Kind: fault.Invalid}
	for name, v := range fields {
		if v == "" {
			e.Issues = append(e.Issues, fault.At(fault.Invalid, name, "must be given").WithCode("required").Issues...)
		}
	}
	return e
}

// logout ends the caller's session, or that of the cookies. It answers the same where there is none.
func (s *Service) logout(w http.ResponseWriter, r *http.Request) error {
	c := caller(r)
	ctx := r.Context()
	switch {
	case c.Session != 0 && c.Client == "":
		if err := s.EndSession(ctx, c.Tenant, c.Session, "signed out"); err != nil {
			return err
		}
	case web.Refresh(r) != "" && s.fromHere(r) == nil:
		// The access token has run out, and somebody signs out yet.
		if t, id, key, ok := cutHandle(web.Refresh(r)); ok {
			if err := s.endByRefresh(ctx, t, id, key); err != nil {
				return err
			}
		}
	}
	s.ClearCookies(w, r)
	return done(w, "signed out")
}

type refreshIn struct {
	RefreshToken string `json:"refreshToken,omitempty"`
}

// fromHere refuses a request that another site's page made the browser send with its cookies.
func (s *Service) fromHere(r *http.Request) error {
	if s.o.CSRF == nil {
		return fault.New(fault.Forbidden, "cookies are not taken here")
	}
	return s.o.CSRF.SameOrigin(r)
}

func (s *Service) refresh(w http.ResponseWriter, r *http.Request) error {
	var in refreshIn
	if r.ContentLength != 0 {
		if err := api.Decode(r, &in); err != nil {
			return err
		}
	}
	raw := in.RefreshToken
	if raw == "" {
		if raw = web.Refresh(r); raw != "" {
			if err := s.fromHere(r); err != nil {
				return err
			}
		}
	}
	got, err := s.Refresh(r.Context(), raw, caller(r).Address)
	if err != nil {
		if fault.Is(err, fault.Unauthenticated) && in.RefreshToken == "" && raw != "" {
			s.ClearCookies(w, r)
		}
		return err
	}
	s.SetCookies(w, r, got)
	return api.Bare(w, http.StatusOK, signedInJSON(got))
}

type validateIn struct {
	Token string `json:"token"`
}

// validate tells a service whose an access token is. A token that is not valid is an answer, not an error.
func (s *Service) validate(w http.ResponseWriter, r *http.Request) error {
	var in validateIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	if in.Token == "" {
		return missing(map[string]string{"token": in.Token})
	}
	not := map[string]any{"success": true, "valid": false, "user": nil}
	c, err := s.Authenticate(r.Context(), Credentials{Tenant: tenant(r), Bearer: in.Token, Address: caller(r).Address})
	if fault.Is(err, fault.Unauthenticated) || fault.Is(err, fault.Forbidden) || err == nil && c.User == 0 {
		return api.Bare(w, http.StatusOK, not)
	}
	if err != nil {
		return err
	}
	u, err := s.User(r.Context(), c.Tenant, c.User)
	if fault.Is(err, fault.NotFound) {
		return api.Bare(w, http.StatusOK, not)
	}
	if err != nil {
		return err
	}
	return api.Bare(w, http.StatusOK, map[string]any{"success": true, "valid": true, "user": userJSON(u)})
}

// self is the user who calls; Forbidden for a program.
func (s *Service) self(ctx context.Context) (*User, error) {
	c := access.From(ctx)
	if c.User == 0 {
		return nil, fault.New(fault.Forbidden, "this is for users, not for programs")
	}
	return s.User(ctx, c.Tenant, c.User)
}

// oneUser answers with a user: of the front ends one reads user, one data.user, and one data itself.
func oneUser(w http.ResponseWriter, u *User) error {
	v := userJSON(u)
	data := maps.Clone(v)
	data["user"] = v
	return api.Bare(w, http.StatusOK, map[string]any{"success": true, "user": v, "data": data, "metadata": metadata(w)})
}

func (s *Service) me(w http.ResponseWriter, r *http.Request) error {
	u, err := s.self(r.Context())
	if err != nil {
		return err
	}
	return oneUser(w, u)
}

type permitsOut struct {
	Who     string          `json:"who" doc:"as the audit names the caller"`
	Tenant  int32           `json:"tenant"`
	User    int64           `json:"user,string" doc:"0: no user"`
	Client  string          `json:"client,omitempty" doc:"the app or key that speaks"`
	Roles   []string        `json:"roles"`
	Self    []string        `json:"self" doc:"the records that are the caller, such as Practitioner/1"`
	Permits map[string]bool `json:"permits" doc:"of each permission that was asked for, whether the caller holds it"`
}

// maxPermits is how many permissions one question may name.
const maxPermits = 200

func (s *Service) permits(w http.ResponseWriter, r *http.Request) error {
	c := access.From(r.Context())
	out := permitsOut{Who: c.Who, Tenant: c.Tenant, User: c.User, Client: c.Client, Roles: list(c.Roles), Self: list(c.Self), Permits: map[string]bool{}}
	for _, v := range r.URL.Query()["permission"] {
		for name := range strings.SplitSeq(v, ",") {
			if len(out.Permits) >= maxPermits {
				return fault.At(fault.Invalid, "permission", "names more than %d", maxPermits)
			}
			if name != "" {
				out.Permits[name] = c.Permits(name)
			}
		}
	}
	return api.Answer(w, r, http.StatusOK, out)
}

func (s *Service) csrfToken(w http.ResponseWriter, r *http.Request) error {
	session := web.Session(r)
	if s.o.CSRF == nil || session == "" {
		return fault.New(fault.Unauthenticated, "there is no session by cookie")
	}
	if _, err := s.Authenticate(r.Context(), Credentials{Cookie: session}); err != nil {
		return err
	}
	return api.Bare(w, http.StatusOK, map[string]any{"success": true, "csrfToken": s.o.CSRF.Give(w, r, session, time.Time{})})
}

type passwordIn struct {
	CurrentPassword string `json:"currentPassword"`
	NewPassword     string `json:"newPassword"`
}

func (s *Service) changePassword(w http.ResponseWriter, r *http.Request) error {
	var in passwordIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	if in.CurrentPassword == "" || in.NewPassword == "" {
		return missing(map[string]string{"currentPassword": in.CurrentPassword, "newPassword": in.NewPassword})
	}
	u, err := s.self(r.Context())
	if err != nil {
		return err
	}
	c := caller(r)
	if c.Client != "" {
		return fault.New(fault.Forbidden, "an app does not change passwords")
	}
	if err := s.CheckPassword(r.Context(), u.Tenant, u.ID, in.CurrentPassword); err != nil {
		return err
	}
	if err := s.SetPassword(r.Context(), u.Tenant, u.ID, in.NewPassword, c.Session); err != nil {
		return err
	}
	return done(w, "the password is changed; all other sessions have ended")
}

type setupIn struct {
	Token     string `json:"token"`
	Email     string `json:"email"`
	Password  string `json:"password"`
	FirstName string `json:"firstName,omitempty"`
	LastName  string `json:"lastName,omitempty"`
}

// setupState tells a page whether to ask for the set-up token. The token itself is never part of an address, which logs keep.
func (s *Service) setupState(w http.ResponseWriter, r *http.Request) error {
	has, err := s.HasAdmin(r.Context(), tenant(r))
	if err != nil {
		return err
	}
	return flat(w, http.StatusOK, map[string]any{"setupRequired": !has})
}

func (s *Service) setup(w http.ResponseWriter, r *http.Request) error {
	var in setupIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	u, err := s.Setup(r.Context(), tenant(r), in.Token, NewUser{Email: in.Email, Password: in.Password, FirstName: in.FirstName, LastName: in.LastName})
	if err != nil {
		return err
	}
	got, err := s.Begin(r.Context(), u.Tenant, u.ID, BySetup, false, caller(r).Address, r.UserAgent())
	if err != nil {
		return err
	}
	s.SetCookies(w, r, got)
	return api.Bare(w, http.StatusCreated, signedInJSON(got))
}

type registerIn struct {
	Email     string `json:"email"`
	Username  string `json:"username,omitempty"`
	Password  string `json:"password"`
	FirstName string `json:"firstName,omitempty"`
	LastName  string `json:"lastName,omitempty"`
}

// register makes an account with the role patient, whose address nobody has verified and which is linked to no record: it sees nobody's.
func (s *Service) register(w http.ResponseWriter, r *http.Request) error {
	if !s.set.Register {
		return fault.New(fault.Forbidden, "accounts are made by the clinic: ask there")
	}
	var in registerIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	if in.Email == "" || in.Password == "" {
		return missing(map[string]string{"email": in.Email, "password": in.Password})
	}
	u, err := s.Create(access.With(r.Context(), systemFor(r.Context(), tenant(r))), tenant(r), NewUser{Email: in.Email, Username: in.Username, Password: in.Password,
		FirstName: in.FirstName, LastName: in.LastName, Role: "patient", Status: Active})
	if err != nil {
		return err
	}
	if err := s.send(r.Context(), u, forVerify, verifyLife); err != nil {
		// The account is there: the letter can be asked for again.
		s.log.ErrorContext(r.Context(), "the letter to verify an address was not queued", "kind", fault.KindOf(err).String())
	}
	got, err := s.Begin(r.Context(), u.Tenant, u.ID, ByPassword, false, caller(r).Address, r.UserAgent())
	if err != nil {
		return err
	}
	s.SetCookies(w, r, got)
	return api.Bare(w, http.StatusCreated, signedInJSON(got))
}
