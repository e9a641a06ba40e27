package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/record/postgres"
	"github.com/nilecare/nilecare/internal/record/sqlite"
	"github.com/nilecare/nilecare/internal/seal"
)

// backup is `backup FILE`: writes a consistent copy of the settings' tenant to a new file ("-": standard output), while others read and write.
func (p *Program) backup(ctx context.Context, args []string) error {
	if args[0] == "-" {
		return p.operate(ctx, "backup", nil, p.Out)
	}
	n, err := writeWhole(args[0], func(w io.Writer) error { return p.operate(ctx, "backup", nil, w) })
	if err != nil {
		return err
	}
	fmt.Fprintf(p.Out, "wrote %s (%d bytes) of tenant %d alone: other tenants have backups of their own (--tenant). It opens with the root key alone, which is not in it: "+
		"keep a copy of %s apart from it\n", args[0], n, p.cfg.Tenant, p.rootKeyFile())
	return nil
}

// writeWhole makes a new file of mode 0600 of what f writes: the whole of it, on the disk, or none. It returns the size.
func writeWhole(path string, f func(io.Writer) error) (int64, error) {
	if _, err := os.Lstat(path); err == nil {
		return 0, fmt.Errorf("%s exists already", path)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	part, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return 0, err
	}
	err = f(part)
	size, e := part.Seek(0, io.SeekCurrent)
	if err = errors.Join(err, e, part.Sync(), part.Close()); err == nil {
		err = os.Rename(part.Name(), path)
	}
	if err != nil {
		return 0, errors.Join(err, os.Remove(part.Name()))
	}
	return size, nil
}

// restore is `restore FILE`: fills an empty database from a backup ("-": standard input), and makes sure that the root key at hand
// opens it.
func (p *Program) restore(ctx context.Context, args []string) (err error) {
	in := p.In
	if args[0] != "-" {
		f, err := os.Open(args[0])
		if err != nil {
			return fmt.Errorf("restore: %w", err)
		}
		defer f.Close()
		in = f
	}
	if p.cfg.Database == "" && p.databaseStands() {
		return fmt.Errorf("restore: a database stands in %s already; restore into an empty folder", p.cfg.Data)
	}
	if err := os.MkdirAll(p.cfg.Data, 0o700); err != nil {
		return fmt.Errorf("data: %w", err)
	}
	root, _, err := p.rootKey(false)
	if fault.Is(err, fault.NotFound) {
		return fmt.Errorf("restore: %s is absent: a backup opens with the root key of the database that it was made of; put a copy there, or name it with --root-key-file", p.rootKeyFile())
	}
	if err != nil {
		return err
	}
	rows, err := p.fill(ctx, root, in)
	if err != nil {
		return err
	}
	store, err := p.openAsItIs(ctx)
	if err != nil {
		return errors.Join(fmt.Errorf("restore: the root key in %s is not that of the backup: %w", p.rootKeyFile(), err), p.discard())
	}
	// A backup does not say by which version's rules its index was made, so it is made here, and no later command has to.
	if err := p.reindex(ctx, store, "the records are there; making their search index …"); err != nil {
		return errors.Join(fmt.Errorf("restore: the records are there, their search index is not: `nilecare migrate` makes it: %w", err), store.Close())
	}
	fmt.Fprintf(p.Out, "restored %d rows; `nilecare verify` checks them\n", rows)
	return store.Close()
}

// fill restores into the engine, on which no store stands yet. What was made in vain is removed.
func (p *Program) fill(ctx context.Context, root seal.Root, in io.Reader) (int64, error) {
	e, err := p.engine(ctx, root)
	if err != nil {
		return 0, err
	}
	if err := migrateModules(ctx, e); err != nil {
		return 0, errors.Join(err, e.Close(), p.discard())
	}
	rows, err := record.Restore(ctx, e, in, moduleTables()...)
	if err = errors.Join(err, e.Close()); err != nil {
		return 0, errors.Join(fmt.Errorf("restore: %w", err), p.discard())
	}
	return rows, nil
}

// discard removes an embedded database that a failed restore made. A database on a server is left to its operator: it is empty, or
// whole but for its key.
func (p *Program) discard() error {
	if p.cfg.Database != "" {
		return nil
	}
	var err error
	for _, name := range []string{sqlite.FileName, sqlite.FileName + "-wal", sqlite.FileName + "-shm", sqlite.FileName + ".lock", fileKeyName} {
		if e := os.Remove(filepath.Join(p.cfg.Data, name)); !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// migratedEngine is an engine that says what opening it did.
type migratedEngine interface {
	record.Engine
	Migrated() int
}

// engine opens the database of the settings without a store on it.
func (p *Program) engine(ctx context.Context, root seal.Root) (migratedEngine, error) {
	if p.cfg.Database != "" {
		return postgres.Open(ctx, p.cfg.Database)
	}
	key, err := p.fileKey(root)
	if err != nil {
		return nil, err
	}
	return sqlite.Open(ctx, sqlite.Options{Dir: p.cfg.Data, Key: key})
}
