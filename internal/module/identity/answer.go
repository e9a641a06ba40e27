package identity

// Answer is what a sign-in answers, bare, in the form that the front ends read: see api.Bare.
func Answer(in *SignedIn) map[string]any { return signedInJSON(in) }
