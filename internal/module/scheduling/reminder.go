package scheduling

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/job"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/web/api"
)

// reminderJob reminds a patient. Its data is the appointment's number, a slash, the channel.
const reminderJob = "scheduling.reminder"

// reminders are by which channel a patient is reminded, and how long before.
var reminders = [...]struct {
	channel string
	before  time.Duration
}{{"email", 24 * time.Hour}, {"sms", 2 * time.Hour}}

// The states of a reminder.
const (
	reminderPending   = "pending"
	reminderSent      = "sent" // to the outbox
	reminderSkipped   = "skipped"
	reminderCancelled = "cancelled"
)

// remind has the reminders of an appointment follow it: a booked one has them, no other has any that is not sent. One that would have been due before the
// appointment was made or moved is skipped.
func (b books) remind(ctx context.Context, tx record.Tx, tenant int32, a *appointment) error {
	was, err := b.remindersOf(ctx, tx, tenant, a.num)
	if err != nil {
		return err
	}
	who, now := b.stamps(ctx)
	for _, x := range reminders {
		old := was[x.channel]
		key := decimal(a.num) + "/" + x.channel
		if a.status != "booked" || !a.timed {
			if old != nil && old.state == reminderPending {
				if err := b.endReminder(ctx, tx, tenant, a.num, x.channel, reminderCancelled, "", now); err != nil {
					return err
				}
				if err := job.Drop(ctx, tx, tenant, reminderJob, key+"/"+decimal(old.starts)); err != nil {
					return err
				}
			}
			continue
		}
		if old != nil && old.starts == a.at.From && old.state != reminderCancelled {
			continue
		}
		if old != nil && old.state == reminderPending {
			if err := job.Drop(ctx, tx, tenant, reminderJob, key+"/"+decimal(old.starts)); err != nil {
				return err
			}
		}
		due := a.at.From - x.before.Microseconds()
		state, reason := reminderPending, ""
		if due < now {
			state, reason = reminderSkipped, "the appointment was made or moved later than that"
		}
		_, err := tx.Exec(ctx, `INSERT INTO scheduling_reminder (tenant, appointment, channel, starts, due_at, state, reason, ended_at, created_by, created_at, updated_by, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $9, $8, $9) ON CONFLICT (tenant, appointment, channel) DO UPDATE SET starts = excluded.starts, due_at = excluded.due_at,
			state = excluded.state, reason = excluded.reason, ended_at = 0, updated_by = excluded.updated_by, updated_at = excluded.updated_at`,
			tenant, a.num, x.channel, a.at.From, due, state, reason, who, now)
		if err != nil {
			return err
		}
		if state != reminderPending {
			continue
		}
		// The start is part of the key: a reminder of a time that was sent is not in the way of one of another.
		if err := job.Put(ctx, tx, tenant, job.Job{ID: b.l.Next(), Kind: reminderJob, Key: key + "/" + decimal(a.at.From), At: time.UnixMicro(due), Data: []byte(key)}); err != nil {
			return err
		}
	}
	return nil
}

// reminder is a row of scheduling_reminder.
type reminder struct {
	appointment int64
	channel     string
	starts, due int64
	state       string
	reason      string
	ended       int64
}

const reminderColumns = "appointment, channel, starts, due_at, state, reason, ended_at"

func (b books) scanReminders(ctx context.Context, q sqldb.Querier, sql string, args ...any) ([]*reminder, error) {
	var out []*reminder
	err := sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
		x := &reminder{}
		err := rows.Scan(&x.appointment, &x.channel, &x.starts, &x.due, &x.state, &x.reason, &x.ended)
		out = append(out, x)
		return err
	}, "SELECT "+reminderColumns+" FROM scheduling_reminder WHERE "+sql, args...)
	return out, err
}

func (b books) remindersOf(ctx context.Context, q sqldb.Querier, tenant int32, num int64) (map[string]*reminder, error) {
	all, err := b.scanReminders(ctx, q, "tenant = $1 AND appointment = $2", tenant, num)
	out := map[string]*reminder{}
	for _, x := range all {
		out[x.channel] = x
	}
	return out, err
}

// endReminder says what became of a reminder that is pending.
func (b books) endReminder(ctx context.Context, tx record.Tx, tenant int32, num int64, channel, state, reason string, now int64) error {
	who, _ := b.stamps(ctx)
	_, err := tx.Exec(ctx, `UPDATE scheduling_reminder SET state = $4, reason = $5, ended_at = $6, updated_by = $7, updated_at = $6
		WHERE tenant = $1 AND appointment = $2 AND channel = $3 AND state = 'pending'`, tenant, num, channel, state, reason, now, who)
	return err
}

// reminding is what a reminder that is due comes to.
type reminding struct {
	*reminder
	message any    // nil: none is sent
	reason  string // why none is
}

// prepareReminder works out what a reminder that is due says, if it is still to be said.
func (s *Service) prepareReminder(ctx context.Context, tenant int32, num int64, channel string) (*reminding, error) {
	var one *reminder
	err := s.Ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		all, err := s.books.scanReminders(ctx, q, "tenant = $1 AND appointment = $2 AND channel = $3", tenant, num, channel)
		if len(all) > 0 {
			one = all[0]
		}
		return err
	})
	if err != nil || one == nil || one.state != reminderPending {
		return nil, err
	}
	out := &reminding{reminder: one}
	now := s.Clock()
	if one.due > now.UnixMicro() { // it was moved
		return nil, nil
	}
	if one.starts <= now.UnixMicro() {
		out.reason = "the visit had begun when the reminder could be sent"
		return out, nil
	}
	if s.Messages == nil {
		return nil, errors.New("nobody carries messages in this process")
	}
	id, err := s.Records.Store.Named(ctx, "Appointment", num)
	if err != nil {
		return nil, err
	}
	r, err := s.Records.Read(ctx, "Appointment", id)
	if err != nil {
		if goneIsDone(err) == nil {
			out.reason = "the appointment is gone"
			return out, nil
		}
		return nil, err
	}
	t, err := s.telling(ctx, r)
	if err != nil {
		return nil, err
	}
	if t == nil {
		out.reason = "there is no patient to remind"
		return out, nil
	}
	out.message, err = s.Messages.Prepare(ctx, tenant, t.reminder(one))
	return out, err
}

// reminder is the message of a reminder.
func (t *told) reminder(x *reminder) Message {
	with, withAr := t.with()
	clock := t.at.Format("15:04")
	return Message{
		Key: "reminder/" + decimal(x.appointment) + "/" + x.channel + "/" + decimal(x.starts), Channel: x.channel, Patient: t.patient, Type: "appointment.reminder",
		Title: "Your appointment on " + t.day, Body: "You have an appointment" + with + " on " + t.day + " at " + clock + ". If you cannot come, please let us know.",
		TitleAr: "موعدك يوم " + t.dayAr, BodyAr: "لديك موعد" + withAr + " يوم " + t.dayAr + " الساعة " + clock + ". إذا تعذر حضورك فنرجو إبلاغنا.",
		Link: t.record.Ref(), Until: t.at,
	}
}

// putReminder ends a reminder, and puts its message, in one transaction.
func (s *Service) putReminder(ctx context.Context, tx sqldb.Tx, tenant int32, x *reminding) (sent bool, err error) {
	state := reminderSent
	if x.message == nil {
		state = reminderSkipped
	}
	n, err := tx.Exec(ctx, `UPDATE scheduling_reminder SET state = $5, reason = $6, ended_at = $7, updated_by = $8, updated_at = $7
		WHERE tenant = $1 AND appointment = $2 AND channel = $3 AND starts = $4 AND state = 'pending'`, tenant, x.appointment, x.channel, x.starts, state, x.reason, s.Clock().UnixMicro(),
		access.From(ctx).Who)
	if err != nil || n == 0 || x.message == nil {
		return false, err
	}
	return true, s.Messages.Put(ctx, tx, tenant, x.message)
}

// reminderHandler does reminders as jobs: once each, since the message is put by the commit that ends the reminder.
func (s *Service) reminderHandler() job.Handler {
	return job.Handler{
		Before: func(ctx context.Context, j job.Job) (any, error) {
			num, channel, _ := strings.Cut(string(j.Data), "/")
			n, err := strconv.ParseInt(num, 10, 64)
			if err != nil {
				return nil, job.Never(err)
			}
			x, err := s.prepareReminder(ctx, j.Tenant, n, channel)
			if x == nil {
				return nil, err
			}
			return x, err
		},
		Within: func(ctx context.Context, tx sqldb.Tx, j job.Job, before any) error {
			if before == nil {
				return nil
			}
			_, err := s.putReminder(ctx, tx, j.Tenant, before.(*reminding))
			return err
		},
	}
}

// reminderJSON is a reminder of the product API.
type reminderJSON struct {
	ID            string `json:"id"`
	AppointmentID string `json:"appointmentId"`
	Type          string `json:"reminderType"`
	ScheduledTime string `json:"scheduledTime"`
	Sent          bool   `json:"sent"`
	Status        string `json:"status"`
	Reason        string `json:"reason,omitempty"`
	PatientID     string `json:"patientId,omitempty"`
	ProviderID    string `json:"providerId,omitempty"`
	AppointmentS  string `json:"appointment_id"`
	TypeS         string `json:"reminder_type"`
	ScheduledS    string `json:"scheduled_time"`
	PatientS      string `json:"patient_id,omitempty"`
	ProviderS     string `json:"provider_id,omitempty"`
}

type reminderList struct {
	Reminders []reminderJSON `json:"reminders"`
}

func (s *Service) reminderRoutes() []api.Route {
	read, update := api.Permission("appointments:read"), api.Permission("appointments:update")
	return []api.Route{
		{Method: "GET", Path: "/api/v1/reminders/pending", Need: read, Summary: "Reminders that are due and not sent; with upcoming also those to come", Out: reminderList{},
			Params: []api.Param{{Name: "upcoming", Type: api.Truth, Help: "true: also those that are not due yet"}}, Serve: s.servePending},
		{Method: "POST", Path: "/api/v1/reminders/process", Need: api.Permission(desk), Summary: "Send the reminders that are due now; they go by themselves as well", Out: processed{}, Serve: s.serveProcess},
		{Method: "POST", Path: "/api/v1/reminders/appointment/{id}", Need: update, Summary: "Have an appointment's patient reminded; this happens by itself, and again changes nothing", Out: reminderSet{}, Serve: s.serveRemind},
	}
}

const mostReminders = 500

// shownReminders are the reminders of appointments that the caller may see.
func (s *Service) shownReminders(ctx context.Context, all []*reminder) ([]reminderJSON, error) {
	out := []reminderJSON{}
	refs := make([]string, len(all))
	for i, x := range all {
		id, err := s.Records.Store.Named(ctx, "Appointment", x.appointment)
		if err != nil {
			return nil, err
		}
		refs[i] = "Appointment/" + id
	}
	seen, err := s.Records.Get(ctx, refs...)
	if err != nil {
		return nil, err
	}
	for i, x := range all {
		r := seen[refs[i]]
		if r == nil {
			continue
		}
		one := reminderJSON{ID: r.Key() + "-" + x.channel, AppointmentID: r.Key(), AppointmentS: r.Key(), Type: x.channel, TypeS: x.channel, Sent: x.state == reminderSent, Status: x.state, Reason: x.reason}
		one.ScheduledTime = flat.StampOf(time.UnixMicro(x.due))
		one.ScheduledS = one.ScheduledTime
		w := s.who(r.Res)
		if one.PatientID, err = s.Records.IDOfRef(ctx, w.patient); err != nil {
			return nil, err
		}
		practitioners, err := s.practitioners(ctx, []string{w.provider})
		if err != nil {
			return nil, err
		}
		if one.ProviderID, err = s.Records.IDOfRef(ctx, practitioners[w.provider]); err != nil {
			return nil, err
		}
		one.PatientS, one.ProviderS = one.PatientID, one.ProviderID
		out = append(out, one)
	}
	return out, nil
}

func (s *Service) servePending(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	tenant := access.From(ctx).Tenant
	until := s.Clock().UnixMicro()
	if r.URL.Query().Get("upcoming") == "true" {
		until = 1 << 62
	}
	var all []*reminder
	err := s.Ledger.Read(ctx, tenant, func(q sqldb.Querier) (err error) {
		all, err = s.books.scanReminders(ctx, q, "tenant = $1 AND state = 'pending' AND due_at <= $2 ORDER BY due_at, appointment, channel LIMIT $3", tenant, until, mostReminders)
		return err
	})
	if err != nil {
		return err
	}
	shown, err := s.shownReminders(ctx, all)
	if err != nil {
		return err
	}
	return api.Answer(w, r, http.StatusOK, reminderList{shown})
}

// processed says what became of the reminders that were due.
type processed struct {
	Processed int `json:"processed"`
	Sent      int `json:"sent" doc:"handed to the outbox, which says what becomes of them"`
	Skipped   int `json:"skipped"`
	Failed    int `json:"failed"`
}

// serveProcess does what is due now. That the jobs do the same at the same time does no harm: each reminder is ended by one commit.
func (s *Service) serveProcess(w http.ResponseWriter, r *http.Request) error {
	tenant := access.From(r.Context()).Tenant
	ctx := access.With(r.Context(), access.System(tenant))
	var all []*reminder
	err := s.Ledger.Read(ctx, tenant, func(q sqldb.Querier) (err error) {
		all, err = s.books.scanReminders(ctx, q, "tenant = $1 AND state = 'pending' AND due_at <= $2 ORDER BY due_at LIMIT $3", tenant, s.Clock().UnixMicro(), mostReminders)
		return err
	})
	if err != nil {
		return err
	}
	var out processed
	for _, one := range all {
		out.Processed++
		x, err := s.prepareReminder(ctx, tenant, one.appointment, one.channel)
		sent := false
		if err == nil && x != nil {
			err = s.Ledger.Update(ctx, tenant, func(tx sqldb.Tx) (err error) {
				sent, err = s.putReminder(ctx, tx, tenant, x)
				return err
			})
		}
		switch {
		case err != nil:
			s.Log.Warn("reminder", "error", err.Error())
			out.Failed++
		case sent:
			out.Sent++
		default:
			out.Skipped++
		}
	}
	return api.Answer(w, r, http.StatusOK, out)
}

// reminderSet is an appointment's reminders.
type reminderSet struct {
	Success   bool           `json:"success"`
	Reminders []reminderJSON `json:"reminders"`
}

func (s *Service) serveRemind(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	v, err := s.Records.Read(ctx, "Appointment", r.PathValue("id"))
	if err != nil {
		return err
	}
	tenant := access.From(ctx).Tenant
	a := readAppointment(v.Res)
	a.num = v.Num
	var all []*reminder
	err = s.Ledger.Update(ctx, tenant, func(tx sqldb.Tx) (err error) {
		if err = s.books.remind(ctx, tx, tenant, a); err != nil {
			return err
		}
		all, err = s.books.scanReminders(ctx, tx, "tenant = $1 AND appointment = $2 ORDER BY due_at", tenant, v.Num)
		return err
	})
	if err != nil {
		return err
	}
	shown, err := s.shownReminders(ctx, all)
	if err != nil {
		return err
	}
	return api.Answer(w, r, http.StatusCreated, reminderSet{true, shown})
}
