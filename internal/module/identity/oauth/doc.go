// Package oauth is an OAuth 2.1 authorization server, an OpenID Provider and a SMART App Launch 2.2 server.
//
// It owns the tables oauth_*: clients, browser logins, pending requests, codes, sessions with their refresh tokens, consents, launch
// handles, device codes, used assertions and revoked tokens. What must hold:
//
//   - only the code flow, and only with PKCE S256 (OAuth 2.1 section 4.1; SMART App Launch 2.2, "Considerations for PKCE Support");
//   - an answer goes only to a redirect URI that the client registered, compared byte by byte but for the port of a loopback address
//     (RFC 8252 section 7.3); any doubt about the client or the URI is told to the person, never redirected;
//   - codes, handles, secrets and refresh tokens are random, and the database knows only their SHA-256;
//   - a code or a refresh token that comes a second time ends the session that it belongs to (RFC 6749 section 10.5, RFC 9700 section 4.14);
//   - a patient gets into a token only if the person who grants it may read that patient.
//
// A tenant's issuer is the base URL for tenant 1 and base URL + "/t/<tenant>" for others; the edge takes the prefix off the path and puts
// the tenant into the caller of the request's context.
package oauth
