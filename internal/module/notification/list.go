package notification

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/audit"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/job"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// managing lets its holder see the messages of others, and send to any address.
const managing = "notifications:manage"

// row is a message as the table keeps it.
type row struct {
	tenant                                                               int32
	id, user, tries, at, next, until, sent, read, created, updated       int64
	patient, about, channel, typ, priority, link, status, reason, author string
	content                                                              []byte
}

const columns = "id, user_id, patient, about, channel, type, priority, link, content, status, reason, tries, at, next_at, until_at, sent_at, read_at, created_by, created_at, updated_at"

func scan(rows sqldb.Rows, tenant int32) (*row, error) {
	m := &row{tenant: tenant}
	err := rows.Scan(&m.id, &m.user, &m.patient, &m.about, &m.channel, &m.typ, &m.priority, &m.link, &m.content, &m.status, &m.reason, &m.tries, &m.at, &m.next, &m.until,
		&m.sent, &m.read, &m.author, &m.created, &m.updated)
	m.content = slices.Clone(m.content)
	return m, err
}

// one reads a message; NotFound where there is none.
func (s *Service) one(ctx context.Context, tenant int32, id int64) (m *row, err error) {
	err = s.Ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		m = nil
		return sqldb.Each(ctx, q, func(rows sqldb.Rows) (err error) { m, err = scan(rows, tenant); return err },
			"SELECT "+columns+" FROM notification_message WHERE tenant = $1 AND id = $2 AND deleted_at = 0", tenant, id)
	})
	if err == nil && m == nil {
		err = errNone()
	}
	return m, err
}

func errNone() error { return fault.New(fault.NotFound, "there is no notification with this id") }

// Notification is a message as the product API tells it, with the names of both front ends.
type Notification struct {
	ID          string          `json:"id"`
	UserID      string          `json:"userId"`
	PatientID   string          `json:"patientId,omitempty"`
	Channel     string          `json:"channel"`
	Type        string          `json:"type"`
	Title       string          `json:"title"`
	Message     string          `json:"message"`
	TitleAr     string          `json:"titleAr,omitempty"`
	MessageAr   string          `json:"messageAr,omitempty"`
	Kept        bool            `json:"textKept" doc:"false: the text was deleted, since the message went out or was given up"`
	Priority    string          `json:"priority" doc:"low, normal, high, urgent"`
	Link        string          `json:"link,omitempty" doc:"the resource that it is about"`
	Payload     json.RawMessage `json:"payload,omitempty"`
	Status      string          `json:"status" doc:"pending, sent, failed, read"`
	Reason      string          `json:"reason,omitempty" doc:"why it is not sent"`
	Read        bool            `json:"read"`
	ReadAt      string          `json:"readAt,omitempty"`
	CreatedAt   string          `json:"createdAt"`
	ScheduledAt string          `json:"scheduledAt,omitempty"`
	SentAt      string          `json:"sentAt,omitempty"`
	NextAt      string          `json:"nextAttemptAt,omitempty"`
	RetryCount  int64           `json:"retryCount"`

	SnakeUser      string `json:"user_id"`
	SnakeSubject   string `json:"subject"`
	SnakeBody      string `json:"body"`
	SnakeCreated   string `json:"created_at"`
	SnakeScheduled string `json:"scheduled_at,omitempty"`
	SnakeSent      string `json:"sent_at,omitempty"`
	SnakeRead      string `json:"read_at,omitempty"`
	SnakeRetries   int64  `json:"retry_count"`
}

func stamp(micros int64) string {
	if micros == 0 {
		return ""
	}
	return time.UnixMicro(micros).UTC().Format("2006-01-02T15:04:05.000Z")
}

// view tells a message in the language.
func (s *Service) view(ctx context.Context, m *row, language string) (*Notification, error) {
	c, err := s.open(ctx, m.tenant, m)
	if err != nil {
		return nil, err
	}
	n := &Notification{ID: strconv.FormatInt(m.id, 10), Channel: m.channel, Type: m.typ, TitleAr: c.TitleAr, MessageAr: c.BodyAr, Kept: len(m.content) > 0, Priority: m.priority,
		Link: m.link, Payload: c.Payload, Status: m.status, Reason: m.reason, Read: m.read != 0, ReadAt: stamp(m.read), CreatedAt: stamp(m.created), SentAt: stamp(m.sent),
		NextAt: stamp(m.next), RetryCount: m.tries}
	if m.user != 0 {
		n.UserID = strconv.FormatInt(m.user, 10)
	}
	if m.patient != "" {
		if n.PatientID, err = s.Records.IDOfRef(ctx, m.patient); err != nil {
			return nil, err
		}
	}
	n.Title, n.Message = c.in(language)
	if m.at > m.created {
		n.ScheduledAt = stamp(m.at)
	}
	if m.read != 0 && m.status == Sent {
		n.Status = read
	}
	if m.status == Pending && m.reason == "" && (m.channel == Email && s.Mail == nil || m.channel == SMS && s.SMS == nil) {
		n.Reason = reasonNoCarrier
	}
	n.SnakeUser, n.SnakeSubject, n.SnakeBody, n.SnakeCreated, n.SnakeScheduled = n.UserID, n.Title, n.Message, n.CreatedAt, n.ScheduledAt
	n.SnakeSent, n.SnakeRead, n.SnakeRetries = n.SentAt, n.ReadAt, n.RetryCount
	return n, nil
}

// filter says which messages are wanted.
type filter struct {
	user                                 int64 // 0: of everybody
	channel, typ, priority, status, read string
	page, limit                          int
	before                               int64 // the id that the page begins behind; 0: by page
}

func (f *filter) where(b *sqldb.Builder, tenant int32) {
	b.SQL(" FROM notification_message WHERE deleted_at = 0 AND tenant = ").Arg(tenant)
	if f.user != 0 {
		b.SQL(" AND user_id = ").Arg(f.user)
	}
	if f.channel != "" {
		b.SQL(" AND channel = ").Arg(f.channel)
	}
	switch f.status {
	case "":
		if f.user != 0 && f.channel == WebSocket { // what has not come yet is no news
			b.SQL(" AND status = 'sent'")
		}
	case read:
		b.SQL(" AND status = 'sent' AND read_at > 0")
	default:
		b.SQL(" AND status = ").Arg(f.status)
	}
	if f.typ != "" {
		b.SQL(" AND type = ").Arg(f.typ)
	}
	if f.priority != "" {
		b.SQL(" AND priority = ").Arg(f.priority)
	}
	switch f.read {
	case "true":
		b.SQL(" AND read_at > 0")
	case "false":
		b.SQL(" AND read_at = 0")
	}
}

// list reads a page, the newest first.
func (s *Service) list(ctx context.Context, tenant int32, f filter) (found []*row, total int, err error) {
	err = s.Ledger.View(ctx, tenant, func(q sqldb.Querier) error {
		found = nil
		var count, page sqldb.Builder
		count.SQL("SELECT count(*)")
		f.where(&count, tenant)
		if _, err := sqldb.QueryRow(ctx, q, []any{&total}, count.String(), count.Args...); err != nil {
			return err
		}
		page.SQL("SELECT " + columns)
		f.where(&page, tenant)
		if f.before != 0 {
			page.SQL(" AND id < ").Arg(f.before)
		}
		page.SQL(" ORDER BY id DESC LIMIT ").Arg(f.limit)
		if f.before == 0 {
			page.SQL(" OFFSET ").Arg((f.page - 1) * f.limit)
		}
		return sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
			m, err := scan(rows, tenant)
			found = append(found, m)
			return err
		}, page.String(), page.Args...)
	})
	return found, total, err
}

const unreadOf = "SELECT count(*) FROM notification_message WHERE tenant = $1 AND user_id = $2 AND channel = 'websocket' AND status = 'sent' AND read_at = 0 AND deleted_at = 0"

// unread counts what a user has not read in the program.
func (s *Service) unread(ctx context.Context, tenant int32, user int64) (n int, err error) {
	err = s.Ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		_, err := sqldb.QueryRow(ctx, q, []any{&n}, unreadOf, tenant, user)
		return err
	})
	return n, err
}

// self is the caller, who must be a user.
func self(ctx context.Context) (access.Caller, error) {
	c := access.From(ctx)
	if c.User == 0 {
		return c, fault.New(fault.Forbidden, "only users have notifications: no user is signed in")
	}
	return c, nil
}

// mine reads a message that the caller may see: the own, one that the caller made, or any with the right to manage them. forChange leaves out the second.
func (s *Service) mine(ctx context.Context, id int64, forChange bool) (*row, error) {
	c := access.From(ctx)
	m, err := s.one(ctx, c.Tenant, id)
	switch {
	case err != nil:
		return nil, err
	case c.User != 0 && m.user == c.User && (m.channel != WebSocket || m.status == Sent):
		return m, nil
	case !forChange && c.Known() && m.author == c.Who:
		return m, nil
	case !forChange && c.Permits(managing):
		s.note(ctx, "read", m.id, "")
		return m, nil
	}
	return nil, errNone()
}

// setRead marks messages of the user as read: those of the ids, or all where there are none. It returns how many were not before.
func (s *Service) setRead(ctx context.Context, tenant int32, user int64, ids ...int64) (n int64, err error) {
	now, who := s.now().UnixMicro(), access.From(ctx).Who
	err = s.Ledger.Update(ctx, tenant, func(tx sqldb.Tx) (err error) {
		n = 0
		const set = "UPDATE notification_message SET read_at = $3, updated_at = $3, updated_by = $4 WHERE tenant = $1 AND user_id = $2 AND read_at = 0 AND deleted_at = 0 AND status = 'sent'"
		if len(ids) == 0 {
			n, err = tx.Exec(ctx, set+" AND channel = 'websocket'", tenant, user, now, who)
			return err
		}
		for _, id := range ids {
			one, err := tx.Exec(ctx, set+" AND id = $5", tenant, user, now, who, id)
			if err != nil {
				return err
			}
			n += one
		}
		return nil
	})
	if err == nil && n > 0 {
		s.Wake()
	}
	return n, err
}

// remove deletes one of the user's messages, with its text.
func (s *Service) remove(ctx context.Context, tenant int32, user, id int64) error {
	now := s.now().UnixMicro()
	return s.Ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE notification_message SET deleted_at = $4, updated_at = $4, updated_by = $5, content = $6
			WHERE tenant = $1 AND user_id = $2 AND id = $3 AND deleted_at = 0 AND status <> 'pending'`, tenant, user, id, now, access.From(ctx).Who, []byte{})
		if err == nil && n == 0 {
			err = errNone()
		}
		return err
	})
}

// Forget deletes what was told to and of a patient ("Patient/1"), who is being erased.
func Forget(ctx context.Context, l *record.Ledger, tenant int32, patient string) error {
	return l.Update(ctx, tenant, func(tx sqldb.Tx) error {
		var waiting [][2]string
		if err := sqldb.Each(ctx, tx, func(rows sqldb.Rows) error {
			var id int64
			var channel string
			err := rows.Scan(&id, &channel)
			waiting = append(waiting, [2]string{jobKind(channel), strconv.FormatInt(id, 10)})
			return err
		}, "SELECT id, channel FROM notification_message WHERE tenant = $1 AND about = $2 AND status = 'pending'", tenant, patient); err != nil {
			return err
		}
		for _, w := range waiting {
			if err := job.Drop(ctx, tx, tenant, w[0], w[1]); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, "DELETE FROM notification_message WHERE tenant = $1 AND about = $2", tenant, patient)
		return err
	})
}

// note audits what the caller did with a message that is another's.
func (s *Service) note(ctx context.Context, action string, id int64, detail string, patients ...int64) {
	c := access.From(ctx)
	s.Ledger.Note(audit.Entry{Tenant: c.Tenant, Kind: audit.Admin, Action: action, Who: c.Who, Name: c.Name, Client: c.Client, Session: c.Session, Purpose: c.Purpose,
		Address: c.Address, Request: c.RequestID, Type: "Notification", Num: id, Detail: detail, Patients: patients})
}

// figures are how many messages there are.
type figures struct {
	Total      int            `json:"total"`
	Unread     int            `json:"unread"`
	ByChannel  map[string]int `json:"byChannel"`
	ByStatus   map[string]int `json:"byStatus"`
	ByType     map[string]int `json:"byType"`
	ByPriority map[string]int `json:"byPriority"`
}

// count counts the messages of a user; 0: of everybody.
func (s *Service) count(ctx context.Context, tenant int32, user int64) (out figures, err error) {
	var b sqldb.Builder
	b.SQL("SELECT channel, status, type, priority, CASE WHEN read_at = 0 THEN 0 ELSE 1 END, count(*)")
	(&filter{user: user}).where(&b, tenant)
	b.SQL(" GROUP BY 1, 2, 3, 4, 5")
	err = s.Ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		out = figures{ByChannel: map[string]int{}, ByStatus: map[string]int{}, ByType: map[string]int{}, ByPriority: map[string]int{}}
		return sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
			var channel, status, typ, priority string
			var opened int64
			var n int
			if err := rows.Scan(&channel, &status, &typ, &priority, &opened, &n); err != nil {
				return err
			}
			isRead := opened != 0
			if channel == WebSocket && status == Sent && !isRead {
				out.Unread += n
			}
			if isRead && status == Sent {
				status = read
			}
			out.Total += n
			out.ByChannel[channel] += n
			out.ByStatus[status] += n
			out.ByType[typ] += n
			out.ByPriority[priority] += n
			return nil
		}, b.String(), b.Args...)
	})
	return out, err
}

// languageOf is the first language that a request asks for.
func languageOf(accept string) string {
	first, _, _ := strings.Cut(accept, ",")
	first, _, _ = strings.Cut(first, ";")
	return strings.TrimSpace(first)
}
