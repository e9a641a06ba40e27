package sqldb

import (
	"github.com/ncruces/go-sqlite3/util/vfsutil"
	"github.com/ncruces/go-sqlite3/vfs"
)

// SQLite writes its log page by page, each in two writes, and only then asks for it to be made durable: a commit of thirty
// pages is sixty system calls. walVFS gathers what is written to the log in one place behind the other, and hands it to the
// system as one write before the flush. Nobody else may read those pages before that: SQLite tells other connections of them
// only after the flush (synchronous=FULL), and what a crash takes away was not committed.
type walVFS struct{ vfs.VFS }

// walVFSName is what the VFS is registered as.
const walVFSName = "nilecare"

// registerVFS makes the VFS known to SQLite; again does no harm.
func registerVFS() { vfs.Register(walVFSName, walVFS{vfs.Find("")}) }

// Open implements vfs.VFS.
func (w walVFS) Open(name string, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	return w.VFS.Open(name, flags)
}

// OpenFilename implements vfs.VFSFilename.
func (w walVFS) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	f, flags, err := vfsutil.WrapOpenFilename(w.VFS, name, flags)
	if err != nil || flags&vfs.OPEN_WAL == 0 {
		return f, flags, err
	}
	return &walFile{File: f}, flags, nil
}

// walFile is the log, with what was written since the last flush.
type walFile struct {
	vfs.File
	held []byte
	at   int64 // where held begins
}

// walHeld is how much is held at most.
const walHeld = 1 << 20

// WriteAt implements io.WriterAt.
func (f *walFile) WriteAt(p []byte, off int64) (int, error) {
	if len(f.held) > 0 && (off != f.at+int64(len(f.held)) || len(f.held)+len(p) > walHeld) {
		if err := f.release(); err != nil {
			return 0, err
		}
	}
	if len(f.held) == 0 {
		f.at = off
	}
	f.held = append(f.held, p...)
	return len(p), nil
}

// release writes what is held.
func (f *walFile) release() error {
	if len(f.held) == 0 {
		return nil
	}
	_, err := f.File.WriteAt(f.held, f.at)
	f.held = f.held[:0]
	return err
}

// ReadAt implements io.ReaderAt.
func (f *walFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.release(); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

// Sync implements vfs.File.
func (f *walFile) Sync(flags vfs.SyncFlag) error {
	if err := f.release(); err != nil {
		return err
	}
	return f.File.Sync(flags)
}

// Truncate implements vfs.File.
func (f *walFile) Truncate(size int64) error {
	if err := f.release(); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

// Size implements vfs.File.
func (f *walFile) Size() (int64, error) {
	if err := f.release(); err != nil {
		return 0, err
	}
	return f.File.Size()
}

// Close implements io.Closer.
func (f *walFile) Close() error {
	err := f.release()
	if e := f.File.Close(); err == nil {
		err = e
	}
	return err
}
