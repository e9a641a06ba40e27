package identity

import "github.com/nilecare/nilecare/internal/record"

// Tables are the package's tables, for backups. Wrong guesses and set-up links are not among them.
func Tables() []record.Table {
	who := []string{"created_by", "created_at", "updated_by", "updated_at", "deleted_at"}
	return append([]record.Table{
		{Name: "identity_user", Columns: append([]string{"tenant", "id", "email", "username", "profile", "role", "roles", "permissions", "status", "organization",
			"facility", "fhir_user", "patient", "patients", "password", "password_at", "mfa", "email_verified", "last_login", "version"}, who...)},
		{Name: "identity_external", Columns: []string{"tenant", "provider", "subject", "user_id", "created_by", "created_at"}},
		{Name: "identity_session", Columns: append([]string{"tenant", "id", "user_id", "how", "mfa", "remember", "cookie", "device", "used_at", "expires_at", "reason"}, who...)},
		{Name: "identity_refresh", Columns: []string{"tenant", "hash", "session", "created_at", "used_at"}},
		{Name: "identity_role", Columns: append([]string{"tenant", "name", "description", "permissions"}, who...)},
		{Name: "identity_service", Columns: append([]string{"tenant", "id", "name", "description", "role", "scopes", "certificate"}, who...)},
		{Name: "identity_key", Columns: append([]string{"tenant", "id", "name", "scopes", "service", "addresses", "expires_at", "used_at"}, who...)},
		{Name: "identity_key_secret", Columns: []string{"tenant", "hash", "key_id", "prefix", "expires_at", "created_at"}},
	}, flowTables()...)
}
