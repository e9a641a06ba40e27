// Package seal keeps what is stored from the eyes of whoever gets hold of the database file, its log or a backup.
//
// # Envelope
//
// A [Root] stands outside of the database: a file of mode 0600 ([FileRoot]) or a key management service (any Tink AEAD).
// It wraps one [Key] a tenant; the tenant's key wraps one key a patient; that key seals the patient's bodies. What belongs
// to no patient is sealed by the tenant's key. The database holds keys only in wrapped form. Destroying the wrapped form
// of a patient's key, in the database and in every backup that has it, erases the patient.
//
// Sealing is AES-256-GCM with a random nonce of 96 bits, in the layout of Tink's AES-GCM without prefix: nonce, ciphertext,
// tag; 28 bytes more than the plain text. The associated data binds a sealed body to its place: a body moved to
// another record, tenant or version does not open. Callers must put tenant and record into it. One key must seal fewer than 2^32 texts
// (NIST SP 800-38D, 8.3, for random nonces): enough for a patient by any measure; a tenant whose own key comes near
// it needs a new one.
//
// # Blind indexes, and what they tell
//
// A [Blinder] turns a text into ten bytes of a keyed hash (HMAC-SHA-256), so that equal texts can be found without being
// stored. It is deterministic, and that is its price. Whoever reads the database without the key learns
//
//   - which records share a value, and how often each value occurs (frequencies). Where values are unique by nature (an
//     identifier, a telephone number) there is little to learn; where few values are common (a city, a postal code), the
//     frequencies, set against public statistics, may give the value away;
//   - from a [Blinder.Chain], which records share their beginnings, character by character up to the 24th. This is much: the whole is a
//     tree of shared beginnings, its first level has as few nodes as the alphabet, and a tree drawn from a public list of names or
//     streets can be laid over it. Common values must be taken as guessable. What is rare stays hidden as one of many, and what is
//     not a beginning is not told;
//   - from the length of a chain, the length of the text, up to 24 characters.
//
// Atoms (search parameters) and tenants do not share hashes: the same text under another atom, or in another tenant, has another
// hash. Two texts have the same hash by chance once in 2^80 pairs.
// Where that leak is too much, the whole database file is sealed as well (--encrypt-database), which hides the rows
// from whoever has the file but not its key.
//
// Who holds the root key, or reads the memory of the running server, reads everything: this package does not defend
// against that, and Go gives no promise to wipe a key from memory.
package seal
