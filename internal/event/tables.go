package event

import (
	"embed"
	"io/fs"

	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// Module is the name that the tables' migrations are kept under.
const Module = "event"

//go:embed migration
var migrations embed.FS

// Migrations are the tables.
func Migrations() fs.FS { return sqldb.Migrations(migrations) }

// Tables are the tables, for backups. The processes that read are not among them.
func Tables() []record.Table {
	who := []string{"created_by", "created_at", "updated_by", "updated_at", "deleted_at"}
	return []record.Table{
		{Name: "event_reader", Columns: append([]string{"tenant", "name", "position", "owner", "epoch", "tries", "failing_at", "problem"}, who...)},
		{Name: "event_dead", Columns: append([]string{"tenant", "id", "reader", "event", "part", "kind", "version", "subject", "happened_at", "tries", "problem", "state"}, who...)},
	}
}
