package seal

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/nilecare/nilecare/internal/fault"
)

// RootFile is the root key of a file, which may be rotated while the process runs: the file is read again when it was replaced, before
// something is wrapped and when something does not unwrap. It is safe for concurrent use.
type RootFile struct {
	path string
	mu   sync.RWMutex
	keys *rootKeys
}

var _ Root = (*RootFile)(nil)

// rootKeys is one state of the file.
type rootKeys struct {
	aead    tink.AEAD
	primary uint32
	ids     []uint32    // the primary first
	file    os.FileInfo // nil: not known
}

func newRootFile(path string, handle *keyset.Handle) (*RootFile, error) {
	keys, err := readRootKeys(path, handle)
	if err != nil {
		return nil, err
	}
	return &RootFile{path: path, keys: keys}, nil
}

func readRootKeys(path string, handle *keyset.Handle) (*rootKeys, error) {
	root, err := primitive(path, handle)
	if err != nil {
		return nil, err
	}
	k := &rootKeys{aead: root}
	for i := range handle.Len() {
		e, err := handle.Entry(i)
		if err != nil {
			return nil, keyFileFault(path, "its keys cannot be listed", nil)
		}
		if e.IsPrimary() {
			k.primary = e.KeyID()
			k.ids = slices.Insert(k.ids, 0, e.KeyID())
		} else {
			k.ids = append(k.ids, e.KeyID())
		}
	}
	return k, nil
}

// Encrypt wraps by the file's newest key.
func (r *RootFile) Encrypt(plaintext, associatedData []byte) ([]byte, error) {
	if err := r.Reload(); err != nil {
		return nil, err
	}
	return r.state().aead.Encrypt(plaintext, associatedData)
}

// Decrypt unwraps what any key of the file wrapped.
func (r *RootFile) Decrypt(ciphertext, associatedData []byte) ([]byte, error) {
	plain, err := r.state().aead.Decrypt(ciphertext, associatedData)
	if err == nil || r.Reload() != nil {
		return plain, err
	}
	return r.state().aead.Decrypt(ciphertext, associatedData)
}

func (r *RootFile) state() *rootKeys {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.keys
}

// Reload reads the file again where it was replaced since it was read. On an error the keys in memory stay.
func (r *RootFile) Reload() error {
	info, err := os.Stat(r.path)
	if err != nil {
		return keyFileFault(r.path, "it cannot be read", err)
	}
	if was := r.state().file; was != nil && os.SameFile(was, info) && was.ModTime().Equal(info.ModTime()) && was.Size() == info.Size() {
		return nil
	}
	handle, err := readKeyFile(r.path)
	if err != nil {
		return err
	}
	keys, err := readRootKeys(r.path, handle)
	if err != nil {
		return err
	}
	keys.file = info // taken before reading: a file that was replaced in between is read once more next time
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys = keys
	return nil
}

// Rotate is [RotateFileRoot] of this file; from then on the new key wraps.
func (r *RootFile) Rotate() error {
	if _, err := RotateFileRoot(r.path); err != nil {
		return err
	}
	return r.Reload()
}

// Keys returns the ids of the file's keys, the one that wraps first.
func (r *RootFile) Keys() []uint32 { return slices.Clone(r.state().ids) }

// prefixSize is the length of what Tink puts before a ciphertext: a byte 1 and the key's id.
const prefixSize = 5

// WrappedBy returns the id of the key that wrapped the bytes; ok is false where they do not say so.
func (r *RootFile) WrappedBy(wrapped []byte) (id uint32, ok bool) {
	if len(wrapped) < prefixSize || wrapped[0] != 1 {
		return 0, false
	}
	return binary.BigEndian.Uint32(wrapped[1:prefixSize]), true
}

// Newest reports whether the file's newest key wrapped the bytes.
func (r *RootFile) Newest(wrapped []byte) bool {
	id, ok := r.WrappedBy(wrapped)
	return ok && id == r.state().primary
}

// settle is how long after a rotation no key is taken out of the file: a process that looked at the file just before may still be
// storing what the older key wrapped.
const settle = time.Minute

// Retire takes all keys but the newest out of the file. inUse is asked, under the file's lock, whether something is still
// wrapped by the key of that id; then, or within a minute of a rotation, it is a Conflict and the file stays as it is. It returns
// the ids that went. What they wrapped, in older backups among others, opens with an older copy of the file alone.
func (r *RootFile) Retire(now time.Time, inUse func(id uint32) (bool, error)) ([]uint32, error) {
	info, err := os.Stat(r.path)
	if err != nil {
		return nil, keyFileFault(r.path, "it cannot be read", err)
	}
	if now.Sub(info.ModTime()) < settle {
		return nil, fault.New(fault.Conflict, "key file %s: it was changed less than a minute ago; try again later", r.path)
	}
	var gone []uint32
	_, err = replaceKeyFile(r.path, func(handle *keyset.Handle) (*keyset.Handle, error) {
		keys, err := readRootKeys(r.path, handle)
		if err != nil {
			return nil, err
		}
		if len(keys.ids) == 1 {
			return nil, errNothingToRetire
		}
		m := keyset.NewManagerFromHandle(handle)
		for _, id := range keys.ids[1:] {
			used, err := inUse(id)
			if err != nil {
				return nil, err
			}
			if used {
				return nil, fault.New(fault.Conflict, "key file %s: keys are still wrapped by key %d", r.path, id)
			}
			if err := m.Delete(id); err != nil {
				return nil, err
			}
			gone = append(gone, id)
		}
		return m.Handle()
	})
	if errors.Is(err, errNothingToRetire) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return gone, r.Reload()
}

var errNothingToRetire = errors.New("seal: there is one key only")

// RewrapFile wraps anew, by the root's newest key, what the root wrapped into the file at path under the associated data. The new file, of
// mode 0600, replaces the old one in one step. NotFound where there is none.
func RewrapFile(path string, root Root, associatedData []byte) error {
	wrapped, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.NotFound, "key file %s: there is none", path).Because(err)
	}
	if err != nil {
		return keyFileFault(path, "it cannot be read", err)
	}
	secret, err := root.Decrypt(wrapped, associatedData)
	if err != nil {
		return keyFileFault(path, "it was changed, or the root key is another one", err)
	}
	defer clear(secret)
	fresh, err := root.Encrypt(secret, associatedData)
	if err != nil {
		return keyFileFault(path, "it cannot be wrapped", err)
	}
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return keyFileFault(path, "its successor cannot be created", err)
	}
	_, err = f.Write(fresh)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(keyFileFault(path, "it cannot be replaced", err), os.Remove(f.Name()))
	}
	return syncDir(dir)
}
