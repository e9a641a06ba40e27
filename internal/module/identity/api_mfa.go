package identity

import (
	"context"
	"net/http"
	"strconv"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/web/api"
)

// mfaRoutes are the second factor's routes under the other names that clients of the product API know them by.
func (s *Service) mfaRoutes() []api.Route {
	return []api.Route{
		{Method: "POST", Path: "/api/v1/mfa/setup", Need: api.Known(), Summary: "Begin to have a second factor: its secret, once", In: mfaSetupIn{}, Bare: true, Once: api.Secret, Serve: s.setupMFA},
		{Method: "POST", Path: "/api/v1/mfa/verify-setup", Need: api.Known(), Summary: "Show a code: ends enabling, and tells the recovery codes", In: mfaIn{}, Bare: true, Once: api.Secret, Serve: s.verifyMFA},
		{Method: "POST", Path: "/api/v1/mfa/verify", Need: api.Public(), Summary: "Prove the own second factor again, or with mfaToken end a sign-in", In: mfaCheckIn{}, Bare: true, Serve: s.checkMFA},
		{Method: "POST", Path: "/api/v1/mfa/disable", Need: api.Known(), Summary: "Take the own second factor away", In: mfaOffIn{}, Bare: true, Serve: s.disableMFA},
		{Method: "POST", Path: "/api/v1/mfa/regenerate-backup-codes", Need: api.Known(), Summary: "New recovery codes in the old ones' place", In: mfaIn{}, Bare: true, Once: api.Secret, Serve: s.recoveryCodes},
		{Method: "GET", Path: "/api/v1/mfa/status", Need: api.Known(), Summary: "Whether the caller has a second factor, and how many recovery codes are left", Bare: true, Serve: s.statusMFA},
	}
}

type mfaSetupIn struct {
	Method string `json:"method,omitempty"`
}

// setupMFA tells no recovery codes yet: those are made once the factor is shown to work, so that nobody holds codes of one that never counted.
func (s *Service) setupMFA(w http.ResponseWriter, r *http.Request) error {
	var in mfaSetupIn
	if r.ContentLength != 0 {
		if err := api.Decode(r, &in); err != nil {
			return err
		}
	}
	if in.Method != "" && in.Method != "totp" {
		return fault.At(fault.Invalid, "method", "must be totp").WithCode("value")
	}
	u, err := s.person(r)
	if err != nil {
		return err
	}
	e, err := s.EnableMFA(r.Context(), u)
	if err != nil {
		return err
	}
	return flat(w, http.StatusOK, map[string]any{"method": "totp", "secret": e.Secret, "otpauthUrl": e.URL, "qrCode": e.QRCode, "backupCodes": []string{},
		"message": "show a code of the app to verify-setup: it turns the second factor on, and tells the backup codes"})
}

type mfaCheckIn struct {
	UserID   text   `json:"userId,omitempty"` // the caller's own; nobody proves another's
	Token    text   `json:"token,omitempty"`
	Code     text   `json:"code,omitempty"`
	MFAToken string `json:"mfaToken,omitempty"`
}

func (s *Service) checkMFA(w http.ResponseWriter, r *http.Request) error {
	var in mfaCheckIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	code := string(or(in.Code, in.Token))
	if code == "" {
		return missing(map[string]string{"token": ""})
	}
	if in.MFAToken != "" {
		return s.finishSignIn(w, r, in.MFAToken, code)
	}
	if caller(r).User == 0 {
		return fault.New(fault.Unauthenticated, "sign in, or send the mfaToken of a sign-in")
	}
	u, err := s.person(r)
	switch {
	case err != nil:
		return err
	case in.UserID != "" && string(in.UserID) != strconv.FormatInt(u.ID, 10):
		return fault.New(fault.Forbidden, "nobody proves another's second factor")
	case !u.MFAEnabled:
		return fault.New(fault.Conflict, "there is no second factor")
	}
	err = s.CheckCode(r.Context(), u.Tenant, u.ID, code, caller(r).Address)
	if fault.Is(err, fault.Unauthenticated) {
		// The session is good, and clients give it up at 401.
		return fault.At(fault.Invalid, "token", "the code is wrong or too old").WithCode("INVALID_CODE")
	}
	if err != nil {
		return err
	}
	return flat(w, http.StatusOK, map[string]any{"message": "the code is right", "mfaVerified": true})
}

// finishSignIn ends a sign-in by its second factor and answers as sign-in does.
func (s *Service) finishSignIn(w http.ResponseWriter, r *http.Request, mfaToken, code string) error {
	got, err := s.SecondFactor(r.Context(), tenant(r), mfaToken, code, caller(r).Address, r.UserAgent())
	if err != nil {
		return err
	}
	s.SetCookies(w, r, got)
	out := signedInJSON(got)
	out["mfaVerified"] = true
	return api.Bare(w, http.StatusOK, out)
}

func (s *Service) statusMFA(w http.ResponseWriter, r *http.Request) error {
	u, err := s.person(r)
	if err != nil {
		return err
	}
	left, err := s.recoveryLeft(r.Context(), u)
	if err != nil {
		return err
	}
	var method any
	if u.MFAEnabled {
		method = "totp"
	}
	return flat(w, http.StatusOK, map[string]any{"mfaEnabled": u.MFAEnabled, "method": method, "backupCodesRemaining": left, "mfaSetupRequired": s.mustHaveMFA(u)})
}

// recoveryLeft counts the recovery codes that were not used.
func (s *Service) recoveryLeft(ctx context.Context, u *User) (n int64, err error) {
	err = s.ledger.Read(ctx, u.Tenant, func(q sqldb.Querier) error {
		n = 0
		_, err := sqldb.QueryRow(ctx, q, []any{&n}, "SELECT count(*) FROM identity_recovery WHERE tenant = $1 AND user_id = $2 AND used_at = 0", u.Tenant, u.ID)
		return err
	})
	return n, err
}
