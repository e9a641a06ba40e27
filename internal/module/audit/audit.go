package audit

import (
	"context"
	"embed"
	"io/fs"
	"strconv"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	ledger "github.com/nilecare/nilecare/internal/audit"
	"github.com/nilecare/nilecare/internal/clock"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/def"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
)

//go:embed migration
var migrations embed.FS

// Module is the name that the package's tables are migrated under.
const Module = "audit"

// Migrations are the package's tables, by engine, for [record.Ledger.Migrate].
func Migrations() fs.FS { return sqldb.Migrations(migrations) }

// Tables are the module's own, for backups.
func Tables() []record.Table {
	return []record.Table{
		{Name: "security_review", Columns: []string{"tenant", "event", "note", "created_by", "created_at", "updated_by", "updated_at", "deleted_at"}},
		{Name: "access_volume", Columns: []string{"tenant", "who", "hour", "count", "alerted"}},
	}
}

// Options says how the service works.
type Options struct {
	Ledger *record.Ledger
	Log    *ledger.Log
	Clock  clock.Clock   // nil: the system's
	Poll   time.Duration // how often a live stream looks for new events; 0: 1 s
	Beat   time.Duration // how often a live stream says that it lives; 0: 15 s
	Site   string        // names this server in an AuditEvent; "": nilecare
}

// Service is the module.
type Service struct {
	ledger *record.Ledger
	log    *ledger.Log
	clock  clock.Clock
	poll   time.Duration
	beat   time.Duration
	site   string
}

// New brings the module's tables forward and returns the service.
func New(ctx context.Context, o Options) (*Service, error) {
	s := &Service{ledger: o.Ledger, log: o.Log, clock: o.Clock, poll: o.Poll, beat: o.Beat, site: o.Site}
	if s.clock == nil {
		s.clock = clock.System
	}
	if s.poll <= 0 {
		s.poll = time.Second
	}
	if s.beat <= 0 {
		s.beat = 15 * time.Second
	}
	if s.site == "" {
		s.site = "nilecare"
	}
	return s, Migrate(ctx, o.Ledger)
}

// Migrate brings the module's tables forward.
func Migrate(ctx context.Context, l *record.Ledger) error {
	return l.Migrate(ctx, Module, Migrations())
}

// Log is what is to be read of an entry.
type Log struct {
	ledger.Entry
	Intact bool // false: the entry was changed, and what is sealed of it cannot be read
}

// Page is a part of a listing.
type Page struct {
	Logs  []Log
	Total int   // of the whole listing, as far as it was counted: mostCounted is the highest
	Next  int64 // Filter.Before of the next page; 0: this is the last
}

// mostCounted bounds the counting of a listing.
const mostCounted = 100_000

// List returns the entries that the filter wants, the newest first, from the caller's tenant.
func (s *Service) List(ctx context.Context, f ledger.Filter) (Page, error) {
	tenant := access.From(ctx).Tenant
	var p Page
	rows, err := s.find(ctx, tenant, f, func(ctx context.Context, q sqldb.Querier) error {
		counted := f
		counted.Before, counted.Offset = 0, 0
		n, err := ledger.Count(ctx, q, tenant, counted, mostCounted)
		p.Total = int(n)
		return err
	})
	if err != nil {
		return p, err
	}
	p.Logs = s.open(ctx, tenant, rows)
	if f.Limit > 0 && len(rows) == f.Limit {
		p.Next = rows[len(rows)-1].ID
	}
	return p, nil
}

func (s *Service) find(ctx context.Context, tenant int32, f ledger.Filter, more func(context.Context, sqldb.Querier) error) (rows []ledger.Row, err error) {
	err = s.ledger.View(ctx, tenant, func(q sqldb.Querier) error {
		if rows, err = ledger.Find(ctx, q, tenant, f); err != nil || more == nil {
			return err
		}
		return more(ctx, q)
	})
	return rows, err
}

// open opens rows, once no connection is held.
func (s *Service) open(ctx context.Context, tenant int32, rows []ledger.Row) []Log {
	out := make([]Log, 0, len(rows))
	for i := range rows {
		e, err := rows[i].Decode(func(what string, sealed []byte) ([]byte, error) { return s.ledger.Open(ctx, tenant, what, sealed) })
		out = append(out, Log{e, err == nil})
	}
	return out
}

// Get returns one entry. NotFound where there is none.
func (s *Service) Get(ctx context.Context, id int64) (Log, error) {
	tenant := access.From(ctx).Tenant
	rows, err := s.find(ctx, tenant, ledger.Filter{IDs: []int64{id}, Limit: 1}, nil)
	if err != nil {
		return Log{}, err
	}
	if len(rows) == 0 {
		return Log{}, fault.New(fault.NotFound, "there is no audit entry with this id")
	}
	return s.open(ctx, tenant, rows)[0], nil
}

// Each calls f for every entry that the filter wants, the oldest first, page by page.
func (s *Service) Each(ctx context.Context, f ledger.Filter, each func(Log) error) error {
	tenant := access.From(ctx).Tenant
	f.Oldest, f.Limit, f.Offset = true, 1000, 0
	for {
		rows, err := s.find(ctx, tenant, f, nil)
		if err != nil {
			return err
		}
		for _, l := range s.open(ctx, tenant, rows) {
			if err := each(l); err != nil {
				return err
			}
		}
		if len(rows) < f.Limit {
			return nil
		}
		f.After = rows[len(rows)-1].ID
	}
}

// note audits an act of the caller on the audit itself.
func (s *Service) note(ctx context.Context, e ledger.Entry) {
	c := access.From(ctx)
	e.Tenant, e.Who, e.Name, e.Client, e.Session, e.Purpose, e.Address, e.Request = c.Tenant, c.Who, c.Name, c.Client, c.Session, c.Purpose, c.Address, c.RequestID
	s.log.Note(e)
}

// patient returns the number of a patient whom a path or parameter names: a FHIR id, or the record's number.
func (s *Service) patient(ctx context.Context, id string) (int64, error) {
	return s.number(ctx, "Patient", id)
}

// number returns the number of a record of that type and FHIR id. NotFound where nothing ever bore it.
func (s *Service) number(ctx context.Context, typ, id string) (int64, error) {
	if n, err := strconv.ParseInt(id, 10, 64); err == nil && n > 0 && strconv.FormatInt(n, 10) == id {
		return n, nil
	}
	t := def.Lookup(typ)
	if t == nil || !fhir.ValidID(id) {
		return 0, fault.New(fault.NotFound, "there is no %.64s with this id", typ)
	}
	tenant := access.From(ctx).Tenant
	var num int64
	err := s.ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		_, err := sqldb.QueryRow(ctx, q, []any{&num}, "SELECT num FROM alias WHERE tenant = $1 AND type = $2 AND fid = $3", tenant, t.Num, id)
		return err
	})
	if err == nil && num == 0 {
		err = fault.New(fault.NotFound, "there is no %s with this id", typ)
	}
	return num, err
}

// ids returns the FHIR ids of records: their numbers, but for those that bear another.
func (s *Service) ids(ctx context.Context, tenant int32, wanted map[resource]string) error {
	return s.ledger.View(ctx, tenant, func(q sqldb.Querier) error {
		for r := range wanted {
			id := strconv.FormatInt(r.num, 10)
			if t := def.Lookup(r.typ); t != nil && t.Num != 0 {
				var fid string
				if _, err := sqldb.QueryRow(ctx, q, []any{&fid}, "SELECT coalesce(fid, '') FROM record WHERE tenant = $1 AND type = $2 AND num = $3", tenant, t.Num, r.num); err != nil {
					return err
				}
				if fid != "" {
					id = fid
				}
			}
			wanted[r] = id
		}
		return nil
	})
}

// resource is what an entry is about.
type resource struct {
	typ string
	num int64
}

// idsOf returns the FHIR ids of everything that the entries name.
func (s *Service) idsOf(ctx context.Context, logs []Log) (map[resource]string, error) {
	wanted := map[resource]string{}
	for i := range logs {
		for _, p := range logs[i].Patients {
			wanted[resource{"Patient", p}] = ""
		}
		if logs[i].Num != 0 {
			wanted[resource{logs[i].Type, logs[i].Num}] = ""
		}
	}
	return wanted, s.ids(ctx, access.From(ctx).Tenant, wanted)
}
