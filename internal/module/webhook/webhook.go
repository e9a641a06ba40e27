package webhook

import (
	"context"
	"crypto/x509"
	"embed"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/nilecare/nilecare/internal/clock"
	"github.com/nilecare/nilecare/internal/event"
	"github.com/nilecare/nilecare/internal/job"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
)

//go:embed migration
var migrations embed.FS

// Module is the name that the tables' migrations are kept under.
const Module = "webhook"

// Migrations are the tables, by engine, for [record.Ledger.Migrate].
func Migrations() fs.FS { return sqldb.Migrations(migrations) }

// Tables are the tables, for backups.
func Tables() []record.Table {
	return []record.Table{
		{Name: "webhook_subscription", Columns: []string{"tenant", "id", "content", "events", "topics", "enabled", "reason", "failures", "failing_since", "closed_until", "delivered_at",
			"created_by", "created_at", "updated_by", "updated_at", "deleted_at"}},
		{Name: "webhook_delivery", Columns: []string{"tenant", "id", "subscription", "event", "replay", "type", "patient", "body", "status", "attempts", "code", "latency", "reason",
			"next_at", "tried_at", "ended_at", "created_by", "created_at", "updated_by", "updated_at"}},
	}
}

// Disabled is what is told of a webhook that the program disabled.
type Disabled struct {
	Tenant  int32
	Webhook string // its id
	User    int64  // who made it; 0: no user
	Reason  string
	At      time.Time
}

// Options says what the service works with.
type Options struct {
	Ledger *record.Ledger
	Jobs   *job.Runner
	Hub    *event.Hub
	Log    *slog.Logger
	Clock  clock.Clock // nil: the machine's
	// Networks are not public and admit receivers all the same, by http too: a clinic's own network, and tests.
	Networks []netip.Prefix
	// Disabled is told of each webhook that the program disables; nil: nobody is.
	Disabled func(ctx context.Context, d Disabled)
	Tenants  func(ctx context.Context) ([]int32, error) // whose old deliveries are deleted; nil: the first alone

	Resolver *net.Resolver  // nil: the machine's
	Roots    *x509.CertPool // who vouches for receivers; nil: whom the machine trusts
	Agent    string         // User-Agent; "": nilecare-webhook
	Source   string         // whose events these are in the test event: the server's address; "": urn:x-nilecare:server
}

// Service is the module's verbs.
type Service struct {
	Options
	secure, plain *http.Client
}

// The kinds of the module's jobs, and the name of its reader.
const (
	deliverJob = "webhook.deliver"
	reader     = "webhook"
)

// retry is three days of attempts.
var retry = job.Retry{First: 10 * time.Second, Most: 6 * time.Hour, For: 72 * time.Hour}

// New returns the service, has events read and deliveries made.
func New(_ context.Context, o Options) (*Service, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Clock == nil {
		o.Clock = clock.System
	}
	if o.Tenants == nil {
		o.Tenants = func(context.Context) ([]int32, error) { return []int32{1}, nil }
	}
	if o.Agent == "" {
		o.Agent = "nilecare-webhook"
	}
	if o.Source == "" {
		o.Source = "urn:x-nilecare:server"
	}
	s := &Service{Options: o}
	s.secure, s.plain = s.client(false), s.client(true)
	if o.Hub != nil {
		o.Hub.ReadBatch(reader, event.FromNow, s.receive)
	}
	if o.Jobs != nil {
		o.Jobs.Handle(deliverJob, job.Handler{Before: s.deliver, Within: s.delivered, Missed: s.missed, Retry: retry, Timeout: 2 * requestWithin, Parallel: 8})
	}
	return s, nil
}

func (s *Service) now() time.Time { return s.Clock().UTC() }
