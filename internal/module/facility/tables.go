package facility

import (
	"embed"
	"io/fs"

	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
)

//go:embed migration
var migrations embed.FS

// Migrations are the module's tables, by engine, for [record.Ledger.Migrate].
func Migrations() fs.FS { return sqldb.Migrations(migrations) }

// Tables are the module's tables, for backups.
func Tables() []record.Table {
	who := []string{"created_by", "created_at", "updated_by", "updated_at"}
	rows := append(who[:len(who):len(who)], "deleted_at")
	table := func(name string, who []string, columns ...string) record.Table {
		return record.Table{Name: name, Columns: append(append([]string{"tenant"}, columns...), who...)}
	}
	return []record.Table{
		table("facility_organization", rows, "id", "kind", "name", "code", "class", "status", "part_of"),
		table("facility_place", rows, "id", "kind", "name", "code", "class", "status", "part_of", "organization", "ward", "department", "facility", "capacity"),
		table("facility_bed", rows, "id", "label", "equipment", "state", "occupant", "encounter", "since", "expected", "held_for", "held_until", "turn", "changed_at"),
		table("facility_stay", who, "id", "encounter", "location", "occupant", "contested", "since", "expected", "ended_at"),
		table("facility_setting", who, "facility", "settings"),
	}
}
