package app

import (
	"context"
	"io/fs"

	"github.com/nilecare/nilecare/internal/event"
	"github.com/nilecare/nilecare/internal/idempotency"
	"github.com/nilecare/nilecare/internal/job"
	"github.com/nilecare/nilecare/internal/module/audit"
	"github.com/nilecare/nilecare/internal/module/clinical"
	"github.com/nilecare/nilecare/internal/module/facility"
	"github.com/nilecare/nilecare/internal/module/identity"
	"github.com/nilecare/nilecare/internal/module/identity/federation"
	"github.com/nilecare/nilecare/internal/module/identity/oauth"
	"github.com/nilecare/nilecare/internal/module/identity/passkey"
	"github.com/nilecare/nilecare/internal/module/identity/scim"
	"github.com/nilecare/nilecare/internal/module/notification"
	"github.com/nilecare/nilecare/internal/module/scheduling"
	"github.com/nilecare/nilecare/internal/module/webhook"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/token"
)

// module is what has tables of its own beside the record.
type module struct {
	name   string
	files  fs.FS
	tables []record.Table
}

// modules is the table of all of them.
func modules() []module {
	return []module{
		{audit.Module, audit.Migrations(), audit.Tables()},
		{token.Module, token.Migrations(), token.Tables()},
		{identity.Module, identity.Migrations(), identity.Tables()},
		{oauth.Module, oauth.Migrations(), oauth.Tables()},
		{federation.Module, federation.Migrations(), federation.Tables()},
		{passkey.Module, passkey.Migrations(), passkey.Tables()},
		{scim.Module, scim.Migrations(), scim.Tables()},
		{clinical.Module, clinical.Migrations(), clinical.Tables()},
		{scheduling.Module, scheduling.Migrations(), scheduling.Tables()},
		{facility.Module, facility.Migrations(), facility.Tables()},
		{job.Module, job.Migrations(), job.Tables()},
		{event.Module, event.Migrations(), event.Tables()},
		{idempotency.Module, idempotency.Migrations(), nil}, // a backup has none of it: see the package
		{notification.Module, notification.Migrations(), notification.Tables()},
		{webhook.Module, webhook.Migrations(), webhook.Tables()},
	}
}

// moduleTables are the tables that backups hold beside the record's own.
func moduleTables() []record.Table {
	var out []record.Table
	for _, m := range modules() {
		out = append(out, m.tables...)
	}
	return out
}

// migrator brings tables forward: an engine, or the ledger of a store.
type migrator interface {
	Migrate(ctx context.Context, name string, files fs.FS) error
}

func migrateModules(ctx context.Context, m migrator) error {
	for _, one := range modules() {
		if err := m.Migrate(ctx, one.name, one.files); err != nil {
			return err
		}
	}
	return nil
}
