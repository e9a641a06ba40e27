package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"

	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/nilecare/nilecare/internal/fault"
)

// KeySize is the length of a data key in bytes.
const KeySize = 32

// Overhead is how many bytes a sealed text is longer than its plain text: nonce and tag.
const Overhead = 12 + 16

// ErrTampered is the cause of every failure to open or unwrap: the bytes were changed, they were sealed by another key,
// or they belong to another place than the associated data says. Which of them cannot be told.
var ErrTampered = errors.New("seal: authentication failed")

// Wrapper wraps keys: a [Root], or a *[Key] that stands above others. Any Tink AEAD is one.
type Wrapper = tink.AEAD

// Root wraps the tenants' keys. It lives outside of the database: [FileRoot], or the AEAD of a key management service.
type Root = tink.AEAD

// Key is a data key of 256 bits. It is safe for concurrent use, and prints as a placeholder.
type Key struct {
	secret [KeySize]byte
	gcm    cipher.AEAD
}

var _ Wrapper = (*Key)(nil)

// NewKey returns a key of fresh random bytes.
func NewKey() *Key {
	var secret [KeySize]byte
	_, _ = rand.Read(secret[:]) // never fails: the program ends when the system has no randomness
	return newKey(secret)
}

func newKey(secret [KeySize]byte) *Key {
	block, err := aes.NewCipher(secret[:])
	if err != nil {
		panic("seal: " + err.Error()) // only for key lengths that AES does not have
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("seal: " + err.Error()) // only for block sizes other than AES's
	}
	return &Key{secret: secret, gcm: gcm}
}

// Derive returns the key that k gives for a purpose: always the same, and telling nothing of k or of the keys of other purposes.
func (k *Key) Derive(purpose string) *Key {
	mac := hmac.New(sha256.New, k.secret[:])
	_, _ = mac.Write([]byte("nilecare derived key 1\x00" + purpose)) // a hash never fails
	return newKey([KeySize]byte(mac.Sum(nil)))
}

// Wrap seals the key itself under parent, for keeping. ad names the place that the wrapped key stands in (tenant and record
// number); [Unwrap] must be given the same. The error is the parent's, of kind Unavailable: a key management service may be out of reach.
func (k *Key) Wrap(parent Wrapper, ad []byte) ([]byte, error) {
	wrapped, err := parent.Encrypt(k.secret[:], ad)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "the key service cannot wrap a key").Because(err)
	}
	return wrapped, nil
}

// Unwrap returns the key that [Key.Wrap] sealed under the same parent and ad. Anything else is a fault of kind Internal
// whose chain has the parent's error; for a *Key as parent that is [ErrTampered].
func Unwrap(parent Wrapper, wrapped, ad []byte) (*Key, error) {
	secret, err := parent.Decrypt(wrapped, ad)
	if err != nil {
		return nil, fault.New(fault.Internal, "a wrapped key cannot be opened: it was changed, belongs elsewhere, or the root key is another one").Because(err)
	}
	if len(secret) != KeySize {
		return nil, tampered()
	}
	k := newKey([KeySize]byte(secret))
	clear(secret)
	return k, nil
}

// Seal appends nonce, ciphertext and tag of plain to dst, [Overhead] bytes more than plain, and returns the whole. ad is not stored:
// [Key.Open] must be given the same. plain and the room behind dst must not overlap.
func (k *Key) Seal(dst, plain, ad []byte) []byte {
	return k.gcm.Seal(dst, nil, plain, ad)
}

// Open appends the plain text of sealed to dst and returns the whole. What does not open is a fault of kind Internal with
// the cause [ErrTampered]; its text tells nothing of the content. The room behind dst must not overlap sealed.
func (k *Key) Open(dst, sealed, ad []byte) ([]byte, error) {
	plain, err := k.gcm.Open(dst, nil, sealed, ad)
	if err != nil {
		return nil, tampered()
	}
	return plain, nil
}

// wrapDomain keeps wrapped keys and sealed bodies of one key apart: neither opens as the other.
const wrapDomain = "nilecare key wrap\x00"

// Encrypt makes k a [Wrapper] of the keys below it. Bodies go through [Key.Seal].
func (k *Key) Encrypt(plaintext, associatedData []byte) ([]byte, error) {
	return k.Seal(nil, plaintext, wrapData(associatedData)), nil
}

// Decrypt undoes [Key.Encrypt].
func (k *Key) Decrypt(ciphertext, associatedData []byte) ([]byte, error) {
	return k.Open(nil, ciphertext, wrapData(associatedData))
}

func wrapData(ad []byte) []byte {
	return append(append(make([]byte, 0, len(wrapDomain)+len(ad)), wrapDomain...), ad...)
}

func tampered() error {
	return fault.New(fault.Internal, "sealed data cannot be opened: it was changed, or belongs elsewhere").Because(ErrTampered)
}

// placeholder is what a key looks like to fmt and slog.
const placeholder = "seal.Key(hidden)"

// Format prints a placeholder, whatever the verb, so that no key gets into a log.
func (k *Key) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte(placeholder)) }

// LogValue gives slog the placeholder.
func (k *Key) LogValue() slog.Value { return slog.StringValue(placeholder) }
