package audit

import (
	"crypto/ed25519"
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestAnchors: anchors come back as they were written, a line that a crash cut off costs that line alone, and none can be changed.
func TestAnchors(t *testing.T) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	k := &signingKey{1, private}
	f := &anchorFile{path: filepath.Join(t.TempDir(), "anchors")}
	for i := range int64(3) {
		if err := f.append(newAnchor(&Block{Tenant: int32(1 + i%2), Num: i + 1, Total: 10 * i, Hash: []byte{1, 2, byte(i)}}, k, time.Unix(1e9+i, 0))); err != nil {
			t.Fatal(err)
		}
		if i == 0 { // a crash in the middle of a line
			text, _ := os.ReadFile(f.path)
			if err := os.WriteFile(f.path, append(text, text[:len(text)/2]...), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if info, err := os.Stat(f.path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	got, bad, err := ReadAnchors(f.path, 1)
	if err != nil || bad != 1 || len(got) != 2 || got[0].Block != 1 || got[1].Block != 3 {
		t.Fatalf("%+v, %d, %v", got, bad, err)
	}
	for i, change := range []func(*Anchor){func(a *Anchor) { a.Tenant++ }, func(a *Anchor) { a.Block++ }, func(a *Anchor) { a.Total++ }, func(a *Anchor) { a.Time = a.Time.Add(1000) }, func(a *Anchor) { a.Key++ },
		func(a *Anchor) { a.Hash = []byte{9} }, func(a *Anchor) { a.Public = a.Public[1:] }} {
		a := got[0]
		if !a.holds() {
			t.Fatal("it does not hold")
		}
		if change(&a); a.holds() {
			t.Errorf("change %d holds", i)
		}
	}
	if none, bad, err := ReadAnchors(filepath.Join(t.TempDir(), "none"), 1); err != nil || bad != 0 || none != nil {
		t.Errorf("%v %v", none, err)
	}
}
