package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
)

// database is a fresh one, and how the program is told of it.
type database struct {
	name  string
	flags []string
	dir   string // the data folder
	admin string // URL of the PostgreSQL server, or ""
	own   string // URL of the database on it
	table string // its name
}

func openDatabase(ctx context.Context, o options, dir, name string) (*database, error) {
	db := &database{name: name, dir: filepath.Join(dir, "data-"+name)}
	db.flags = []string{"--data", db.dir}
	switch name {
	case "sqlite":
		return db, os.Mkdir(db.dir, 0o700)
	case "postgres":
	default:
		return nil, errors.New("-engines: sqlite or postgres")
	}
	if o.postgres == "" {
		return nil, errors.New("NILECARE_TEST_POSTGRES is not set: scripts/with-postgres bench/run sets it")
	}
	u, err := url.Parse(o.postgres)
	if err != nil {
		return nil, errors.New("NILECARE_TEST_POSTGRES is no URL")
	}
	db.admin, db.table = o.postgres, fmt.Sprintf("nilecare_bench_%d", os.Getpid())
	u.Path = "/" + db.table
	db.own = u.String()
	db.flags = append(db.flags, "--database", db.own)
	if err := os.Mkdir(db.dir, 0o700); err != nil {
		return nil, err
	}
	return db, db.exec(ctx, "CREATE DATABASE "+db.table)
}

func (db *database) exec(ctx context.Context, sql string) error {
	c, err := pgx.Connect(ctx, db.admin)
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	_, err = c.Exec(ctx, sql)
	return err
}

// size is how many bytes the database takes on disk; on SQLite with its log, while nothing runs on it. PostgreSQL's own log is not counted: it is given back.
func (db *database) size(ctx context.Context) (int64, error) {
	if db.admin != "" {
		return db.postgresSize(ctx)
	}
	var total int64
	err := filepath.WalkDir(db.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.Contains(e.Name(), ".db") && !strings.Contains(e.Name(), "sqlite") {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		total += info.Size()
		return nil
	})
	return total, err
}

func (db *database) postgresSize(ctx context.Context) (int64, error) {
	c, err := pgx.Connect(ctx, db.own)
	if err != nil {
		return 0, err
	}
	defer c.Close(ctx)
	var size int64
	err = c.QueryRow(ctx, "SELECT pg_database_size(current_database())").Scan(&size)
	return size, err
}

func (db *database) version(ctx context.Context) string {
	if db.admin == "" {
		return ""
	}
	c, err := pgx.Connect(ctx, db.admin)
	if err != nil {
		return ""
	}
	defer c.Close(ctx)
	var v string
	if err := c.QueryRow(ctx, "SHOW server_version").Scan(&v); err != nil {
		return ""
	}
	return v
}

func (db *database) drop() {
	if db.admin == "" {
		return
	}
	if err := db.exec(context.Background(), "DROP DATABASE IF EXISTS "+db.table+" WITH (FORCE)"); err != nil {
		slog.Warn("the database is left behind", "name", db.table, "error", err)
	}
}
