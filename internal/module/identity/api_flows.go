package identity

import (
	"net/http"
	"strconv"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/web/api"
)

func (s *Service) accountRoutes() []api.Route {
	invite, change := api.Permission("users:create"), api.Permission("users:update")
	return []api.Route{
		{Method: "POST", Path: "/api/v1/auth/mfa/enable", Need: api.Known(), Summary: "Begin to have a second factor: its secret, once", Bare: true, Once: api.Secret, Out: enableOut{}, Serve: s.enableMFA},
		{Method: "POST", Path: "/api/v1/auth/mfa/verify", Need: api.Public(), Summary: "Show a code: ends enabling, or with mfaToken a sign-in", In: mfaIn{}, Bare: true, Out: verifyOut{}, Serve: s.verifyMFA},
		{Method: "POST", Path: "/api/v1/auth/mfa/disable", Need: api.Known(), Summary: "Take the own second factor away", In: mfaOffIn{}, Bare: true, Out: doneOut{}, Serve: s.disableMFA},
		{Method: "POST", Path: "/api/v1/auth/mfa/recovery-codes", Need: api.Known(), Summary: "New recovery codes in the old ones' place", In: mfaIn{}, Bare: true, Once: api.Secret, Serve: s.recoveryCodes},
		{Method: "DELETE", Path: "/api/v1/users/{id}/mfa", Need: change, Summary: "Take the second factor of somebody who has lost it", Bare: true, Out: doneOut{}, Serve: s.clearMFA},
		{Method: "POST", Path: "/api/v1/auth/password-reset/request", Need: api.Public(), Summary: "Have a link mailed by which to choose a new password", In: resetIn{}, Bare: true, Out: doneOut{}, Serve: s.requestReset},
		{Method: "POST", Path: "/api/v1/auth/password-reset/verify", Need: api.Public(), Summary: "Whether such a link is still good", In: codeIn{}, Bare: true, Serve: s.verifyReset},
		{Method: "POST", Path: "/api/v1/auth/password-reset/confirm", Need: api.Public(), Summary: "Choose a new password by such a link", In: confirmIn{}, Bare: true, Out: doneOut{}, Serve: s.confirmReset},
		{Method: "POST", Path: "/api/v1/auth/verify-email", Need: api.Public(), Summary: "Verify an e-mail address by a mailed link", In: codeIn{}, Bare: true, Out: doneOut{}, Serve: s.verifyEmail},
		{Method: "POST", Path: "/api/v1/auth/verify-email/resend", Need: api.Known(), Summary: "Have that link mailed again", Bare: true, Out: doneOut{}, Serve: s.resendVerification},
		{Method: "POST", Path: "/api/v1/auth/invitations/accept", Need: api.Public(), Summary: "Accept an invitation: choose a password", In: acceptIn{}, Bare: true, Serve: s.acceptInvitation},
		{Method: "POST", Path: "/api/v1/invitations", Need: invite, Summary: "Invite a user", In: inviteIn{}, Bare: true, Serve: s.createInvitation},
		{Method: "GET", Path: "/api/v1/invitations", Need: invite, Summary: "Who has been invited and has not come yet", Query: []string{"page", "limit"}, Serve: s.listInvitations},
		{Method: "POST", Path: "/api/v1/invitations/{id}/resend", Need: invite, Summary: "Invite again: the link before is no good any longer", Bare: true, Serve: s.resendInvitation},
		{Method: "DELETE", Path: "/api/v1/invitations/{id}", Need: invite, Summary: "Take an invitation back", Bare: true, Serve: s.withdrawInvitation},
		{Method: "GET", Path: "/api/v1/mail-outbox", Need: change, Summary: "Mail that waits to be sent", Bare: true, Serve: s.listMail},
		{Method: "DELETE", Path: "/api/v1/mail-outbox/{id}", Need: change, Summary: "Take mail out of the outbox", Bare: true, Serve: s.dropMail},
	}
}

// person is the user who calls by the product itself, not through an app.
func (s *Service) person(r *http.Request) (*User, error) {
	if caller(r).Client != "" {
		return nil, fault.New(fault.Forbidden, "an app does not do this")
	}
	return s.self(r.Context())
}

// flat answers with the members at the top and in data, since the front ends differ in where they look.
func flat(w http.ResponseWriter, status int, members map[string]any) error {
	out := map[string]any{"success": true, "data": members, "metadata": metadata(w)}
	for k, v := range members {
		out[k] = v
	}
	return api.Bare(w, status, out)
}

func (s *Service) enableMFA(w http.ResponseWriter, r *http.Request) error {
	u, err := s.person(r)
	if err != nil {
		return err
	}
	e, err := s.EnableMFA(r.Context(), u)
	if err != nil {
		return err
	}
	return flat(w, http.StatusOK, map[string]any{"method": "totp", "secret": e.Secret, "otpauthUrl": e.URL, "qrCode": e.QRCode})
}

type mfaIn struct {
	Token    text   `json:"token,omitempty"`
	Code     text   `json:"code,omitempty"`
	MFAToken string `json:"mfaToken,omitempty"`
}

func (in *mfaIn) code() string { return string(or(in.Code, in.Token)) }

func (s *Service) verifyMFA(w http.ResponseWriter, r *http.Request) error {
	var in mfaIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	if in.code() == "" {
		return missing(map[string]string{"code": ""})
	}
	if in.MFAToken != "" {
		return s.finishSignIn(w, r, in.MFAToken, in.code())
	}
	if caller(r).Who == "" || caller(r).User == 0 {
		return fault.New(fault.Unauthenticated, "sign in, or send the mfaToken of a sign-in")
	}
	u, err := s.person(r)
	if err != nil {
		return err
	}
	codes, err := s.VerifyMFA(r.Context(), u, in.code())
	if err != nil {
		return err
	}
	return flat(w, http.StatusOK, map[string]any{"message": "the second factor is on", "recoveryCodes": codes, "backupCodes": codes})
}

type mfaOffIn struct {
	Password string `json:"password"`
	Code     text   `json:"code"`
	Token    text   `json:"token,omitempty"`
}

func (s *Service) disableMFA(w http.ResponseWriter, r *http.Request) error {
	var in mfaOffIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	code := string(or(in.Code, in.Token))
	if in.Password == "" || code == "" {
		return missing(map[string]string{"password": in.Password, "code": code})
	}
	u, err := s.person(r)
	if err != nil {
		return err
	}
	if !u.MFAEnabled {
		return fault.New(fault.Conflict, "there is no second factor")
	}
	if err := s.CheckPassword(r.Context(), u.Tenant, u.ID, in.Password); err != nil {
		return err
	}
	if err := s.CheckCode(r.Context(), u.Tenant, u.ID, code, caller(r).Address); err != nil {
		return err
	}
	if err := s.DisableMFA(r.Context(), u); err != nil {
		return err
	}
	return done(w, "the second factor is off")
}

func (s *Service) recoveryCodes(w http.ResponseWriter, r *http.Request) error {
	var in mfaIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	if in.code() == "" {
		return missing(map[string]string{"code": ""})
	}
	u, err := s.person(r)
	if err != nil {
		return err
	}
	if !u.MFAEnabled {
		return fault.New(fault.Conflict, "there is no second factor")
	}
	if err := s.CheckCode(r.Context(), u.Tenant, u.ID, in.code(), caller(r).Address); err != nil {
		return err
	}
	codes, err := s.RenewRecovery(r.Context(), u)
	if err != nil {
		return err
	}
	return flat(w, http.StatusOK, map[string]any{"recoveryCodes": codes, "backupCodes": codes})
}

func (s *Service) clearMFA(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r, "id")
	if err != nil {
		return err
	}
	if err := s.ClearMFA(r.Context(), tenant(r), id); err != nil {
		return err
	}
	return done(w, "the second factor is off; all sessions have ended")
}

type resetIn struct {
	Email string `json:"email"`
}

func (s *Service) requestReset(w http.ResponseWriter, r *http.Request) error {
	var in resetIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	if in.Email == "" {
		return missing(map[string]string{"email": ""})
	}
	if err := s.RequestReset(r.Context(), tenant(r), in.Email, caller(r).Address); err != nil {
		return err
	}
	return done(w, "if there is an account with this address, a link is on its way to it")
}

type codeIn struct {
	Token string `json:"token"`
}

func decodeCode(r *http.Request) (string, error) {
	var in codeIn
	if err := api.Decode(r, &in); err != nil {
		return "", err
	}
	if in.Token == "" {
		return "", missing(map[string]string{"token": ""})
	}
	return in.Token, nil
}

func (s *Service) verifyReset(w http.ResponseWriter, r *http.Request) error {
	code, err := decodeCode(r)
	if err != nil {
		return err
	}
	ok, err := s.ResetValid(r.Context(), caller(r).Tenant, code)
	if err != nil {
		return err
	}
	return api.Bare(w, http.StatusOK, map[string]any{"success": true, "valid": ok})
}

type confirmIn struct {
	Token       string `json:"token"`
	NewPassword string `json:"newPassword"`
}

func (s *Service) confirmReset(w http.ResponseWriter, r *http.Request) error {
	var in confirmIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	if in.Token == "" || in.NewPassword == "" {
		return missing(map[string]string{"token": in.Token, "newPassword": in.NewPassword})
	}
	u, err := s.resetBy(r.Context(), caller(r).Tenant, in.Token, in.NewPassword)
	if err != nil {
		return err
	}
	// Whoever keeps the account locked must not keep its owner out, who has just shown to have the address.
	s.knowBrowser(w, r, u.Tenant, u.ID)
	return done(w, "the password is changed; all sessions have ended")
}

func (s *Service) verifyEmail(w http.ResponseWriter, r *http.Request) error {
	code, err := decodeCode(r)
	if err != nil {
		return err
	}
	if err := s.VerifyEmail(r.Context(), caller(r).Tenant, code); err != nil {
		return err
	}
	return done(w, "the address is verified")
}

func (s *Service) resendVerification(w http.ResponseWriter, r *http.Request) error {
	u, err := s.person(r)
	if err != nil {
		return err
	}
	if err := s.ResendVerification(r.Context(), u); err != nil {
		return err
	}
	return done(w, "a link is on its way")
}

type inviteIn struct {
	Email          string   `json:"email"`
	Username       string   `json:"username,omitempty"`
	FirstName      string   `json:"firstName,omitempty"`
	LastName       string   `json:"lastName,omitempty"`
	Phone          string   `json:"phone,omitempty"`
	Locale         string   `json:"locale,omitempty"`
	Role           string   `json:"role"`
	Roles          []string `json:"roles,omitempty"`
	OrganizationID string   `json:"organizationId,omitempty"`
	FacilityID     string   `json:"facilityId,omitempty"`
	Specialty      string   `json:"specialty,omitempty"`
	Department     string   `json:"department,omitempty"`
	FHIRUser       string   `json:"fhirUser,omitempty"`
}

func invitationJSON(in *Invitation) map[string]any {
	id := strconv.FormatInt(in.User.ID, 10)
	return map[string]any{"id": id, "userId": id, "email": in.User.Email, "role": in.User.Role, "roles": list(in.User.Roles), "firstName": in.User.FirstName,
		"lastName": in.User.LastName, "status": in.User.Status, "expiresAt": when(in.Expires), "createdAt": when(in.User.CreatedAt)}
}

func (s *Service) createInvitation(w http.ResponseWriter, r *http.Request) error {
	var in inviteIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	if in.Email == "" {
		return missing(map[string]string{"email": ""})
	}
	got, err := s.Invite(r.Context(), tenant(r), NewUser{Email: in.Email, Username: in.Username, FirstName: in.FirstName, LastName: in.LastName, Phone: in.Phone,
		Locale: in.Locale, Role: in.Role, Roles: in.Roles, OrganizationID: in.OrganizationID, FacilityID: in.FacilityID, Specialty: in.Specialty,
		Department: in.Department, FHIRUser: in.FHIRUser})
	if err != nil {
		return err
	}
	return named(w, http.StatusCreated, "invitation", invitationJSON(got))
}

func (s *Service) listInvitations(w http.ResponseWriter, r *http.Request) error {
	page, limit, err := api.PageOf(r)
	if err != nil {
		return err
	}
	all, total, err := s.Invitations(r.Context(), tenant(r), page, limit)
	if err != nil {
		return err
	}
	out := make([]map[string]any, len(all))
	for i := range all {
		out[i] = invitationJSON(&all[i])
	}
	return api.List(w, r, map[string]any{"invitations": out}, api.Page{Page: page, Limit: limit, Total: total})
}

func (s *Service) resendInvitation(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r, "id")
	if err != nil {
		return err
	}
	got, err := s.Reinvite(r.Context(), tenant(r), id)
	if err != nil {
		return err
	}
	return named(w, http.StatusOK, "invitation", invitationJSON(got))
}

func (s *Service) withdrawInvitation(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r, "id")
	if err != nil {
		return err
	}
	if err := s.Withdraw(r.Context(), tenant(r), id); err != nil {
		return err
	}
	return done(w, "the invitation is withdrawn")
}

type acceptIn struct {
	Token     string  `json:"token"`
	Password  string  `json:"password"`
	FirstName *string `json:"firstName,omitempty"`
	LastName  *string `json:"lastName,omitempty"`
}

func (s *Service) acceptInvitation(w http.ResponseWriter, r *http.Request) error {
	var in acceptIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	if in.Token == "" || in.Password == "" {
		return missing(map[string]string{"token": in.Token, "password": in.Password})
	}
	u, err := s.Accept(r.Context(), caller(r).Tenant, in.Token, in.Password, in.FirstName, in.LastName)
	if err != nil {
		return err
	}
	return named(w, http.StatusOK, "user", userJSON(u))
}

func (s *Service) listMail(w http.ResponseWriter, r *http.Request) error {
	all, err := s.Outbox(r.Context(), tenant(r))
	if err != nil {
		return err
	}
	out := make([]map[string]any, len(all))
	for i, m := range all {
		out[i] = map[string]any{"id": strconv.FormatInt(m.ID, 10), "userId": strconv.FormatInt(m.User, 10), "purpose": m.Purpose, "to": m.To, "subject": m.Subject,
			"text": m.Text, "withheld": m.Withheld, "tries": m.Tries, "error": m.Error, "createdAt": when(m.Created), "nextAt": when(m.Next), "expiresAt": when(m.Expires)}
	}
	return named(w, http.StatusOK, "mail", out)
}

func (s *Service) dropMail(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r, "id")
	if err != nil {
		return err
	}
	if err := s.DropMail(r.Context(), tenant(r), id); err != nil {
		return err
	}
	return done(w, "the letter is taken out")
}
