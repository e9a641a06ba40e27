package sqlite_test

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/record/recordtest"
	"github.com/nilecare/nilecare/internal/record/sqlite"
)

func TestMain(m *testing.M) {
	recordtest.Main(m, func(dir string) (record.Engine, error) {
		return sqlite.Open(context.Background(), sqlite.Options{Dir: dir})
	})
}

// place is a database in a new folder, sealed with the key where there is one.
func place(t testing.TB, key []byte) recordtest.Place {
	dir := t.TempDir()
	return recordtest.Place{
		Dir: dir,
		Open: func() (record.Engine, error) {
			return sqlite.Open(context.Background(), sqlite.Options{Dir: dir, Key: key})
		},
		Bytes: func(t testing.TB) []byte { return files(t, dir) },
	}
}

// files returns what stands in all files of a folder.
func files(t testing.TB, dir string) []byte {
	t.Helper()
	var all []byte
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		all = append(all, text...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestRecord(t *testing.T) {
	recordtest.Run(t, recordtest.Harness{New: func(t testing.TB) recordtest.Place { return place(t, nil) }})
}

// TestSealedFile demands that a file with a key of its own holds nothing in clear, and opens with that key alone.
func TestSealedFile(t *testing.T) {
	key := bytes.Repeat([]byte{7}, 32)
	p := place(t, key)
	recordtest.Sealed(t, p, func() {
		for _, name := range []string{sqlite.FileName, sqlite.FileName + "-wal"} {
			head, err := os.ReadFile(filepath.Join(p.Dir, name))
			if err == nil && bytes.HasPrefix(head, []byte("SQLite format")) {
				t.Errorf("%s is a plain database", name)
			}
		}
	})
	for name, wrong := range map[string][]byte{"another key": bytes.Repeat([]byte{8}, 32), "no key": nil} {
		e, err := sqlite.Open(context.Background(), sqlite.Options{Dir: p.Dir, Key: wrong})
		if err == nil {
			_ = e.Close()
			t.Errorf("%s opened it", name)
		} else if !strings.Contains(err.Error(), "key") {
			t.Errorf("%s: the error does not speak of a key: %v", name, err)
		}
	}
	if _, err := sqlite.Open(context.Background(), sqlite.Options{Dir: p.Dir, Key: []byte("short")}); err == nil {
		t.Error("a short key opened it")
	}
}

// TestPlainFileWithKey demands that a plain file is not taken for a sealed one.
func TestPlainFileWithKey(t *testing.T) {
	p := place(t, nil)
	e, err := p.Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if e, err := sqlite.Open(context.Background(), sqlite.Options{Dir: p.Dir, Key: bytes.Repeat([]byte{7}, 32)}); err == nil {
		_ = e.Close()
		t.Error("it opened")
	}
}

func TestFilesAreTheOwnersAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	e, err := sqlite.Open(context.Background(), sqlite.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	// The log and its index lie in the folder, which lets nobody else in.
	for _, path := range []string{dir, filepath.Join(dir, sqlite.FileName), filepath.Join(dir, sqlite.FileName+".lock")} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", filepath.Base(path), info.Mode())
		}
	}
}

func TestSecondProcessIsRefused(t *testing.T) {
	p := place(t, nil)
	e, err := p.Open()
	if err != nil {
		t.Fatal(err)
	}
	if second, err := p.Open(); err == nil {
		_ = second.Close()
		t.Error("it opened twice")
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if e, err = p.Open(); err != nil {
		t.Fatal(err)
	}
	_ = e.Close()
}
