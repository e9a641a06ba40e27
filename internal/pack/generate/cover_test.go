package main

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/testfind"
)

func samples() [][]byte {
	var out [][]byte
	for k := range 200 {
		out = append(out, fmt.Appendf(nil, `%d unlike any other %x, "system":"http://loinc.org","code":"8867-4" then %d`, k*7919, k*k*k, k))
	}
	return out
}

func TestCoverHoldsWhatSamplesShare(t *testing.T) {
	got := cover(samples(), 256, 64)
	if len(got) > 256 || !bytes.Contains(got, []byte(`"system":"http://loinc.org","code":"8867-4"`)) {
		t.Fatalf("%d bytes: %q", len(got), got)
	}
	if !bytes.Equal(got, cover(samples(), 256, 64)) {
		t.Fatal("not the same twice")
	}
}

func TestCoverOfNothingCommon(t *testing.T) {
	if got := cover([][]byte{[]byte("abcdefghijkl"), []byte("mnopqrstuvwxyz")}, 256, 64); len(got) != 0 {
		t.Fatalf("%q", got)
	}
}

func TestTrainedDictionaryServes(t *testing.T) {
	dict, err := train(9, [][][]byte{samples()}, 512, 64)
	if err != nil {
		t.Fatal(err)
	}
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderDict(dict))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	with, without := len(enc.EncodeAll(samples()[3], nil)), len(plain.EncodeAll(samples()[3], nil))
	if with >= without {
		t.Fatalf("%d bytes with the dictionary, %d without", with, without)
	}
	if _, err := train(9, [][][]byte{nil}, 512, 64); err == nil {
		t.Fatal("trained on nothing")
	}
}

func TestBodyIsAsStored(t *testing.T) {
	for in, want := range map[string]string{
		`{"resourceType":"Basic","id":"1","meta":{"versionId":"2","lastUpdated":"x","tag":[{"code":"a"}]},"code":{"text":"b"}}`: `"tag":[{"code":"a"}]` + "\n" + `"code":{"text":"b"}`,
		`{"resourceType":"Basic","code":{"text":"b"}}`: "\n" + `"code":{"text":"b"}`,
	} {
		r, err := fhir.ParseResource([]byte(in))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(body(r)); got != want {
			t.Errorf("%s gives %q", in, got)
		}
	}
}

func TestSamplesAreThere(t *testing.T) {
	own, err := hospitalBodies(2)
	if err != nil || len(own) < 50 {
		t.Fatalf("%d own bodies, %v", len(own), err)
	}
	for _, b := range own {
		if bytes.Contains(b, []byte("urn:uuid:")) || bytes.Contains(b, []byte("?identifier=")) {
			t.Fatalf("an unresolved reference: %s", b)
		}
	}
	official, err := exampleBodies(testfind.Examples(t))
	if err != nil || len(official) < 500 {
		t.Fatalf("%d official bodies, %v", len(official), err)
	}
}
