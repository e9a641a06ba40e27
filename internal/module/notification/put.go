package notification

import (
	"context"
	"encoding/json"
	"fmt"
	"net/mail"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/job"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// content is what of a message is sealed.
type content struct {
	To      string          `json:"to,omitempty"`
	Title   string          `json:"title,omitempty"`
	Body    string          `json:"body,omitempty"`
	TitleAr string          `json:"titleAr,omitempty"`
	BodyAr  string          `json:"bodyAr,omitempty"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

func place(id int64) string { return "notification.message/" + strconv.FormatInt(id, 10) }

// Bounds of a message, in characters, and how long it is of use where nobody says so.
const (
	mostTitle   = 200
	mostBody    = 10_000
	mostSMS     = 1_000
	mostPayload = 16 << 10
	usefulFor   = 7 * 24 * time.Hour
)

var (
	typeForm    = regexp.MustCompile(`^[a-z0-9]+([._:-][a-z0-9]+)*$`)
	priorities  = []string{"low", "normal", "high", "urgent"}
	allChannels = []string{Email, SMS, WebSocket}
)

// Prepared is a message that was sealed before its transaction began.
type Prepared struct {
	id              int64
	tenant          int32
	m               Message
	sealed          []byte
	status, reason  string
	made, at, until time.Time
}

// ID is the message's number.
func (p *Prepared) ID() int64 { return p.id }

// Status says what will have become of the message once it is put: pending; sent, for one in the program; failed, with the reason.
func (p *Prepared) Status() (status, reason string) { return p.status, p.reason }

// Prepare checks and seals a message, outside of any transaction. Errors are Invalid and name the field.
func (s *Service) Prepare(ctx context.Context, tenant int32, m Message) (Prepared, error) {
	p := Prepared{id: s.Ledger.Next(), tenant: tenant, made: s.now(), status: Pending}
	if err := check(&m); err != nil {
		return p, err
	}
	if m.Channel == WebSocket {
		var err error
		if p.reason, err = s.forUser(ctx, tenant, &m); err != nil {
			return p, err
		}
	}
	p.m, p.at, p.until = m, m.At, m.Until
	if p.at.Before(p.made) {
		p.at = p.made
	}
	if p.until.IsZero() {
		p.until = p.at.Add(usefulFor)
	}
	switch {
	case p.reason != "":
		p.status = Failed
	case m.Channel == WebSocket && p.at.Equal(p.made):
		p.status = Sent
	}
	if p.status == Failed {
		p.sealed = []byte{}
		return p, nil
	}
	plain, err := json.Marshal(content{m.To, m.Title, m.Body, m.TitleAr, m.BodyAr, m.Payload})
	if err == nil {
		p.sealed, err = s.Ledger.Seal(ctx, tenant, place(p.id), plain)
	}
	return p, err
}

// check refuses what is no message.
func check(m *Message) error {
	for _, text := range []*string{&m.Title, &m.Body, &m.TitleAr, &m.BodyAr, &m.To} {
		*text = strings.TrimSpace(*text)
	}
	if m.Priority == "" {
		m.Priority = "normal"
	}
	if m.About == "" {
		m.About = m.Patient
	}
	longest := mostBody
	if m.Channel == SMS {
		longest = mostSMS
	}
	bad := func(field, format string, args ...any) error { return fault.At(fault.Invalid, field, format, args...) }
	tooLong := func(s string, most int) bool { return utf8.RuneCountInString(s) > most }
	switch {
	case m.Channel == "":
		return bad("channel", "is missing: one of %s", strings.Join(allChannels, ", "))
	case m.Channel == push:
		return bad("channel", "push: nobody carries push messages here; use %s", strings.Join(allChannels, ", "))
	case !slices.Contains(allChannels, m.Channel):
		return bad("channel", "must be one of %s", strings.Join(allChannels, ", "))
	case m.Type == "":
		return bad("type", "is missing")
	case len(m.Type) > 64 || !typeForm.MatchString(m.Type):
		return bad("type", "must be lower-case words with dots between them, such as appointment.reminder")
	case !slices.Contains(priorities, m.Priority):
		return bad("priority", "must be one of %s", strings.Join(priorities, ", "))
	case m.Body == "":
		return bad("message", "is missing")
	case m.Channel == Email && m.Title == "":
		return bad("title", "is missing: a mail needs a subject")
	case tooLong(m.Body, longest) || tooLong(m.BodyAr, longest):
		return bad("message", "is longer than %d characters", longest)
	case tooLong(m.Title, mostTitle) || tooLong(m.TitleAr, mostTitle):
		return bad("title", "is longer than %d characters", mostTitle)
	case strings.ContainsFunc(m.Title+m.TitleAr, unicode.IsControl):
		return bad("title", "must be one line without control characters")
	case len(m.Payload) > mostPayload:
		return bad("payload", "is longer than %d bytes", mostPayload)
	case len(m.Key) > 200:
		return bad("key", "is longer than 200 characters")
	case !m.Until.IsZero() && m.Until.Before(m.At):
		return bad("expiresAt", "is before the message's time")
	}
	for field, ref := range map[string]string{"link": m.Link, "patientId": m.Patient, "about": m.About} {
		if typ, _, ok := fhir.SplitReference(ref, ""); ref != "" && (!ok || field != "link" && typ != "Patient") {
			return bad(field, "is no reference to a resource")
		}
	}
	return checkAddressee(m)
}

func checkAddressee(m *Message) error {
	named := 0
	for _, is := range []bool{m.User != 0, m.Patient != "", m.To != ""} {
		if is {
			named++
		}
	}
	switch {
	case named == 0:
		return fault.At(fault.Invalid, "userId", "is missing: a message is for a user, a patient or an address")
	case named > 1:
		return fault.At(fault.Invalid, "userId", "a message is for one of a user, a patient or an address")
	case m.To == "":
		return nil
	case m.Channel == WebSocket:
		return fault.At(fault.Invalid, "to", "a message in the program is for a user or a patient")
	case m.Channel == Email:
		if a, err := mail.ParseAddress(m.To); err != nil || a.Address != m.To {
			return fault.At(fault.Invalid, "to", "must be an e-mail address")
		}
	case m.Channel == SMS:
		number := phone(m.To)
		if number == "" {
			return fault.At(fault.Invalid, "to", "must be a phone number with its country, such as +249912345678")
		}
		m.To = number
	}
	return nil
}

// forUser finds out whose list a message in the program goes to, and why it goes to none.
func (s *Service) forUser(ctx context.Context, tenant int32, m *Message) (reason string, err error) {
	if m.User == 0 && s.People != nil {
		if m.User, err = s.People.UserOf(ctx, tenant, m.Patient); err != nil {
			return "", err
		}
	}
	if m.User == 0 {
		return reasonNoAccount, nil
	}
	wanted, err := s.wanted(ctx, tenant, m.User, m.Channel, m.Type)
	if err == nil && !wanted {
		reason = reasonUnwanted
	}
	return reason, err
}

// Reasons of messages that do not go out.
const (
	reasonNoAccount = "the patient has no account"
	reasonUnwanted  = "the user does not want messages of this type by this channel"
	reasonNoCarrier = "no carrier is configured"
	reasonTooOld    = "it was too old to be of use when it could be sent"
)

// Put puts a message into the outbox, in the transaction of the fact that it tells of. sealed is what [Service.Prepare] made of it before. It
// may be called again with the same. Whoever wants it sent at once calls [Service.Wake] after the commit.
func (s *Service) Put(ctx context.Context, tx sqldb.Tx, tenant int32, sealed Prepared) error {
	_, err := s.put(ctx, tx, tenant, sealed)
	return err
}

// put is Put; false where a message of the same key stands there already.
func (s *Service) put(ctx context.Context, tx sqldb.Tx, tenant int32, p Prepared) (bool, error) {
	if p.id == 0 || p.tenant != tenant {
		return false, fmt.Errorf("notification: the message was not prepared for tenant %d", tenant)
	}
	m, made, sent := p.m, p.made.UnixMicro(), int64(0)
	if p.status == Sent {
		sent = made
	}
	key := m.Key
	if key == "" {
		key = "#" + strconv.FormatInt(p.id, 10)
	}
	n, err := tx.Exec(ctx, `INSERT INTO notification_message (tenant, id, key, user_id, patient, about, channel, type, priority, link, content, status, reason, tries, at, next_at,
		until_at, sent_at, read_at, created_by, created_at, updated_by, updated_at, deleted_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 0, $14, 0, $15, $16, 0, $17, $18, $17, $18, 0) ON CONFLICT (tenant, key) DO NOTHING`,
		tenant, p.id, key, m.User, m.Patient, m.About, m.Channel, m.Type, m.Priority, m.Link, p.sealed, p.status, p.reason, p.at.UnixMicro(), p.until.UnixMicro(), sent,
		access.From(ctx).Who, made)
	if err != nil {
		return false, fmt.Errorf("notification: %w", err)
	}
	if n == 0 || p.status != Pending {
		return n > 0, nil
	}
	return true, job.Put(ctx, tx, tenant, job.Job{ID: p.id, Kind: jobKind(m.Channel), Key: strconv.FormatInt(p.id, 10), At: p.at})
}

// Drop takes back the message of a key that has not gone out, in the caller's transaction; there may be none. The key can be used again.
func (s *Service) Drop(ctx context.Context, tx sqldb.Tx, tenant int32, key string) error {
	var id int64
	var channel string
	found, err := sqldb.QueryRow(ctx, tx, []any{&id, &channel}, "SELECT id, channel FROM notification_message WHERE tenant = $1 AND key = $2 AND status = 'pending'", tenant, key)
	if err != nil || !found {
		return err
	}
	if err := job.Drop(ctx, tx, tenant, jobKind(channel), strconv.FormatInt(id, 10)); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "DELETE FROM notification_message WHERE tenant = $1 AND id = $2 AND status = 'pending'", tenant, id)
	return err
}

// Wake has what was put sent, and told, at once.
func (s *Service) Wake() {
	s.Jobs.Wake()
	select {
	case s.woken <- struct{}{}:
	default:
	}
}

// Send prepares a message and puts it in a transaction of its own; it returns the message's number.
func (s *Service) Send(ctx context.Context, tenant int32, m Message) (int64, error) {
	p, err := s.Prepare(ctx, tenant, m)
	if err != nil {
		return 0, err
	}
	err = s.Ledger.Update(ctx, tenant, func(tx sqldb.Tx) error { return s.Put(ctx, tx, tenant, p) })
	if err == nil {
		s.Wake()
	}
	return p.id, err
}
