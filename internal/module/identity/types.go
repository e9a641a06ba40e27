package identity

import (
	"time"

	"github.com/nilecare/nilecare/internal/access"
)

// SignIn is a try to sign in with a password.
type SignIn struct {
	Tenant          int32
	Email, Password string
	Code            string // of the second factor; "" where the user has not been asked for one
	Remember        bool
	Address, Agent  string
	Browser         string // what [Service.SetCookies] gave the browser before; "" where there is none
}

// SignedIn is what became of a try that was not refused.
type SignedIn struct {
	User         User
	Session      int64
	AccessToken  string
	RefreshToken string
	Cookie       string    // the session's
	Expires      time.Time // of the session, at last; what a browser keeps its cookies until where Remember was said
	Remember     bool
	NeedsMFA     bool   // a second factor is needed; of User nothing but ID and Tenant is told, and there is no session yet
	MustSetUp    bool   // the user's role asks for a second factor, and there is none yet
	MFAToken     string // proves the first factor to SecondFactor, for five minutes
}

// Filter selects users. What is empty is not asked.
type Filter struct {
	Role, Status string
	Search       string // a part of a name or the e-mail
	Page, Limit  int    // from 1; 20
	Roles        []string
	Specialty    string
	Department   string
}

// NewUser is a user to be.
type NewUser struct {
	Email, Username, Password, FirstName, LastName, Phone, Locale, NationalID string
	Role                                                                      string
	Roles                                                                     []string
	Permissions                                                               []string // beside those of the roles
	Status                                                                    string   // "": active, or invited where there is no password
	OrganizationID, FacilityID, Specialty, Department                         string
	FHIRUser, Patient                                                         string
	Patients                                                                  []string
	EmailVerified                                                             bool
}

// Change says what of a user changes; nil stays as it is.
type Change struct {
	Email, Username, FirstName, LastName, Phone, Locale, NationalID *string
	Role                                                            *string
	Roles, Permissions, Patients                                    *[]string
	Status                                                          *string
	OrganizationID, FacilityID, Specialty, Department               *string
	FHIRUser, Patient                                               *string
	EmailVerified, MFAEnabled                                       *bool
}

// External is somebody whom another provider vouches for.
type External struct {
	Provider, Subject, Email      string
	EmailVerified                 bool
	Username, FirstName, LastName string
	Roles                         []string // what the provider's groups map to
}

// CallerOf is what a caller is made of.
type CallerOf struct {
	Tenant         int32
	User, Session  int64
	Client, Scopes string // of an app that acts for the user; "" for the product's own front ends
	Launch         access.Launch
	Purpose        string
	MFA            bool
}

// Credentials are what a request brings. Tenant 0 is the one that the credential is of; any other must be it.
type Credentials struct {
	Tenant                                  int32
	Bearer, Cookie, APIKey, CertFingerprint string
	Address, Agent, Purpose                 string
	Quiet                                   bool // it is no act of the user: the session's idle time goes on
}

// NewKey is an API key to be.
type NewKey struct {
	Name      string
	Scopes    []string
	Expires   time.Time // zero: a year from now
	Service   string    // the service account that it belongs to, by its name; "": none
	Addresses []string  // networks that it may come from; none: all
}
