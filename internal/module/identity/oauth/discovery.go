package oauth

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/nilecare/nilecare/internal/access"
)

// metadata is what both RFC 8414 and OpenID Connect Discovery 1.0 tell.
func (s *Server) metadata(tenant int32) map[string]any {
	iss := s.Issuer(tenant)
	m := map[string]any{
		"issuer":                                                   iss,
		"authorization_endpoint":                                   iss + "/oauth2/authorize",
		"token_endpoint":                                           s.tokenEndpoint(tenant),
		"jwks_uri":                                                 iss + "/oauth2/jwks",
		"userinfo_endpoint":                                        iss + "/oauth2/userinfo",
		"introspection_endpoint":                                   iss + "/oauth2/introspect",
		"revocation_endpoint":                                      iss + "/oauth2/revoke",
		"device_authorization_endpoint":                            iss + "/oauth2/device_authorization",
		"end_session_endpoint":                                     iss + "/oauth2/logout",
		"scopes_supported":                                         scopesSupported(),
		"response_types_supported":                                 []string{"code"},
		"response_modes_supported":                                 []string{"query"},
		"grant_types_supported":                                    []string{grantCode, grantRefresh, grantClient, grantDevice},
		"subject_types_supported":                                  []string{"public"},
		"id_token_signing_alg_values_supported":                    []string{"RS256", "ES256"},
		"token_endpoint_auth_methods_supported":                    []string{authNone, authBasic, authPost, authJWT},
		"token_endpoint_auth_signing_alg_values_supported":         assertionAlgs,
		"introspection_endpoint_auth_methods_supported":            []string{authBasic, authPost, authJWT},
		"introspection_endpoint_auth_signing_alg_values_supported": assertionAlgs,
		"revocation_endpoint_auth_methods_supported":               []string{authNone, authBasic, authPost, authJWT},
		"revocation_endpoint_auth_signing_alg_values_supported":    assertionAlgs,
		"code_challenge_methods_supported":                         []string{"S256"},
		"claims_supported": []string{"iss", "sub", "aud", "exp", "iat", "jti", "auth_time", "nonce", "at_hash", "amr", "azp", "sid", "name", "given_name",
			"family_name", "locale", "profile", "email", "email_verified", "fhirUser"},
		"claims_parameter_supported":                     false,
		"request_parameter_supported":                    false,
		"request_uri_parameter_supported":                false,
		"prompt_values_supported":                        []string{"none", "login", "consent", "select_account"},
		"ui_locales_supported":                           []string{"en", "ar"},
		"authorization_response_iss_parameter_supported": true,
	}
	if s.o.Registration != Off {
		m["registration_endpoint"] = iss + "/oauth2/register"
	}
	return m
}

func scopesSupported() []string {
	return append([]string{}, append(plainScopes[:len(plainScopes)-3:len(plainScopes)-3], "offline_access", "online_access",
		"patient/*.cruds", "user/*.cruds", "system/*.cruds", "patient/*.*", "user/*.*", "system/*.*")...)
}

// capabilities are those of SMART App Launch 2.2, "Capabilities", that this server has. What is not there is not told: an encounter cannot
// be chosen in a standalone launch, and styles are told only where there are some.
func (s *Server) capabilities() []string {
	list := []string{"launch-ehr", "launch-standalone", "authorize-post", "client-public", "client-confidential-symmetric",
		"client-confidential-asymmetric", "sso-openid-connect", "context-banner", "context-ehr-patient", "context-ehr-encounter",
		"context-standalone-patient", "permission-offline", "permission-online", "permission-patient", "permission-user", "permission-v1", "permission-v2"}
	if s.o.Style != "" {
		list = append(list, "context-style")
	}
	return list
}

// SMARTConfiguration is {base}/.well-known/smart-configuration of the tenant whose FHIR base it is. NotFound where it is nobody's.
func (s *Server) SMARTConfiguration(base string) ([]byte, error) {
	tenant, ok := s.tenantOfBase(strings.TrimSuffix(base, "/"))
	if !ok {
		return nil, errNoTenant
	}
	m := s.metadata(tenant)
	for _, name := range []string{"request_parameter_supported", "request_uri_parameter_supported", "claims_parameter_supported", "prompt_values_supported",
		"ui_locales_supported", "subject_types_supported", "id_token_signing_alg_values_supported", "claims_supported", "userinfo_endpoint"} {
		delete(m, name)
	}
	m["capabilities"] = s.capabilities()
	m["management_endpoint"] = s.Issuer(tenant) + "/api/v1/oauth/grants"
	return json.Marshal(m)
}

func (s *Server) tenantOfBase(base string) (int32, bool) {
	if base == s.Audience(1) {
		return 1, true
	}
	rest, ok := strings.CutPrefix(base, s.base+"/t/")
	if !ok {
		return 0, false
	}
	text, ok := strings.CutSuffix(rest, s.o.FHIRPath)
	n, err := strconv.ParseInt(text, 10, 32)
	if !ok || err != nil || n < 2 || strconv.FormatInt(n, 10) != text {
		return 0, false
	}
	return int32(n), true
}

func (s *Server) discovery(w http.ResponseWriter, r *http.Request) error {
	return published(w, s.metadata(tenantOf(r.Context())))
}

// pathDiscovery answers /.well-known/oauth-authorization-server/t/{tenant}: RFC 8414 puts an issuer's path behind the well-known one.
func (s *Server) pathDiscovery(w http.ResponseWriter, r *http.Request) error {
	n, err := strconv.ParseInt(r.PathValue("tenant"), 10, 32)
	if err != nil || n < 2 || strconv.FormatInt(n, 10) != r.PathValue("tenant") {
		return &failure{status: http.StatusNotFound, code: "not_found", text: "there is no such tenant"}
	}
	return published(w, s.metadata(int32(n)))
}

func (s *Server) smart(w http.ResponseWriter, r *http.Request) error {
	b, err := s.SMARTConfiguration(s.Audience(tenantOf(r.Context())))
	if err != nil {
		return err
	}
	return published(w, json.RawMessage(b))
}

func (s *Server) jwks(w http.ResponseWriter, r *http.Request) error {
	b, err := s.o.Signer.JWKS(r.Context(), access.From(r.Context()).Tenant)
	if err != nil {
		return err
	}
	return published(w, json.RawMessage(b))
}

// published writes JSON that anybody may keep for a while.
func published(w http.ResponseWriter, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, max-age=300")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(b) // the client went away: nobody is left to tell
	return nil
}
