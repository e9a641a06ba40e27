package clinical

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"

	"github.com/nilecare/nilecare/internal/event"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/web/api"
)

// Module is the name that the tables' migrations are kept under.
const Module = "clinical"

//go:embed migration
var migrations embed.FS

// Migrations are the module's tables, by engine, for [record.Ledger.Migrate].
func Migrations() fs.FS { return sqldb.Migrations(migrations) }

// Tables are the module's tables, for backups.
func Tables() []record.Table { return append(patientTables(), recordTables()...) }

// Options says what the service works with.
type Options struct {
	Records *flat.Records
	Ledger  *record.Ledger
	Log     *slog.Logger
}

// Service is the module's verbs.
type Service struct {
	Options
	visits flat.Scan[string] // of a day: the patients of its encounters
	totals totals            // of listings of patients
}

// New returns the service.
func New(_ context.Context, o Options) (*Service, error) { return &Service{Options: o}, nil }

// Rules are the invariants of the module's types: of several for one type each is asked, those of patients first.
func Rules(l *record.Ledger) map[string]record.Rule {
	all := map[string]record.Rule{}
	for _, part := range []map[string]record.Rule{patientRules(l), recordRules(l)} {
		for typ, rule := range part {
			all[typ] = both(all[typ], rule)
		}
	}
	return all
}

// both asks a, where there is one, and then b.
func both(a, b record.Rule) record.Rule {
	if a == nil {
		return b
	}
	return func(ctx context.Context, tx record.Tx, old, new *fhir.Resource) error {
		if err := a(ctx, tx, old, new); err != nil {
			return err
		}
		return b(ctx, tx, old, new)
	}
}

// adopters are what enters records of before into the module's ledgers, by type.
func adopters(l *record.Ledger) map[string]adopter {
	all := patientAdopters(l)
	for typ, f := range recordAdopters(l) {
		if all[typ] != nil {
			panic(fmt.Sprintf("clinical: two adopt %s", typ)) // a defect of the program, met at its start
		}
		all[typ] = f
	}
	return all
}

// adopter enters a record of before into a ledger.
type adopter = func(ctx context.Context, tx record.Tx, r *fhir.Resource) error

// Adopts names the types whose records of before are told to [Adopt] once.
func Adopts() []string {
	var types []string
	for typ := range adopters(nil) {
		types = append(types, typ)
	}
	slices.Sort(types)
	return types
}

// Adopt enters a record of before into the module's ledgers.
func Adopt(l *record.Ledger) func(ctx context.Context, tx record.Tx, r *fhir.Resource) error {
	all := adopters(l)
	return func(ctx context.Context, tx record.Tx, r *fhir.Resource) error {
		if f := all[r.Type()]; f != nil {
			return f(ctx, tx, r)
		}
		return nil
	}
}

// Source says what the changes of the module's types mean.
func Source() event.Source {
	patients, records := patientSource(), recordSource()
	return event.Source{
		Kinds: append(patients.Kinds, records.Kinds...),
		Types: append(patients.Types, records.Types...),
		Tell: func(c event.Change) []event.Fact {
			var facts []event.Fact
			for _, part := range []event.Source{patients, records} {
				if slices.Contains(part.Types, c.Type) {
					facts = append(facts, part.Tell(c)...)
				}
			}
			return facts
		},
	}
}

// Routes are the module's lines of the product API.
func (s *Service) Routes() []api.Route { return append(s.patientRoutes(), s.recordRoutes()...) }
