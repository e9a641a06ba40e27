package identity

// What the routes answer, for their description alone: the answers themselves are made by userJSON, roleJSON, signedInJSON and their like, and TestAnswersAreAsDescribed holds them to this.

// userOut is a user as the product API tells of one. What two front ends name differently stands twice.
type userOut struct {
	ID             string   `json:"id"`
	UserID         string   `json:"userId" doc:"the same as id"`
	Email          string   `json:"email"`
	Username       string   `json:"username"`
	Role           string   `json:"role" doc:"the first of the user's roles"`
	Roles          []string `json:"roles"`
	Permissions    []string `json:"permissions"`
	FirstName      string   `json:"firstName"`
	LastName       string   `json:"lastName"`
	FirstSnake     string   `json:"first_name" doc:"the same as firstName"`
	LastSnake      string   `json:"last_name" doc:"the same as lastName"`
	Name           string   `json:"name" doc:"first and last name"`
	Status         string   `json:"status" enum:"active,inactive,suspended,invited"`
	Phone          string   `json:"phone"`
	NationalSnake  string   `json:"national_id" doc:"the same as nationalId"`
	NationalID     string   `json:"nationalId"`
	Specialty      string   `json:"specialty"`
	Department     string   `json:"department"`
	MFAEnabled     bool     `json:"mfaEnabled"`
	EmailVerified  bool     `json:"emailVerified"`
	LastLoginAt    *string  `json:"lastLoginAt" doc:"null: never"`
	CreatedAt      *string  `json:"createdAt"`
	UpdatedAt      *string  `json:"updatedAt"`
	CreatedSnake   *string  `json:"created_at" doc:"the same as createdAt"`
	OrganizationID string   `json:"organizationId,omitempty"`
	FacilityID     string   `json:"facilityId,omitempty"`
	Locale         string   `json:"locale,omitempty"`
	FHIRUser       string   `json:"fhirUser,omitempty" doc:"the record that the user is, such as Practitioner/1"`
	Patient        string   `json:"patient,omitempty" doc:"the patient that the user is"`
	Patients       []string `json:"patients,omitempty" doc:"patients whom the user acts for"`
}

// userOne is the data of one user who is read: the user's members, and the user under a name.
type userOne struct {
	userOut
	User userOut `json:"user"`
}

// userMade is the data of a user who was made or changed.
type userMade struct {
	User userOut `json:"user"`
}

type userList struct {
	Users []userOut `json:"users"`
}

// roleOut is a role.
type roleOut struct {
	ID          string   `json:"id" doc:"the same as name"`
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Permissions []string `json:"permissions"`
	IsSystem    bool     `json:"isSystem" doc:"it comes with the program, and is not changed"`
	IsActive    bool     `json:"isActive"`
	CreatedAt   *string  `json:"createdAt"`
	UpdatedAt   *string  `json:"updatedAt"`
}

type roleOne struct {
	Role roleOut `json:"role"`
}

type roleList struct {
	Roles []roleOut `json:"roles"`
}

// doneOut says that something was done, in a sentence.
type doneOut struct {
	Success bool   `json:"success"`
	Message string `json:"message"`
}

// signedInOut is what a sign-in answers, at the top and once more in data. Where a second factor is needed there are mfaToken and the two marks, and no tokens.
type signedInOut struct {
	Success          bool         `json:"success"`
	Token            string       `json:"token,omitempty" doc:"the access token; the same as accessToken"`
	AccessToken      string       `json:"accessToken,omitempty"`
	RefreshToken     string       `json:"refreshToken,omitempty" doc:"good once"`
	User             *userOut     `json:"user,omitempty"`
	ExpiresIn        int          `json:"expiresIn,omitempty" doc:"seconds that the access token is good for"`
	MFASetupRequired bool         `json:"mfaSetupRequired,omitempty" doc:"the role asks for a second factor, and there is none yet"`
	MFARequired      bool         `json:"mfaRequired,omitempty"`
	RequiresMFA      bool         `json:"requiresMfa,omitempty" doc:"the same as mfaRequired"`
	MFAToken         string       `json:"mfaToken,omitempty" doc:"send it with the code"`
	Message          string       `json:"message,omitempty"`
	Data             signedInData `json:"data"`
}

type signedInData struct {
	User             *userOut `json:"user,omitempty"`
	Token            string   `json:"token,omitempty"`
	AccessToken      string   `json:"accessToken,omitempty"`
	RefreshToken     string   `json:"refreshToken,omitempty"`
	MFASetupRequired bool     `json:"mfaSetupRequired,omitempty"`
	MFARequired      bool     `json:"mfaRequired,omitempty"`
	MFAToken         string   `json:"mfaToken,omitempty"`
	UserID           string   `json:"userId,omitempty"`
}

// validOut says whose an access token is.
type validOut struct {
	Success bool     `json:"success"`
	Valid   bool     `json:"valid"`
	User    *userOut `json:"user" doc:"null where the token is not valid"`
}

// enableData is a second factor's secret, told once.
type enableData struct {
	Method     string `json:"method" enum:"totp"`
	Secret     string `json:"secret"`
	OTPAuthURL string `json:"otpauthUrl"`
	QRCode     string `json:"qrCode" doc:"a data: URL of a PNG"`
}

type enableOut struct {
	Success bool       `json:"success"`
	Data    enableData `json:"data" doc:"the same as beside it"`
	enableData
}

// verifyOut is the answer to a code: that of a sign-in where it ended one, else the recovery codes of the factor that is on now.
type verifyOut struct {
	signedInOut
	MFAVerified   bool     `json:"mfaVerified,omitempty"`
	RecoveryCodes []string `json:"recoveryCodes,omitempty"`
	BackupCodes   []string `json:"backupCodes,omitempty" doc:"the same as recoveryCodes"`
}
