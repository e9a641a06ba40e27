package notification

import (
	"context"
	"embed"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/nilecare/nilecare/internal/clock"
	"github.com/nilecare/nilecare/internal/event"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/job"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
)

//go:embed migration
var migrations embed.FS

// Module is the name that the tables' migrations are kept under.
const Module = "notification"

// Migrations are the tables, by engine, for [record.Ledger.Migrate].
func Migrations() fs.FS { return sqldb.Migrations(migrations) }

// Tables are the tables, for backups.
func Tables() []record.Table {
	return []record.Table{
		{Name: "notification_message", Columns: []string{"tenant", "id", "key", "user_id", "patient", "about", "channel", "type", "priority", "link", "content", "status", "reason",
			"tries", "at", "next_at", "until_at", "sent_at", "read_at", "created_by", "created_at", "updated_by", "updated_at", "deleted_at"}},
		{Name: "notification_preference", Columns: []string{"tenant", "user_id", "channel", "type", "enabled", "created_by", "created_at", "updated_by", "updated_at"}},
	}
}

// The channels.
const (
	Email     = "email"
	SMS       = "sms"
	WebSocket = "websocket" // in the program
	push      = "push"      // of the contract; nobody carries it
)

// The states of a message. One in the program that was read is told as "read".
const (
	Pending = "pending"
	Sent    = "sent"
	Failed  = "failed"
	read    = "read"
)

// Message is something to tell somebody.
type Message struct {
	Key      string // one message a tenant and key: putting it again does nothing; "": none
	Channel  string // email, sms, or websocket: in the program alone
	User     int64  // the user that it is for; 0: whoever is at the address
	Patient  string // "Patient/1", by FHIR id: the patient that it is for, whose address, or user, is looked up; "" where User or To says it
	To       string // an address or number, "" where User or Patient says it
	About    string // "Patient/1": whom of the patients it speaks of, so that erasing one takes it along; "": Patient
	Type     string // "appointment.reminder"
	Title    string // of a mail and in the program
	Body     string
	TitleAr  string // in Arabic, for those who prefer it; "": Title
	BodyAr   string
	Priority string // low, normal, high, urgent; "": normal
	Link     string // the resource that it is about: "Appointment/12"
	Payload  []byte // JSON for clients, sealed like the text; nil: none
	At       time.Time
	Until    time.Time // it is of no use later; zero: a week after At
}

// Sender hands a message to a carrier outside. Its error says nothing that the message says, or is one of net, net/textproto or context, of which the kind alone is told.
type Sender interface {
	Send(ctx context.Context, to, title, body string) error
}

// Contact is how a user is reached.
type Contact struct {
	Active       bool
	Email, Phone string
	Language     string // "ar-SD"
}

// People is what this package asks about users.
type People interface {
	// Contact tells how a user is reached; NotFound where there is none of that number.
	Contact(ctx context.Context, tenant int32, user int64) (Contact, error)
	// UserOf returns the user whose own record a patient's ("Patient/1") is; 0 where there is none.
	UserOf(ctx context.Context, tenant int32, patient string) (int64, error)
}

// Options says what the service works with.
type Options struct {
	Records *flat.Records
	Ledger  *record.Ledger
	Jobs    *job.Runner
	Hub     *event.Hub
	People  People // nil: there are no users
	Mail    Sender // nil: mail waits
	SMS     Sender // nil: text messages wait
	Log     *slog.Logger
	Clock   clock.Clock                                // nil: the machine's
	Tenants func(ctx context.Context) ([]int32, error) // whose changes are told; nil: the first alone
	Poll    time.Duration                              // how often changes are looked for; 0: a second, or 20 ms a tenant where that is more
}

// Service is the module's verbs.
type Service struct {
	Options
	woken chan struct{}

	mu    sync.Mutex
	tells []func(tenant int32, user int64, n Told)
}

// New returns the service, and has its jobs done.
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
	s := &Service{Options: o, woken: make(chan struct{}, 1)}
	s.handle()
	return s, nil
}

func (s *Service) now() time.Time { return s.Clock().UTC() }
