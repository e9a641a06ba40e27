package sqldb

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
)

// Migrations is the folder "migration" that a package embeds, by engine, for a Migrate. It panics where nothing is embedded under that name.
func Migrations(embedded fs.FS) fs.FS {
	folder, err := fs.Sub(embedded, "migration")
	if err != nil {
		panic("migrations: " + err.Error()) // only for a path that is none
	}
	return folder
}

func migrate(ctx context.Context, dialect goose.Dialect, db *sql.DB, fsys fs.FS, table string, more ...goose.ProviderOption) (int, error) {
	store, err := database.NewStore(dialect, table)
	if err != nil {
		return 0, fmt.Errorf("migrate %s: %w", table, err)
	}
	options := append([]goose.ProviderOption{goose.WithStore(store), goose.WithLogger(goose.NopLogger())}, more...)
	p, err := goose.NewProvider("", db, fsys, options...)
	if err != nil {
		return 0, fmt.Errorf("migrate %s: %w", table, err)
	}
	have, want, err := p.GetVersions(ctx)
	if err != nil {
		return 0, fmt.Errorf("migrate %s: %w", table, err)
	}
	if have > want {
		return 0, fmt.Errorf("migrate %s: the database has schema version %d and this program knows %d: use a newer nilecare", table, have, want)
	}
	done, err := p.Up(ctx)
	if err != nil {
		return len(done), fmt.Errorf("migrate %s: %w", table, err)
	}
	return len(done), nil
}
