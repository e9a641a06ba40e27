package notification

import (
	"context"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/job"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// jobKind is the kind of the jobs that bring the channel's messages.
func jobKind(channel string) string { return Module + "." + channel }

// carriers are tried again for three days, a minute apart at first, six hours at most.
var carriers = job.Retry{First: time.Minute, Most: 6 * time.Hour, For: 72 * time.Hour}

// handle has messages sent. Those of a channel without a carrier are left to processes that have one.
func (s *Service) handle() {
	if s.Jobs == nil {
		return
	}
	s.Jobs.Handle(jobKind(WebSocket), job.Handler{Within: s.show})
	for channel, carrier := range map[string]Sender{Email: s.Mail, SMS: s.SMS} {
		if carrier == nil {
			continue
		}
		s.Jobs.Handle(jobKind(channel), job.Handler{
			Before: func(ctx context.Context, j job.Job) (any, error) { return nil, s.deliver(ctx, j, channel, carrier) },
			Within: s.delivered, Missed: s.missed, Retry: carriers, Parallel: 4,
		})
	}
}

// show puts a message whose time has come into its user's list.
func (s *Service) show(ctx context.Context, tx sqldb.Tx, j job.Job, _ any) error {
	now := s.now().UnixMicro()
	_, err := tx.Exec(ctx, "UPDATE notification_message SET status = 'sent', sent_at = $3, updated_at = $3 WHERE tenant = $1 AND id = $2 AND status = 'pending' AND deleted_at = 0",
		j.Tenant, number(j.Key), now)
	return err
}

func number(key string) int64 {
	n, _ := strconv.ParseInt(key, 10, 64)
	return n
}

// deliver hands a message to its carrier.
func (s *Service) deliver(ctx context.Context, j job.Job, channel string, carrier Sender) error {
	m, err := s.one(ctx, j.Tenant, number(j.Key))
	if fault.Is(err, fault.NotFound) || err == nil && m.status != Pending {
		return nil // it was taken back
	}
	if err != nil {
		return err
	}
	if s.now().UnixMicro() > m.until {
		return job.Never(fault.New(fault.Unprocessable, reasonTooOld))
	}
	c, err := s.open(ctx, j.Tenant, m)
	if err != nil {
		return err
	}
	to, language, err := s.addressee(ctx, j.Tenant, m, c.To)
	if err != nil {
		return err
	}
	title, body := c.in(language)
	if err := carrier.Send(ctx, to, title, body); err != nil {
		return why(channel, err)
	}
	return nil
}

// in is the text in the language where there is one.
func (c *content) in(language string) (title, body string) {
	title, body = c.Title, c.Body
	if l := strings.ToLower(language); (l == "ar" || strings.HasPrefix(l, "ar-") || strings.HasPrefix(l, "ar_")) && c.BodyAr != "" {
		if body = c.BodyAr; c.TitleAr != "" {
			title = c.TitleAr
		}
	}
	return title, body
}

// addressee finds where a message goes to, and in which language.
func (s *Service) addressee(ctx context.Context, tenant int32, m *row, to string) (address, language string, err error) {
	never := func(reason string) error { return job.Never(fault.New(fault.Unprocessable, "%s", reason)) }
	switch {
	case m.patient != "":
		return s.ofPatient(ctx, m)
	case m.user == 0:
		return to, "", nil
	case s.People == nil:
		return "", "", never("there are no users")
	}
	c, err := s.People.Contact(ctx, tenant, m.user)
	if fault.Is(err, fault.NotFound) || err == nil && !c.Active {
		return "", "", never("the user is not active")
	}
	if err != nil {
		return "", "", err
	}
	wanted, err := s.wanted(ctx, tenant, m.user, m.channel, m.typ)
	if err != nil {
		return "", "", err
	}
	address = c.Email
	if m.channel == SMS {
		address = phone(c.Phone)
	}
	switch {
	case !wanted:
		err = never(reasonUnwanted)
	case address == "":
		err = never("the user has no address for this channel")
	}
	return address, c.Language, err
}

// ofPatient reads a patient's address and preferred language from the record.
func (s *Service) ofPatient(ctx context.Context, m *row) (address, language string, err error) {
	typ, id, _ := fhir.SplitReference(m.patient, "")
	p, err := s.Records.Read(ctx, typ, id)
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Gone) {
		return "", "", job.Never(fault.New(fault.Unprocessable, "the patient's record is not there any more"))
	}
	if err != nil {
		return "", "", err
	}
	if dead := p.Res.Get("deceasedBoolean"); dead != nil && dead.Text == "true" || p.Res.Get("deceasedDateTime") != nil {
		return "", "", job.Never(fault.New(fault.Unprocessable, "the patient has died"))
	}
	address = contactPoint(p.Res, m.channel, s.now())
	if address == "" {
		return "", "", job.Never(fault.New(fault.Unprocessable, "no address for this channel stands on the patient's record"))
	}
	if user, err := s.userOf(ctx, m); err != nil {
		return "", "", err
	} else if user != 0 {
		if wanted, err := s.wanted(ctx, m.tenant, user, m.channel, m.typ); err != nil || !wanted {
			if err == nil {
				err = job.Never(fault.New(fault.Unprocessable, reasonUnwanted))
			}
			return "", "", err
		}
	}
	return address, preferredLanguage(p.Res), nil
}

func (s *Service) userOf(ctx context.Context, m *row) (int64, error) {
	if s.People == nil {
		return 0, nil
	}
	return s.People.UserOf(ctx, m.tenant, m.patient)
}

// contactPoint is the address of the resource's telecom that a message goes to: a current one, by rank, of phones a mobile one first.
func contactPoint(r *fhir.Resource, channel string, now time.Time) string {
	type point struct {
		value string
		rank  int
	}
	var all []point
	for _, t := range flat.Items(r.Get("telecom")) {
		system, value := t.Str("system"), strings.TrimSpace(t.Str("value"))
		switch {
		case channel == Email && system == "email":
		case channel == SMS && (system == "phone" || system == "sms"):
			value = phone(value)
		default:
			continue
		}
		if value == "" || t.Str("use") == "old" || ended(t.Get("period"), now) {
			continue
		}
		p := point{value, math.MaxInt32}
		if rank, err := strconv.Atoi(text(t.Get("rank"))); err == nil {
			p.rank = 2 * rank
		}
		if system == "sms" || t.Str("use") == "mobile" {
			p.rank--
		}
		all = append(all, p)
	}
	if len(all) == 0 {
		return ""
	}
	return slices.MinFunc(all, func(a, b point) int { return a.rank - b.rank }).value
}

func text(n *fhir.Node) string {
	if n == nil {
		return ""
	}
	return n.Text
}

// ended reports a period whose last day is over.
func ended(period *fhir.Node, now time.Time) bool {
	if period == nil {
		return false
	}
	end := period.Str("end")
	return len(end) >= len("2006-01-02") && end[:10] < now.Format("2006-01-02")
}

// preferredLanguage is the code of the language that somebody wants to be spoken to in; "" where the record does not say.
func preferredLanguage(r *fhir.Resource) string {
	first := ""
	for _, c := range flat.Items(r.Get("communication")) {
		code := flat.Code(c.Get("language"), "")
		if text(c.Get("preferred")) == "true" {
			return code
		}
		if first == "" {
			first = code
		}
	}
	return first
}

// delivered notes that a message went out, and forgets its text.
func (s *Service) delivered(ctx context.Context, tx sqldb.Tx, j job.Job, _ any) error {
	now := s.now().UnixMicro()
	_, err := tx.Exec(ctx, `UPDATE notification_message SET status = 'sent', reason = '', tries = $3, next_at = 0, sent_at = $4, updated_at = $4, content = $5
		WHERE tenant = $1 AND id = $2 AND status = 'pending'`, j.Tenant, number(j.Key), j.Attempt, now, []byte{})
	return err
}

// missed notes a failure.
func (s *Service) missed(ctx context.Context, tx sqldb.Tx, j job.Job, failure error, again time.Time) error {
	now, reason := s.now().UnixMicro(), "an error of the program"
	if fault.KindOf(failure) != fault.Internal {
		reason = failure.Error()
	}
	if again.IsZero() {
		_, err := tx.Exec(ctx, `UPDATE notification_message SET status = 'failed', reason = $3, tries = $4, next_at = 0, updated_at = $5, content = $6
			WHERE tenant = $1 AND id = $2 AND status = 'pending'`, j.Tenant, number(j.Key), reason, j.Attempt, now, []byte{})
		return err
	}
	_, err := tx.Exec(ctx, "UPDATE notification_message SET reason = $3, tries = $4, next_at = $5, updated_at = $6 WHERE tenant = $1 AND id = $2 AND status = 'pending'",
		j.Tenant, number(j.Key), reason, j.Attempt, again.UnixMicro(), now)
	return err
}

// open opens what of a message is sealed; what is not kept any longer is empty.
func (s *Service) open(ctx context.Context, tenant int32, m *row) (c content, err error) {
	if len(m.content) == 0 {
		return c, nil
	}
	plain, err := s.Ledger.Open(ctx, tenant, place(m.id), m.content)
	if err == nil {
		err = json.Unmarshal(plain, &c)
	}
	return c, err
}
