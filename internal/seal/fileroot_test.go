package seal

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/nilecare/nilecare/internal/fault"
)

func TestFileRootCreatesOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "root.key")
	if _, err := FileRoot(path, false); !fault.Is(err, fault.NotFound) {
		t.Fatalf("no file, no creation: %v", err)
	}
	first, err := FileRoot(path, true)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 && runtime.GOOS != "windows" {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	tenant, ad := NewKey(), []byte("tenant 1")
	wrapped, err := tenant.Wrap(first, ad)
	if err != nil {
		t.Fatal(err)
	}
	again, err := FileRoot(path, true)
	if err != nil {
		t.Fatal(err)
	}
	k, err := Unwrap(again, wrapped, ad)
	if err != nil || k.secret != tenant.secret {
		t.Fatalf("the second opening does not unwrap: %v", err)
	}
	if _, err := Unwrap(again, wrapped, []byte("tenant 2")); !fault.Is(err, fault.Internal) {
		t.Fatalf("another tenant: %v", err)
	}
	left, err := filepath.Glob(path + "?*")
	if err != nil || len(left) > 0 {
		t.Fatalf("left behind: %v, %v", left, err)
	}
}

func TestFileRootCreatedByManyIsOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "root.key")
	roots := make([]Root, 8)
	var wg sync.WaitGroup
	for i := range roots {
		wg.Go(func() {
			root, err := FileRoot(path, true)
			if err != nil {
				t.Error(err)
			}
			roots[i] = root
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	for _, a := range roots {
		wrapped, err := NewKey().Wrap(a, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Unwrap(roots[0], wrapped, nil); err != nil {
			t.Fatal("two creators hold two keys")
		}
	}
}

func TestFileRootRefusals(t *testing.T) {
	good := filepath.Join(t.TempDir(), "good.key")
	if _, err := FileRoot(good, true); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text []byte
		mode os.FileMode
		want string
	}{
		"group can read":   {text, 0o640, "chmod 600"},
		"others can read":  {text, 0o604, "chmod 600"},
		"others can write": {text, 0o602, "chmod 600"},
		"empty":            {nil, 0o600, "holds no keyset"},
		"cut":              {text[:len(text)/2], 0o600, "holds no keyset"},
		"no JSON":          {[]byte("hello"), 0o600, "holds no keyset"},
		"no keys":          {[]byte(`{"primaryKeyId":1,"key":[]}`), 0o600, "holds no keyset"},
		"another JSON":     {[]byte(`{"resourceType":"Patient"}`), 0o600, "holds no keyset"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.mode != 0o600 && runtime.GOOS == "windows" {
				t.Skip("no mode bits on Windows")
			}
			path := filepath.Join(t.TempDir(), "root.key")
			if err := os.WriteFile(path, c.text, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, c.mode); err != nil {
				t.Fatal(err)
			}
			for _, create := range []bool{false, true} {
				_, err := FileRoot(path, create)
				if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
					t.Fatalf("create %v: %v", create, err)
				}
			}
			if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, c.text) {
				t.Fatal("a refused file was changed")
			}
		})
	}
	if _, err := FileRoot(t.TempDir(), true); !fault.Is(err, fault.Invalid) {
		t.Fatalf("a folder: %v", err)
	}
	if _, err := FileRoot(filepath.Join(t.TempDir(), "absent", "root.key"), true); !fault.Is(err, fault.Invalid) {
		t.Fatalf("an absent folder: %v", err)
	}
}

func TestRotateFileRoot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "root.key")
	if _, err := RotateFileRoot(path); !fault.Is(err, fault.NotFound) {
		t.Fatalf("rotation of nothing: %v", err)
	}
	before, err := FileRoot(path, true)
	if err != nil {
		t.Fatal(err)
	}
	old, err := NewKey().Wrap(before, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		after, err := RotateFileRoot(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Unwrap(after, old, nil); err != nil {
			t.Fatalf("what the old key wrapped: %v", err)
		}
		fresh, err := NewKey().Wrap(after, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Unwrap(before, fresh, nil); err != nil {
			t.Fatalf("a process that read the file before the rotation: %v", err)
		}
		reread, err := FileRoot(path, false)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range [][]byte{old, fresh} {
			if _, err := Unwrap(reread, w, nil); err != nil {
				t.Fatalf("after reading the file again: %v", err)
			}
		}
	}
}

func TestOneRotationAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "root.key")
	if _, err := FileRoot(path, true); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".rotating", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := RotateFileRoot(path); !fault.Is(err, fault.Conflict) || !errors.Is(err, os.ErrExist) {
		t.Fatalf("a second rotation: %v", err)
	}
}
