// Package federation signs people in whom another provider vouches for: Google, Microsoft or any other by OpenID Connect Core 1.0, and
// SAML 2.0 (web browser SSO profile), with users made just in time and roles mapped from what the provider tells.
//
// It owns the tables federation_provider, federation_flow and federation_used. What must hold:
//
//   - a flow is begun by the browser that ends it: its cookie, its state, its nonce and its PKCE verifier (RFC 7636) belong together, live
//     for ten minutes, and are used up by the first answer, right or wrong;
//   - an answer is taken from the provider that was asked alone (RFC 9207, RFC 9700 section 4.4): each has a callback of its own, and its
//     issuer, audience and signature are checked;
//   - of a SAML response exactly one assertion is looked at, the one whose signature was verified, once, for this audience, in its time, and
//     as the answer to our request; what a provider sends unasked is refused unless the provider's row permits it;
//   - an e-mail address links to a user who is there only if the provider verified it, or the row trusts its addresses;
//   - a role with great power is given by a rule that says so in as many words, made by somebody who may do everything, and never by default;
//   - after signing in a browser is led to a path of ours or a registered address, nowhere else;
//   - providers are asked over TLS (the loopback aside), for ten seconds and a megabyte at most.
package federation
