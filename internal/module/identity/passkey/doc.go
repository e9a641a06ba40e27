// Package passkey signs people in with passkeys: WebAuthn Level 3 credentials that their devices keep.
//
// It owns the tables passkey_credential and passkey_challenge. What must hold:
//
//   - a challenge is random, lives for five minutes, and is used up by the first answer to it, right or wrong;
//   - a credential registers to, and signs in, one user alone; the user handle is the user's number, no personal data;
//   - the authenticator verifies the person (user verification is required), so that a sign-in counts as two factors;
//   - an answer made for another origin or relying party is refused;
//   - a counter that goes back means that a key was copied (WebAuthn section 6.1.1): the sign-in is refused and a security event noted.
package passkey
