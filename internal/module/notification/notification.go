// Package notification is the notification service of the product API: what people are told, in the program, by mail and by text message.
package notification

import (
	"context"
	"io/fs"
	"log/slog"

	"github.com/nilecare/nilecare/internal/event"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/job"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/web/api"
)

// Module is the name that the tables' migrations are kept under.
const Module = "notification"

// Message is something to tell somebody.
type Message struct {
	Key      string // one message a tenant and key: putting it again does nothing
	Channel  string // email, sms, or websocket: in the program alone
	User     int64  // the user that it is for; 0: whoever is at the address
	Patient  string // "Patient/1": the patient that it is for, whose address is looked up when it is sent; "" where User or To says it
	To       string // an address or number, "" where User or Patient says it
	Type     string // "appointment.reminder"
	Title    string
	Body     string
	Priority string // low, normal, high, urgent
	Link     string // the resource that it is about: "Appointment/12"
}

// Sender hands a message to a carrier outside. Its error says nothing that the message says.
type Sender interface {
	Send(ctx context.Context, to, title, body string) error
}

// Options says what the service works with.
type Options struct {
	Records *flat.Records
	Ledger  *record.Ledger
	Jobs    *job.Runner
	Hub     *event.Hub
	Mail    Sender // nil: mail waits
	SMS     Sender // nil: text messages wait
	Log     *slog.Logger
}

// Service is the module's verbs.
type Service struct {
	Options
}

// New returns the service.
func New(_ context.Context, o Options) (*Service, error) { return &Service{o}, nil }

// Migrations are the tables.
func Migrations() fs.FS { return nil }

// Tables are the tables, for backups.
func Tables() []record.Table { return nil }

// Put puts a message into the outbox, in the transaction of the fact that it tells of. sealed is what [Service.Prepare] made of it before.
func (s *Service) Put(ctx context.Context, tx sqldb.Tx, tenant int32, sealed Prepared) error {
	return nil
}

// Prepared is a message that was sealed before its transaction began.
type Prepared struct{}

// Prepare seals a message.
func (s *Service) Prepare(ctx context.Context, tenant int32, m Message) (Prepared, error) {
	return Prepared{}, nil
}

// Routes are the module's lines of the product API.
func (s *Service) Routes() []api.Route { return nil }
