package oauth

import (
	"net/http"
)

// Handler serves /oauth2/*, /.well-known/openid-configuration, /.well-known/oauth-authorization-server, and smart-configuration below the FHIR
// base. The edge has put the caller, with the tenant, into the request's context, and taken the tenant's prefix off the path. Errors are
// OAuth's own JSON, or a page.
func (s *Server) Handler() http.Handler { return s.mux }

func (s *Server) routes() *http.ServeMux {
	m := http.NewServeMux()
	page := func(pattern string, f func(http.ResponseWriter, *http.Request) error) { m.Handle(pattern, s.paged(f)) }
	open := func(path, methods string, f func(http.ResponseWriter, *http.Request) error) {
		m.Handle(path, cross(methods, s.plain(f)))
	}

	authorize := http.HandlerFunc(s.authorize)
	for _, path := range []string{"/oauth2/authorize", "/api/v1/oauth/authorize"} {
		m.Handle("GET "+path, authorize)
		m.Handle("POST "+path, authorize)
	}
	page("GET /oauth2/continue", s.next)
	page("POST /oauth2/login", s.signIn)
	page("POST /oauth2/code", s.secondFactor)
	page("POST /oauth2/patient", s.pickedPatient)
	page("POST /oauth2/consent", s.consented)
	page("GET /oauth2/device", s.devicePage)
	page("POST /oauth2/device", s.deviceCode)
	page("GET /oauth2/logout", s.logout)
	page("POST /oauth2/logout", s.logout)

	m.Handle("POST /oauth2/launch", s.plain(s.launch))
	open("/oauth2/token", "POST", s.token)
	open("/api/v1/oauth/token", "POST", s.token)
	open("/oauth2/device_authorization", "POST", s.deviceAuthorization)
	open("/oauth2/introspect", "POST", s.introspect)
	open("/oauth2/revoke", "POST", s.revoke)
	open("/oauth2/userinfo", "GET, POST", s.userinfo)
	open("/oauth2/register", "POST", s.register)
	open("/oauth2/register/{id}", "GET, PUT, DELETE", s.managedClient)
	open("/oauth2/jwks", "GET", s.jwks)
	open("/.well-known/openid-configuration", "GET", s.discovery)
	open("/.well-known/oauth-authorization-server", "GET", s.discovery)
	open("/.well-known/oauth-authorization-server/t/{tenant}", "GET", s.pathDiscovery)
	open("/.well-known/smart-configuration", "GET", s.smart)
	open(s.o.FHIRPath+"/.well-known/smart-configuration", "GET", s.smart)
	return m
}

func (s *Server) managedClient(w http.ResponseWriter, r *http.Request) error {
	switch r.Method {
	case http.MethodGet:
		return s.registrationRead(w, r)
	case http.MethodPut:
		return s.registrationReplace(w, r)
	}
	return s.registrationDelete(w, r)
}
