package seal

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/tink-crypto/tink-go/v2/aead/subtle"
	"pgregory.net/rapid"

	"github.com/nilecare/nilecare/internal/fault"
)

func TestSealOpenRoundTrip(t *testing.T) {
	k := NewKey()
	rapid.Check(t, func(t *rapid.T) {
		plain := rapid.SliceOf(rapid.Byte()).Draw(t, "plain")
		ad := rapid.SliceOf(rapid.Byte()).Draw(t, "ad")
		dst := rapid.SliceOfN(rapid.Byte(), 0, 8).Draw(t, "dst")
		sealed := k.Seal(bytes.Clone(dst), plain, ad)
		if !bytes.HasPrefix(sealed, dst) || len(sealed) != len(dst)+len(plain)+Overhead {
			t.Fatalf("sealed %d bytes behind %d into %d", len(plain), len(dst), len(sealed))
		}
		got, err := k.Open(bytes.Clone(dst), sealed[len(dst):], ad)
		if err != nil || !bytes.Equal(got, append(bytes.Clone(dst), plain...)) {
			t.Fatalf("opened %q, %v", got, err)
		}
	})
}

func TestSealIsRandomised(t *testing.T) {
	k := NewKey()
	if bytes.Equal(k.Seal(nil, []byte("same"), nil), k.Seal(nil, []byte("same"), nil)) {
		t.Fatal("two seals of one text are equal")
	}
}

func TestSealIsTinksFormat(t *testing.T) {
	k := NewKey()
	tk, err := subtle.NewAESGCM(k.secret[:])
	if err != nil {
		t.Fatal(err)
	}
	plain, ad := []byte("body"), []byte("place")
	if got, err := tk.Decrypt(k.Seal(nil, plain, ad), ad); err != nil || !bytes.Equal(got, plain) {
		t.Fatalf("Tink opens ours: %q, %v", got, err)
	}
	theirs, err := tk.Encrypt(plain, ad)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := k.Open(nil, theirs, ad); err != nil || !bytes.Equal(got, plain) {
		t.Fatalf("we open Tink's: %q, %v", got, err)
	}
}

func wantTampered(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, ErrTampered) || fault.KindOf(err) != fault.Internal {
		t.Fatalf("%s: %v", what, err)
	}
}

func TestOpenRefusesEveryChangedByte(t *testing.T) {
	k, plain, ad := NewKey(), []byte("diagnosis"), []byte("tenant 1, record 7")
	sealed := k.Seal(nil, plain, ad)
	for i := range sealed {
		for _, flip := range []byte{0x01, 0x80} {
			bad := bytes.Clone(sealed)
			bad[i] ^= flip
			got, err := k.Open(nil, bad, ad)
			wantTampered(t, fmt.Sprintf("byte %d", i), err)
			if got != nil || strings.Contains(err.Error(), "diagnosis") {
				t.Fatalf("byte %d: content came out: %q, %v", i, got, err)
			}
		}
	}
	for n := range sealed {
		_, err := k.Open(nil, sealed[:n], ad)
		wantTampered(t, fmt.Sprintf("cut to %d", n), err)
	}
	_, err := k.Open(nil, append(bytes.Clone(sealed), 0), ad)
	wantTampered(t, "a byte more", err)
	_, err = k.Open(nil, sealed, []byte("tenant 1, record 8"))
	wantTampered(t, "another place", err)
	_, err = NewKey().Open(nil, sealed, ad)
	wantTampered(t, "another key", err)
}

func TestWrapUnderKey(t *testing.T) {
	tenant, patient, ad := NewKey(), NewKey(), []byte("t1/42")
	wrapped, err := patient.Wrap(tenant, ad)
	if err != nil {
		t.Fatal(err)
	}
	if len(wrapped) != KeySize+Overhead {
		t.Fatalf("wrapped key has %d bytes", len(wrapped))
	}
	again, err := Unwrap(tenant, wrapped, ad)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := again.Open(nil, patient.Seal(nil, []byte("x"), nil), nil); err != nil || string(got) != "x" {
		t.Fatalf("the unwrapped key opens %q, %v", got, err)
	}
	_, err = Unwrap(NewKey(), wrapped, ad)
	wantTampered(t, "wrong parent", err)
	_, err = Unwrap(tenant, wrapped, []byte("t1/43"))
	wantTampered(t, "wrong record", err)
	for i := range wrapped {
		bad := bytes.Clone(wrapped)
		bad[i]++
		_, err = Unwrap(tenant, bad, ad)
		wantTampered(t, fmt.Sprintf("byte %d", i), err)
	}
}

func TestWrappedKeysAndBodiesStayApart(t *testing.T) {
	tenant, ad := NewKey(), []byte("same")
	wrapped, err := NewKey().Wrap(tenant, ad)
	if err != nil {
		t.Fatal(err)
	}
	_, err = tenant.Open(nil, wrapped, ad)
	wantTampered(t, "a wrapped key opened as a body", err)
	_, err = Unwrap(tenant, tenant.Seal(nil, make([]byte, KeySize), ad), ad)
	wantTampered(t, "a body unwrapped as a key", err)
}

func TestUnwrapRefusesOtherLengths(t *testing.T) {
	tenant := NewKey()
	short, err := tenant.Encrypt(make([]byte, KeySize-1), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Unwrap(tenant, short, nil)
	wantTampered(t, "31 bytes", err)
}

type brokenService struct{}

func (brokenService) Encrypt(_, _ []byte) ([]byte, error) { return nil, errors.New("down") }
func (brokenService) Decrypt(_, _ []byte) ([]byte, error) { return nil, errors.New("down") }

func TestUnreachableKeyService(t *testing.T) {
	if _, err := NewKey().Wrap(brokenService{}, nil); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("wrap: %v", err)
	}
	if _, err := Unwrap(brokenService{}, nil, nil); !fault.Is(err, fault.Internal) || errors.Is(err, ErrTampered) {
		t.Fatalf("unwrap: %v", err)
	}
}

func TestKeyDoesNotPrint(t *testing.T) {
	k := newKey([KeySize]byte([]byte("0123456789abcdef0123456789abcdef")))
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "key", k)
	printed := fmt.Sprintf("%v %+v %#v %s %x %d", k, k, k, k, k, k) + log.String()
	for _, secret := range []string{"0123456789", "48 49", "30313233", "0x30"} {
		if strings.Contains(printed, secret) {
			t.Fatalf("the key prints as %s", printed)
		}
	}
}

func TestKeyInParallel(t *testing.T) {
	k := NewKey()
	b := NewBlinder(k)
	want := b.Blind(1, "x")
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				plain := fmt.Appendf(nil, "%d/%d", g, i)
				got, err := k.Open(nil, k.Seal(nil, plain, plain), plain)
				if err != nil || !bytes.Equal(got, plain) {
					t.Errorf("got %q, %v", got, err)
				}
				b.Blind(2, string(plain))
				if !bytes.Equal(b.Blind(1, "x"), want) {
					t.Error("the blind form changed")
				}
			}
		})
	}
	wg.Wait()
}

func FuzzOpen(f *testing.F) {
	k := newKey([KeySize]byte{})
	f.Add([]byte{}, []byte{})
	f.Add(k.Seal(nil, []byte("x"), []byte("ad"))[:20], []byte("ad"))
	f.Fuzz(func(t *testing.T, sealed, ad []byte) {
		if _, err := k.Open(nil, sealed, ad); !errors.Is(err, ErrTampered) {
			t.Fatalf("a text that nobody sealed opened: %v", err)
		}
		if _, err := Unwrap(k, sealed, ad); !errors.Is(err, ErrTampered) {
			t.Fatalf("a key that nobody wrapped unwrapped: %v", err)
		}
	})
}

func BenchmarkSeal500(b *testing.B) {
	k, plain, ad, dst := NewKey(), make([]byte, 500), make([]byte, 24), make([]byte, 0, 600)
	b.ReportAllocs()
	for b.Loop() {
		k.Seal(dst, plain, ad)
	}
}

func BenchmarkOpen500(b *testing.B) {
	k, ad, dst := NewKey(), make([]byte, 24), make([]byte, 0, 600)
	sealed := k.Seal(nil, make([]byte, 500), ad)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = k.Open(dst, sealed, ad)
	}
}

func BenchmarkNewKeyWrapped(b *testing.B) {
	tenant, ad := NewKey(), make([]byte, 16)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = NewKey().Wrap(tenant, ad)
	}
}

func BenchmarkUnwrap(b *testing.B) {
	tenant, ad := NewKey(), make([]byte, 16)
	wrapped, _ := NewKey().Wrap(tenant, ad)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = Unwrap(tenant, wrapped, ad)
	}
}
