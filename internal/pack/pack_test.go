package pack

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/hospital"
)

func newCodec(t testing.TB) *Codec {
	t.Helper()
	c, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// observation is a body as the store hands it over.
const observation = "\n" + `"status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category",` +
	`"code":"vital-signs","display":"Vital Signs"}]}],"code":{"coding":[{"system":"http://loinc.org","code":"85354-9","display":"Blood pressure panel"}],` +
	`"text":"Blood pressure"},"subject":{"reference":"Patient/4503599627370496"},"encounter":{"reference":"Encounter/4503599627370497"},` +
	`"effectiveDateTime":"2026-03-01T09:30:00+02:00","performer":[{"reference":"Practitioner/4503599627370498"}],"component":[{"code":{"coding":` +
	`[{"system":"http://loinc.org","code":"8480-6","display":"Systolic blood pressure"}]},"valueQuantity":{"value":128,"unit":"mmHg","system":` +
	`"http://unitsofmeasure.org","code":"mm[Hg]"}},{"code":{"coding":[{"system":"http://loinc.org","code":"8462-4","display":"Diastolic blood pressure"}]},` +
	`"valueQuantity":{"value":81,"unit":"mmHg","system":"http://unitsofmeasure.org","code":"mm[Hg]"}}]`

func TestRoundTrip(t *testing.T) {
	c := newCodec(t)
	big := make([]byte, 3<<20)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range big {
		big[i] = byte(r.Uint32())
	}
	for name, plain := range map[string][]byte{
		"empty": {}, "one byte": {'\n'}, "observation": []byte(observation), "random": big, "zeros": make([]byte, 1<<20),
		"long text": []byte(strings.Repeat("قال المريض إنه بخير. ", 50_000)), "the dictionary": fhir1,
	} {
		packed := c.Pack(nil, plain)
		got, err := c.Unpack(nil, packed, len(plain))
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%s: %d bytes came back as %d, %v", name, len(plain), len(got), err)
		}
		if len(packed) > len(plain)+len(plain)/1000+32 {
			t.Errorf("%s: %d bytes grew to %d", name, len(plain), len(packed))
		}
	}
}

func TestRoundTripLaw(t *testing.T) {
	c := newCodec(t)
	rapid.Check(t, func(t *rapid.T) {
		plain := rapid.SliceOf(rapid.Byte()).Draw(t, "plain")
		if rapid.Bool().Draw(t, "like FHIR") {
			at := rapid.IntRange(0, len(observation)).Draw(t, "at")
			plain = append(plain, observation[at:]...)
		}
		dst := rapid.SliceOfN(rapid.Byte(), 0, 9).Draw(t, "dst")
		packed := c.Pack(bytes.Clone(dst), plain)
		if !bytes.HasPrefix(packed, dst) {
			t.Fatal("what stood in dst was changed")
		}
		got, err := c.Unpack(bytes.Clone(dst), packed[len(dst):], len(plain))
		if err != nil || !bytes.Equal(got, append(bytes.Clone(dst), plain...)) {
			t.Fatalf("%q came back as %q, %v", plain, got, err)
		}
	})
}

func TestObservationIsSmall(t *testing.T) {
	packed := newCodec(t).Pack(nil, []byte(observation))
	if len(packed) > 300 {
		t.Fatalf("%d bytes became %d", len(observation), len(packed))
	}
}

// A frame says which dictionary it needs, so that later ones can join.
func TestFramesNameTheDictionary(t *testing.T) {
	var h zstd.Header
	if err := h.Decode(newCodec(t).Pack(nil, []byte(observation))); err != nil || h.DictionaryID != 1 {
		t.Fatalf("dictionary %d, %v", h.DictionaryID, err)
	}
}

// What one release packed, every later one must unpack: a dictionary never changes under its number. Where this fails because the
// generator learnt better, give the new dictionary the next number and keep the old one.
func TestDictionariesNeverChange(t *testing.T) {
	want := []string{"7fd90ad2c75417eb387ede8dc84e430bda574982ec9df259c9308c25da0e7bb4"}
	for k, dict := range dictionaries() {
		if got := fmt.Sprintf("%x", sha256.Sum256(dict)); k >= len(want) || got != want[k] {
			t.Errorf("dictionary %d has the digest %s", k+1, got)
		}
	}
}

// Patients that the dictionary was not trained on must profit too.
func TestHospitalIsSmall(t *testing.T) {
	c, in, out := newCodec(t), map[string]int{}, map[string]int{}
	for text := range hospital.Bundles(99, 40, time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)) {
		b, err := fhir.ParseResource(text)
		if err != nil {
			t.Fatal(err)
		}
		for e := b.Get("entry").First(); e != nil; e = e.Next() {
			r := e.Get("resource")
			plain := r.AppendJSON(nil)
			in[r.Str("resourceType")] += len(plain)
			out[r.Str("resourceType")] += len(c.Pack(nil, plain))
		}
	}
	for typ, least := range map[string]int{"Observation": 3, "Claim": 4, "Patient": 2, "Encounter": 3, "MedicationRequest": 3} {
		if in[typ] < least*out[typ] {
			t.Errorf("%s: %d bytes became %d", typ, in[typ], out[typ])
		}
	}
}

func TestUnpackRefusesBombs(t *testing.T) {
	c := newCodec(t)
	bomb := c.Pack(nil, make([]byte, 64<<20))
	if _, err := c.Unpack(nil, bomb, 1<<20); !fault.Is(err, fault.TooLarge) {
		t.Fatalf("64 MB under a limit of 1 MB: %v", err)
	}
	if _, err := c.Unpack(nil, c.Pack(nil, []byte("ab")), -1); !fault.Is(err, fault.TooLarge) {
		t.Fatalf("a negative limit: %v", err)
	}
	// A small frame, and the bomb hidden behind it.
	hidden := append(c.Pack(nil, []byte("small")), bomb...)
	if _, err := c.Unpack(nil, hidden, 1<<20); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("a bomb behind a small frame: %v", err)
	}
	two := append(c.Pack(nil, nil), c.Pack(nil, nil)...)
	if got, err := c.Unpack(nil, two, 1<<20); err == nil && len(got) > 0 {
		t.Fatalf("two frames: %q", got)
	}
}

func TestUnpackRefusesWhatPackDidNotMake(t *testing.T) {
	c := newCodec(t)
	good := c.Pack(nil, []byte(observation))
	unsized, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	var stream bytes.Buffer
	unsized.Reset(&stream)
	_, _ = unsized.Write([]byte(observation))
	_ = unsized.Flush()
	if err := unsized.Close(); err != nil {
		t.Fatal(err)
	}
	unknown := bytes.Clone(good)
	unknown[5] = 200 // the dictionary's number
	skippable := binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, 0x184D2A50), 4)
	for name, packed := range map[string][]byte{
		"nothing": nil, "text": []byte("{}"), "no length": stream.Bytes(), "unknown dictionary": unknown,
		"cut": good[:len(good)-1], "half": good[:len(good)/2], "skippable": append(skippable, 1, 2, 3, 4), "tail": append(bytes.Clone(good), 'x'),
	} {
		got, err := c.Unpack(nil, packed, 1<<20)
		if !errors.Is(err, ErrCorrupt) || fault.KindOf(err) != fault.Internal {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestCodecInParallel(t *testing.T) {
	c := newCodec(t)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 100 {
				plain := fmt.Appendf(nil, "%s %d %d", observation, g, i)
				got, err := c.Unpack(nil, c.Pack(nil, plain), 1<<20)
				if err != nil || !bytes.Equal(got, plain) {
					t.Errorf("%q, %v", got, err)
				}
			}
		})
	}
	wg.Wait()
}

func FuzzUnpack(f *testing.F) {
	c := newCodec(f)
	f.Add(c.Pack(nil, []byte(observation)))
	f.Add(c.Pack(nil, nil))
	f.Add([]byte("\x28\xb5\x2f\xfd"))
	f.Fuzz(func(t *testing.T, packed []byte) {
		const limit = 1 << 16
		plain, err := c.Unpack(nil, packed, limit)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !fault.Is(err, fault.TooLarge) {
				t.Fatal(err)
			}
			return
		}
		if len(plain) > limit {
			t.Fatalf("%d bytes under a limit of %d", len(plain), limit)
		}
		if again, err := c.Unpack(nil, c.Pack(nil, plain), limit); err != nil || !bytes.Equal(again, plain) {
			t.Fatalf("packing it again: %v", err)
		}
	})
}

func BenchmarkPack(b *testing.B) {
	c, plain, dst := newCodec(b), []byte(observation), make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		c.Pack(dst, plain)
	}
}

func BenchmarkUnpack(b *testing.B) {
	c, dst := newCodec(b), make([]byte, 0, 4096)
	packed := c.Pack(nil, []byte(observation))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Unpack(dst, packed, 1<<20); err != nil {
			b.Fatal(err)
		}
	}
}
