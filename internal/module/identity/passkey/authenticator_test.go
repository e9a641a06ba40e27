package passkey_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"testing"

	"github.com/go-webauthn/webauthn/protocol/webauthncbor"
)

var b64 = base64.RawURLEncoding

// authenticator is a virtual one: a real key, real signatures, no hardware.
type authenticator struct {
	key     *ecdsa.PrivateKey
	id      []byte
	user    string // the handle that it was registered with, in base64url
	counter uint32

	origin string // what the browser says
	rp     string // "": as asked
	flags  byte   // user present and verified
}

func newAuthenticator(t *testing.T) *authenticator {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authenticator{key: k, id: make([]byte, 32), origin: origin, flags: 0x05}
	_, _ = rand.Read(a.id)
	return a
}

type m = map[string]any

func (a *authenticator) clientData(typ, challenge string) []byte {
	raw, _ := json.Marshal(m{"type": typ, "challenge": challenge, "origin": a.origin, "crossOrigin": false})
	return raw
}

func (a *authenticator) data(rp string, flags byte) []byte {
	if a.rp != "" {
		rp = a.rp
	}
	h := sha256.Sum256([]byte(rp))
	a.counter++
	return binary.BigEndian.AppendUint32(append(h[:], flags), a.counter)
}

// create answers navigator.credentials.create.
func (a *authenticator) create(t *testing.T, options m) m {
	t.Helper()
	o, _ := options["publicKey"].(m)
	user, _ := o["user"].(m)
	rp, _ := o["rp"].(m)
	a.user, _ = user["id"].(string)
	challenge, _ := o["challenge"].(string)
	id, _ := rp["id"].(string)

	raw, err := a.key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	cose, err := webauthncbor.Marshal(map[int]any{1: 2, 3: -7, -1: 1, -2: raw[1:33], -3: raw[33:]})
	if err != nil {
		t.Fatal(err)
	}
	data := append(a.data(id, a.flags|0x40), make([]byte, 16)...)
	data = binary.BigEndian.AppendUint16(data, uint16(len(a.id)))
	data = append(append(data, a.id...), cose...)
	object, err := webauthncbor.Marshal(map[string]any{"fmt": "none", "attStmt": map[string]any{}, "authData": data})
	if err != nil {
		t.Fatal(err)
	}
	return m{"id": b64.EncodeToString(a.id), "rawId": b64.EncodeToString(a.id), "type": "public-key", "clientExtensionResults": m{},
		"response": m{"clientDataJSON": b64.EncodeToString(a.clientData("webauthn.create", challenge)), "attestationObject": b64.EncodeToString(object),
			"transports": []string{"internal"}}}
}

// get answers navigator.credentials.get.
func (a *authenticator) get(t *testing.T, options m) m {
	t.Helper()
	o, _ := options["publicKey"].(m)
	challenge, _ := o["challenge"].(string)
	rp, _ := o["rpId"].(string)
	client := a.clientData("webauthn.get", challenge)
	data := a.data(rp, a.flags)
	h := sha256.Sum256(client)
	signed := sha256.Sum256(append(append([]byte{}, data...), h[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, a.key, signed[:])
	if err != nil {
		t.Fatal(err)
	}
	return m{"id": b64.EncodeToString(a.id), "rawId": b64.EncodeToString(a.id), "type": "public-key", "clientExtensionResults": m{},
		"response": m{"clientDataJSON": b64.EncodeToString(client), "authenticatorData": b64.EncodeToString(data), "signature": b64.EncodeToString(signature),
			"userHandle": a.user}}
}
