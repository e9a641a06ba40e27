package seal

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
)

func rootFile(t *testing.T) (path string, root *RootFile) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "root.key")
	r, err := FileRoot(path, true)
	if err != nil {
		t.Fatal(err)
	}
	return path, r.(*RootFile)
}

func wrapped(t *testing.T, r Root) []byte {
	t.Helper()
	b, err := NewKey().Wrap(r, []byte("place"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestRootFileFollowsTheFile demands that a root that was read before a rotation wraps by the new key and opens both.
func TestRootFileFollowsTheFile(t *testing.T) {
	path, early := rootFile(t)
	old := wrapped(t, early)
	if !early.Newest(old) {
		t.Fatal("what was wrapped just now is not by the newest key")
	}
	if _, err := RotateFileRoot(path); err != nil {
		t.Fatal(err)
	}
	fresh := wrapped(t, early)
	if !early.Newest(fresh) || early.Newest(old) || len(early.Keys()) != 2 {
		t.Fatalf("after a rotation elsewhere: fresh %v, old %v, keys %v", early.Newest(fresh), early.Newest(old), early.Keys())
	}
	for _, w := range [][]byte{old, fresh} {
		if _, err := Unwrap(early, w, []byte("place")); err != nil {
			t.Error(err)
		}
	}
	// The file is gone for a moment: what is in memory goes on opening.
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	if _, err := Unwrap(early, old, []byte("place")); err != nil {
		t.Error(err)
	}
	if _, err := early.Encrypt([]byte("k"), nil); !fault.Is(err, fault.Invalid) {
		t.Errorf("wrapping without a file: %v", err)
	}
}

func TestRetireRootKeys(t *testing.T) {
	path, r := rootFile(t)
	old := wrapped(t, r)
	never := func(uint32) (bool, error) { return false, nil }
	later := time.Now().Add(2 * settle)
	if gone, err := r.Retire(later, never); err != nil || len(gone) != 0 {
		t.Fatalf("the only key: %v, %v", gone, err)
	}
	if err := r.Rotate(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Retire(time.Now(), never); !fault.Is(err, fault.Conflict) {
		t.Errorf("right after a rotation: %v", err)
	}
	id, _ := r.WrappedBy(old)
	if _, err := r.Retire(later, func(x uint32) (bool, error) { return x == id, nil }); !fault.Is(err, fault.Conflict) {
		t.Errorf("a key in use: %v", err)
	}
	broken := errors.New("broken")
	if _, err := r.Retire(later, func(uint32) (bool, error) { return false, broken }); !errors.Is(err, broken) {
		t.Errorf("a question that fails: %v", err)
	}
	if len(r.Keys()) != 2 {
		t.Fatalf("a refusal changed the keys: %v", r.Keys())
	}
	gone, err := r.Retire(later, never)
	if err != nil || len(gone) != 1 || gone[0] != id || len(r.Keys()) != 1 {
		t.Fatalf("%v went, %v stay, %v", gone, r.Keys(), err)
	}
	if _, err := Unwrap(r, old, []byte("place")); err == nil {
		t.Error("a retired key still unwraps")
	}
	if _, err := os.Stat(path + ".rotating"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the lock stays: %v", err)
	}
}

// TestRootFileUnderRotation demands that nobody fails while the file is rotated.
func TestRootFileUnderRotation(t *testing.T) {
	_, r := rootFile(t)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				w, err := NewKey().Wrap(r, nil)
				if err == nil {
					_, err = Unwrap(r, w, nil)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 20 {
		if err := r.Rotate(); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	wg.Wait()
}

func TestRewrapFile(t *testing.T) {
	dir := t.TempDir()
	_, r := rootFile(t)
	path, ad := filepath.Join(dir, "file.key"), []byte("purpose")
	if err := RewrapFile(path, r, ad); !fault.Is(err, fault.NotFound) {
		t.Errorf("none: %v", err)
	}
	sealed, err := r.Encrypt([]byte("secret"), ad)
	if err == nil {
		err = os.WriteFile(path, sealed, 0o600)
	}
	if err == nil {
		err = r.Rotate()
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := RewrapFile(path, r, []byte("other")); !fault.Is(err, fault.Invalid) {
		t.Errorf("for another purpose: %v", err)
	}
	if err := RewrapFile(path, r, ad); err != nil {
		t.Fatal(err)
	}
	sealed, err = os.ReadFile(path)
	if err != nil || !r.Newest(sealed) {
		t.Errorf("the older key still wraps it: %v", err)
	}
	if plain, err := r.Decrypt(sealed, ad); err != nil || string(plain) != "secret" {
		t.Errorf("%q, %v", plain, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if names, _ := os.ReadDir(dir); len(names) != 1 {
		t.Errorf("%d files", len(names))
	}
}
