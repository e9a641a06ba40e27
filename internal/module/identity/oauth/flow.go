package oauth

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/nilecare/nilecare/internal/audit"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// next answers GET /oauth2/continue: whatever is still to be decided of a request, in order: who it is, which patient, whether they agree.
func (s *Server) next(w http.ResponseWriter, r *http.Request) error {
	req, err := s.loadRequest(r, r.URL.Query().Get("request"))
	if err != nil {
		return err
	}
	return s.proceed(w, r, req)
}

func (s *Server) proceed(w http.ResponseWriter, r *http.Request, req *request) error {
	tenant := tenantOf(r.Context())
	l, err := s.login(r, tenant)
	if err != nil {
		return err
	}
	if l == nil || req.tooOld(l, s.now()) {
		if req.asks("none") {
			return s.refuse(w, r, req, bad("login_required", "nobody is signed in"))
		}
		return s.showSignIn(w, r, req, http.StatusOK, "")
	}
	user, err := s.o.Users.User(r.Context(), tenant, l.subject)
	if err != nil {
		if k := fault.KindOf(err); k == fault.Internal || k == fault.Unavailable {
			return err
		}
		return s.refuse(w, r, req, bad("access_denied", "this person cannot sign in any longer"))
	}
	if req.For != 0 && req.For != l.subject {
		return s.refuse(w, r, req, bad("access_denied", "the launch is somebody else's"))
	}
	if done, err := s.choosePatient(w, r, req, l); err != nil || done {
		return err
	}
	scopes, known, err := s.remembered(r.Context(), tenant, req, l.subject)
	if err != nil {
		return err
	}
	if !known {
		if req.asks("none") {
			return s.refuse(w, r, req, bad("consent_required", "the person must agree first"))
		}
		return s.showConsent(w, r, req, l, user)
	}
	return s.grant(w, r, req, l, scopes, false)
}

// needsPatient reports scopes that mean nothing without a patient in context.
func needsPatient(scopes []scope) bool {
	return hasScope(scopes, "launch/patient") || hasLevel(scopes, "patient")
}

// choosePatient sees to it that a request that needs a patient has one that the person may read. done: a page or an answer was written.
func (s *Server) choosePatient(w http.ResponseWriter, r *http.Request, req *request, l *login) (done bool, err error) {
	tenant := tenantOf(r.Context())
	need := needsPatient(wordsOf(req.Scope))
	if !need && req.Launch.Patient == "" {
		return false, nil
	}
	ctx, err := s.o.Users.As(r.Context(), tenant, l.subject, l.mfa())
	if err != nil {
		return false, err
	}
	if req.Launch.Patient != "" {
		if _, err := s.o.Patients.Patient(ctx, req.Launch.Patient); err != nil {
			if fault.KindOf(err) == fault.Internal {
				return false, err
			}
			return true, s.refuse(w, r, req, bad("access_denied", "the patient of the launch is not for this person"))
		}
		return false, nil
	}
	found, err := s.o.Patients.Search(ctx, PatientQuery{Limit: 2})
	if err != nil {
		return false, err
	}
	switch {
	case len(found) == 0:
		return true, s.refuse(w, r, req, bad("access_denied", "this person may see no patient"))
	case len(found) == 1:
		req.Launch.Patient = found[0].ID
		if req.handle == "" {
			return false, nil
		}
		return false, s.saveRequest(r.Context(), req)
	case req.asks("none"):
		return true, s.refuse(w, r, req, bad("interaction_required", "a patient must be chosen"))
	}
	d := s.data(r, req)
	return true, s.show(w, r, http.StatusOK, "patient", d)
}

// pickedPatient answers POST /oauth2/patient: a search, or the choice. What is searched for stands in the body, so that no URL and no log has it.
func (s *Server) pickedPatient(w http.ResponseWriter, r *http.Request) error {
	req, f, err := s.posted(w, r)
	if err != nil || req == nil {
		return err
	}
	tenant := tenantOf(r.Context())
	l, err := s.login(r, tenant)
	if err != nil {
		return err
	}
	if l == nil || req.tooOld(l, s.now()) || !needsPatient(wordsOf(req.Scope)) || req.Launched && req.Launch.Patient != "" {
		s.goOn(w, r, req)
		return nil
	}
	if f.Get("deny") != "" {
		return s.refuse(w, r, req, bad("access_denied", "the person did not agree"))
	}
	ctx, err := s.o.Users.As(r.Context(), tenant, l.subject, l.mfa())
	if err != nil {
		return err
	}
	d := s.data(r, req)
	if id := f.Get("patient"); id != "" {
		p, err := s.o.Patients.Patient(ctx, id)
		if err == nil {
			req.Launch.Patient = p.ID
			return s.saveAndGo(w, r, req)
		}
		if fault.KindOf(err) == fault.Internal {
			return err
		}
		d.Problem = "no_patient"
		return s.show(w, r, http.StatusUnprocessableEntity, "patient", d)
	}
	d.Query = PatientQuery{Name: short(f.Get("name")), BirthDate: short(f.Get("birthdate")), Identifier: short(f.Get("identifier")), Limit: 20}
	if d.Query.Name == "" && d.Query.BirthDate == "" && d.Query.Identifier == "" {
		d.Problem = "no_query"
		return s.show(w, r, http.StatusOK, "patient", d)
	}
	d.Searched = true
	if d.Patients, err = s.o.Patients.Search(ctx, d.Query); err != nil {
		if fault.KindOf(err) == fault.Internal {
			return err
		}
		d.Problem = "bad_query"
	}
	return s.show(w, r, http.StatusOK, "patient", d)
}

func short(v string) string {
	v = strings.TrimSpace(v)
	return v[:min(len(v), 100)]
}

// remembered returns what a person agreed to before, where that answers the request.
func (s *Server) remembered(ctx context.Context, tenant int32, req *request, user int64) ([]scope, bool, error) {
	asked := wordsOf(req.Scope)
	if req.client.Meta.Trusted {
		return asked, true, nil
	}
	// An app that anybody can pretend to be, for its answer goes to a loopback address or a scheme of its own, is never waved through
	// (RFC 8252 section 8.6); nor is a device.
	if req.asks("consent") || req.Device != nil || req.client.public() && !claimed(req.Redirect) {
		return nil, false, nil
	}
	var before, given string
	err := s.ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		_, err := sqldb.QueryRow(ctx, q, []any{&before, &given},
			"SELECT asked, granted FROM oauth_consent WHERE tenant = $1 AND subject = $2 AND client = $3 AND deleted_at = 0", tenant, user, req.Client)
		return err
	})
	if err != nil || before == "" {
		return nil, false, err
	}
	granted := wordsOf(given)
	if sortedText(asked) != before && len(only(asked, granted)) != len(asked) {
		return nil, false, nil // something that was never put to them
	}
	return only(asked, granted), true, nil
}

// consented answers POST /oauth2/consent.
func (s *Server) consented(w http.ResponseWriter, r *http.Request) error {
	req, f, err := s.posted(w, r)
	if err != nil || req == nil {
		return err
	}
	tenant := tenantOf(r.Context())
	l, err := s.login(r, tenant)
	if err != nil {
		return err
	}
	asked := wordsOf(req.Scope)
	if l == nil || req.tooOld(l, s.now()) || req.For != 0 && req.For != l.subject || needsPatient(asked) && req.Launch.Patient == "" {
		s.goOn(w, r, req)
		return nil
	}
	if f.Get("allow") == "" {
		return s.refuse(w, r, req, bad("access_denied", "the person did not agree"))
	}
	if f.Get("user") != who(l.subject) || f.Get("patient") != req.Launch.Patient {
		s.goOn(w, r, req) // another one than the page showed: it is shown again
		return nil
	}
	// The login may be another person's than at the time when the patient was chosen.
	if done, err := s.choosePatient(w, r, req, l); err != nil || done {
		return err
	}
	scopes := slices.DeleteFunc(asked, func(sc scope) bool { return !fixedScope(sc) && !slices.Contains(f["scope"], sc.text) })
	if !slices.ContainsFunc(scopes, func(sc scope) bool { return sc.level != "" || sc.text == "openid" }) {
		return s.refuse(w, r, req, bad("access_denied", "the person did not agree"))
	}
	return s.grant(w, r, req, l, scopes, true)
}

// fixedScope reports a scope that opens nothing by itself and is not put to the person.
func fixedScope(sc scope) bool { return sc.text == "openid" || strings.HasPrefix(sc.text, "launch") }

// grant gives the code, or tells the device's row, and ends the request.
func (s *Server) grant(w http.ResponseWriter, r *http.Request, req *request, l *login, scopes []scope, remember bool) error {
	ctx, tenant := r.Context(), tenantOf(r.Context())
	g := &granted{Client: req.Client, Subject: l.subject, Scope: scopeText(scopes), Launch: req.Launch, Redirect: req.Redirect, Challenge: req.PKCE,
		Nonce: req.Nonce, AuthAt: l.authAt, Methods: strings.Fields(l.methods), Login: l.hash}
	body, err := json.Marshal(g)
	if err != nil {
		return err
	}
	code, num, now := secret("nac_"), s.ledger.Next(), s.now()
	err = s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		if req.handle != "" {
			if err := endRequest(ctx, tx, tenant, req, now.UnixMicro()); err != nil {
				return err
			}
		}
		if remember {
			if err := keepConsent(ctx, tx, tenant, req, l.subject, g.Scope, now.UnixMicro()); err != nil {
				return err
			}
		}
		if req.Device != nil {
			return approveDevice(ctx, tx, tenant, req.Device, string(body), num, l.subject, now.UnixMicro())
		}
		_, err := tx.Exec(ctx, `INSERT INTO oauth_code (tenant, hash, client, session, body, expires_at, created_by, created_at, used_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0)`,
			tenant, hash(code), req.Client, num, string(body), now.Add(codeLife).UnixMicro(), who(l.subject), now.UnixMicro())
		return err
	})
	if err != nil {
		return err
	}
	e := s.entry(ctx, tenant, audit.Session, "authorize", g.Scope)
	e.Who, e.Client, e.Session = who(l.subject), req.Client, num
	s.ledger.Note(e)
	if req.Device != nil {
		d := s.data(r, req)
		d.Problem = "device_done"
		return s.show(w, r, http.StatusOK, "message", d)
	}
	s.tell(w, r, req.Redirect, req.State, url.Values{"code": {code}})
	return nil
}

func keepConsent(ctx context.Context, tx sqldb.Tx, tenant int32, req *request, user int64, given string, now int64) error {
	_, err := tx.Exec(ctx, `INSERT INTO oauth_consent (tenant, subject, client, asked, granted, created_by, created_at, updated_by, updated_at, deleted_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $6, $7, 0) ON CONFLICT (tenant, subject, client)
		DO UPDATE SET asked = excluded.asked, granted = excluded.granted, updated_by = excluded.updated_by, updated_at = excluded.updated_at, deleted_at = 0`,
		tenant, user, req.Client, sortedText(wordsOf(req.Scope)), given, who(user), now)
	return err
}
