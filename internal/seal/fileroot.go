package seal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/nilecare/nilecare/internal/fault"
)

// maxKeyFile bounds what is read as a key file; a keyset of a thousand rotations stays below it.
const maxKeyFile = 1 << 20

// FileRoot returns the root key that the file at path holds: a Tink keyset in JSON, in the clear, of AES-256-GCM keys. Losing
// the file is losing every record, so keep a copy of it apart from the database's backups.
//
// Where there is no file and create is true, a new key is made and is on disk before FileRoot returns; several processes that start
// at once agree on one. create must be false where a database already stands, or its records would become unreadable without a word.
// Errors: NotFound where there is no file; Invalid where it can be read or written by others than its owner, is not a regular
// file, or holds no keyset. The root is a *[RootFile].
func FileRoot(path string, create bool) (Root, error) {
	handle, err := readKeyFile(path)
	if fault.Is(err, fault.NotFound) && create {
		handle, err = createKeyFile(path)
	}
	if err != nil {
		return nil, err
	}
	return asRoot(newRootFile(path, handle))
}

// asRoot keeps a nil pointer from becoming a root that is not nil.
func asRoot(r *RootFile, err error) (Root, error) {
	if err != nil {
		return nil, err
	}
	return r, nil
}

// RotateFileRoot adds a fresh key to the file at path and makes it the one that wraps; keys that the older ones wrapped still
// unwrap. The new file replaces the old one in one step, with one rotation at a time. Processes that have the file open as a [RootFile]
// read it again when they need it. Where the file is a copy on several machines, bring the new one to all before anything is
// wrapped by it.
func RotateFileRoot(path string) (Root, error) {
	return asRoot(replaceKeyFile(path, withFreshPrimary))
}

// replaceKeyFile puts in the file's place what change makes of its keys.
func replaceKeyFile(path string, change func(*keyset.Handle) (*keyset.Handle, error)) (*RootFile, error) {
	if _, err := readKeyFile(path); err != nil {
		return nil, err
	}
	// The successor's fixed name with O_EXCL is the lock: the file is read again under it, so no rotation undoes another.
	next := path + ".rotating"
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fault.New(fault.Conflict, "key file %s: another rotation runs or was cut off; if none runs, remove %s", path, next).Because(err)
	}
	if err != nil {
		return nil, keyFileFault(path, "its successor cannot be created", err)
	}
	handle, err := writeSuccessor(path, f, change)
	if err == nil {
		err = os.Rename(next, path)
	}
	if err != nil {
		_ = os.Remove(next)
		if fault.Is(err, fault.Conflict) {
			return nil, err
		}
		return nil, keyFileFault(path, "it cannot be rotated", err)
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return nil, keyFileFault(path, "its folder cannot be synced", err)
	}
	return newRootFile(path, handle)
}

// writeSuccessor writes to f what change makes of the keys that stand at path; it closes f.
func writeSuccessor(path string, f *os.File, change func(*keyset.Handle) (*keyset.Handle, error)) (*keyset.Handle, error) {
	handle, err := readKeyFile(path)
	if err == nil {
		handle, err = change(handle)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return handle, writeKeyset(f, handle)
}

func withFreshPrimary(handle *keyset.Handle) (*keyset.Handle, error) {
	m := keyset.NewManagerFromHandle(handle)
	id, err := m.Add(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, err
	}
	if err := m.SetPrimary(id); err != nil {
		return nil, err
	}
	return m.Handle()
}

func primitive(path string, handle *keyset.Handle) (tink.AEAD, error) {
	root, err := aead.New(handle)
	if err != nil {
		return nil, keyFileFault(path, "the keys are not for authenticated encryption", err)
	}
	return root, nil
}

func readKeyFile(path string) (*keyset.Handle, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.NotFound, "key file %s: there is none", path).Because(err)
	}
	if err != nil {
		return nil, keyFileFault(path, "it cannot be opened", err)
	}
	defer func() { _ = f.Close() }()
	if err := checkPrivate(path, f); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return nil, keyFileFault(path, "it cannot be read", err)
	}
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(text)))
	if err != nil {
		// Tink's error may quote what it read: it is not kept as the cause.
		return nil, keyFileFault(path, "it holds no keyset (Tink, JSON): put back the copy that was kept apart", nil)
	}
	return handle, nil
}

// checkPrivate asks the open file, not the name, so that nothing changes between question and reading.
func checkPrivate(path string, f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return keyFileFault(path, "its mode cannot be read", err)
	}
	if !info.Mode().IsRegular() {
		return keyFileFault(path, "it is not a regular file", nil)
	}
	// Windows has no such mode bits; there the folder's access list is what protects the file.
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return keyFileFault(path, fmt.Sprintf("its mode %04o lets others read or write it; run: chmod 600 %s", mode, path), nil)
	}
	return nil
}

// createKeyFile writes a temporary file and links it to its name: the name never shows half a key, and of several
// creators the first wins and the others read its key.
func createKeyFile(path string) (*keyset.Handle, error) {
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, keyFileFault(path, "a new key cannot be made", err)
	}
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, filepath.Base(path)+".new-*") // O_EXCL, mode 0600
	if err != nil {
		return nil, keyFileFault(path, "it cannot be created", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	if err := writeKeyset(f, handle); err != nil {
		return nil, keyFileFault(path, "it cannot be written", err)
	}
	err = os.Link(f.Name(), path)
	if errors.Is(err, fs.ErrExist) {
		return readKeyFile(path)
	}
	if err != nil {
		return nil, keyFileFault(path, "it cannot be given its name", err)
	}
	if err := syncDir(dir); err != nil {
		return nil, keyFileFault(path, "its folder cannot be synced", err)
	}
	return handle, nil
}

// writeKeyset writes, syncs and closes f.
func writeKeyset(f *os.File, handle *keyset.Handle) error {
	err := insecurecleartextkeyset.Write(handle, keyset.NewJSONWriter(f))
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if runtime.GOOS == "windows" {
		err = nil // folders cannot be synced there, and need not be
	}
	return errors.Join(err, d.Close())
}

func keyFileFault(path, reason string, cause error) error {
	return fault.New(fault.Invalid, "key file %s: %s", path, reason).Because(cause)
}
