package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	ledger "github.com/nilecare/nilecare/internal/audit"
	"github.com/nilecare/nilecare/internal/clock"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/module/audit"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/record/sqlite"
	"github.com/nilecare/nilecare/internal/seal"
)

// fhirPath is where the FHIR API stands below the base URL.
const fhirPath = "/fhir/R4"

// opened is the store and what its opening did.
type opened struct {
	*record.Store
	migrated, indexed int
	log               *ledger.Log // the audit
	detect            *audit.Detector
	platform          *platform // what serves on it; nil until it does
	program           *Program
}

// services returns the services on the store: those that serve, or for a command that runs alone ones of its own.
func (o *opened) services(ctx context.Context) (*platform, error) {
	if o.platform == nil {
		x, err := o.program.platform(ctx, o, o.program.address(o.program.cfg.Listen, false), o.program.logger())
		if err != nil {
			return nil, err
		}
		o.platform = x
	}
	return o.platform, nil
}

// Close writes what the audit still has to say, then closes the store.
func (o *opened) Close() error {
	if o.detect != nil {
		o.detect.Close()
	}
	return errors.Join(o.log.Close(), o.Store.Close())
}

// open opens the database that the settings name, with the keys of the data folder; both are made where there are none. Its
// schema is brought forward, and an index that was made by the rules of another version is made anew.
func (p *Program) open(ctx context.Context) (*opened, error) {
	store, err := p.openAsItIs(ctx)
	if err != nil {
		return nil, err
	}
	if err := p.reindex(ctx, store, "the search index was made by another version: making it anew …"); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return store, nil
}

// reindex makes the search index anew where that is needed, and says why before it does.
func (p *Program) reindex(ctx context.Context, store *opened, why string) error {
	old, err := store.NeedsReindex(ctx)
	if err != nil || !old {
		return err
	}
	fmt.Fprintln(p.Err, why)
	said := time.Now()
	return store.Reindex(ctx, func(n int) {
		store.indexed = n
		if time.Since(said) > 10*time.Second {
			said = time.Now()
			fmt.Fprintf(p.Err, "%d records are indexed\n", n)
		}
	})
}

// openAsItIs is open without a look at the index. A root key is never made for a database that stands already: its records
// would be lost without a word.
func (p *Program) openAsItIs(ctx context.Context) (*opened, error) {
	if err := os.MkdirAll(p.cfg.Data, 0o700); err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	root, made, err := p.rootKey(!p.databaseStands())
	if err != nil {
		return nil, err
	}
	store, err := p.openWith(ctx, root)
	if err != nil && made {
		// A key that opened nothing must not stand in the way of the right one.
		err = errors.Join(err, os.Remove(p.rootKeyFile()))
	}
	return store, err
}

// openExisting opens the database as it is for a command that makes nothing: where there is none, or no root key, it fails
// and leaves the disk as it was. A mistyped folder must not pass for an empty database.
func (p *Program) openExisting(ctx context.Context) (*opened, error) {
	if p.cfg.Database == "" && !p.databaseStands() {
		return nil, fmt.Errorf("there is no database in %s", p.cfg.Data)
	}
	root, _, err := p.rootKey(false)
	if err != nil {
		return nil, err
	}
	if p.cfg.Database != "" {
		if err := holdsRecords(ctx, p.cfg.Database); err != nil {
			return nil, err
		}
	}
	return p.openWith(ctx, root)
}

// holdsRecords fails where a database on a server was never used by this program: opening it would make its tables.
func holdsRecords(ctx context.Context, url string) error {
	cfg, err := pgxpool.ParseConfig(url) // the URL may bear settings of the pool
	if err != nil {
		return errors.New("database: the URL cannot be understood")
	}
	c, err := pgx.ConnectConfig(ctx, cfg.ConnConfig)
	if err != nil {
		return fmt.Errorf("database: %w", err)
	}
	var holds bool
	err = c.QueryRow(ctx, "SELECT to_regclass('record') IS NOT NULL").Scan(&holds)
	if err = errors.Join(err, c.Close(ctx)); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	if !holds {
		return errors.New("there is no database of this program's at the server that --database names")
	}
	return nil
}

func (p *Program) openWith(ctx context.Context, root seal.Root) (*opened, error) {
	e, err := p.engine(ctx, root)
	if err != nil {
		return nil, err
	}
	base := ""
	if p.cfg.BaseURL != "" {
		base = p.cfg.BaseURL + fhirPath
	}
	o := &opened{program: p}
	o.log = ledger.NewLog(ledger.Options{Anchors: p.anchorsFile(), Log: p.logger(), Watch: func(batch []ledger.Entry) { o.detect.Watch(batch) }})
	o.detect = audit.NewDetector(o.log, clock.System, nil)
	if o.Store, err = record.New(ctx, e, record.Options{Root: root, Base: base, Audit: o.log, Tables: moduleTables()}); err != nil {
		o.detect.Close()
		return nil, errors.Join(err, o.log.Close(), e.Close())
	}
	if err := migrateModules(ctx, o.Ledger()); err != nil {
		return nil, errors.Join(err, o.Close())
	}
	if err := govern(ctx, o.Store); err != nil {
		return nil, errors.Join(err, o.Close())
	}
	o.migrated = e.Migrated()
	o.log.Start(o.Ledger())
	return o, nil
}

// databaseStands reports whether there is an embedded database. Of a server nothing is known before it is asked.
func (p *Program) databaseStands() bool {
	if p.cfg.Database != "" {
		return false
	}
	info, err := os.Stat(filepath.Join(p.cfg.Data, sqlite.FileName))
	return err == nil && info.Size() > 0
}

func (p *Program) rootKeyFile() string {
	if p.cfg.RootKeyFile != "" {
		return p.cfg.RootKeyFile
	}
	return filepath.Join(p.cfg.Data, "root.key")
}

// rootKey reads the root key, and makes it where it may; made says that it did.
func (p *Program) rootKey(create bool) (root seal.Root, made bool, err error) {
	root, err = seal.FileRoot(p.rootKeyFile(), false)
	if !fault.Is(err, fault.NotFound) {
		return root, false, err
	}
	if !create {
		where := p.cfg.Data
		if p.cfg.Database != "" {
			where = "the server that --database names"
		}
		return nil, false, fmt.Errorf("%w: a database stands in %s, and only its own root key opens it; bring that file back, or name it with --root-key-file", err, where)
	}
	root, err = seal.FileRoot(p.rootKeyFile(), true)
	return root, err == nil, err
}

// fileKeyName is the file of the data folder that holds the sealed key of the database file.
const fileKeyName = "file.key"

// fileKeyData binds the sealed key of the database file to its purpose.
const fileKeyData = "nilecare database file"

// fileKey returns the key that seals the whole embedded file, nil where it is not sealed. It lies beside the database,
// sealed by the root key.
func (p *Program) fileKey(root seal.Root) ([]byte, error) {
	path := filepath.Join(p.cfg.Data, fileKeyName)
	sealed, err := os.ReadFile(path)
	switch {
	case err == nil:
		key, err := root.Decrypt(sealed, []byte(fileKeyData))
		if err != nil || len(key) != 32 {
			return nil, fmt.Errorf("%s cannot be opened: it was changed, or the root key is another one", path)
		}
		return key, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("encrypt-database: %w", err)
	case !p.cfg.EncryptDatabase:
		return nil, nil
	case p.databaseStands():
		return nil, fmt.Errorf("encrypt-database: the database in %s is not sealed as a whole; to seal it, make a backup and restore it into an empty folder with this setting", p.cfg.Data)
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails: the program ends when the system has no randomness
	if sealed, err = root.Encrypt(key, []byte(fileKeyData)); err != nil {
		return nil, fmt.Errorf("encrypt-database: %w", err)
	}
	return key, writeDurably(path, sealed)
}

// writeDurably writes a new file of mode 0600 and returns when it is on the disk.
func writeDurably(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// empty reports whether nothing was ever stored.
func (o *opened) empty(ctx context.Context) (bool, error) {
	page, err := o.History(ctx, record.HistoryQuery{Count: 1})
	return err == nil && len(page.Versions) == 0, err
}
