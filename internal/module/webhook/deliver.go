package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/event"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/job"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/web"
)

// The states of a delivery.
const (
	pending   = "pending"
	delivered = "delivered"
	failedFor = "failed"
)

// When a webhook is disabled: after so many failures in a row, over so long. And how long a receiver that failed is left alone, at least and at most.
const (
	disableAfter = 20
	disableOver  = 72 * time.Hour
	closedFirst  = 5 * time.Second
	closedMost   = 5 * time.Minute
)

// delivery is a telling.
type delivery struct {
	tenant                                                                int32
	id, subscription, replay, attempts, code, latency, next, tried, ended int64
	event, typ, patient, status, reason                                   string
	created                                                               int64
	body                                                                  []byte // sealed
}

func bodyPlace(id int64) string { return "webhook.delivery/" + strconv.FormatInt(id, 10) }

const deliveryColumns = "id, subscription, event, replay, type, patient, body, status, attempts, code, latency, reason, next_at, tried_at, ended_at, created_at"

func scanDelivery(rows sqldb.Rows, tenant int32) (*delivery, error) {
	d := &delivery{tenant: tenant}
	err := rows.Scan(&d.id, &d.subscription, &d.event, &d.replay, &d.typ, &d.patient, &d.body, &d.status, &d.attempts, &d.code, &d.latency, &d.reason, &d.next, &d.tried, &d.ended, &d.created)
	d.body = slices.Clone(d.body)
	return d, err
}

// delivery reads a delivery; NotFound where there is none.
func (s *Service) delivery(ctx context.Context, tenant int32, id int64) (d *delivery, err error) {
	err = s.Ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		d = nil
		return sqldb.Each(ctx, q, func(rows sqldb.Rows) (err error) { d, err = scanDelivery(rows, tenant); return err },
			"SELECT "+deliveryColumns+" FROM webhook_delivery WHERE tenant = $1 AND id = $2", tenant, id)
	})
	if err == nil && d == nil {
		err = fault.New(fault.NotFound, "there is no delivery with this id")
	}
	return d, err
}

// receive puts a delivery for each of the events, which are one tenant's, and each webhook that wants it.
func (s *Service) receive(ctx context.Context, events []event.Event) error {
	if len(events) == 0 {
		return nil
	}
	tenant := events[0].Tenant
	hooks, err := s.find(ctx, tenant, 0, true)
	if err != nil || len(hooks) == 0 {
		return err
	}
	var all []*delivery
	for i := range events {
		e := &events[i]
		var body []byte
		for _, h := range hooks {
			if !h.wants(e.Kind) {
				continue
			}
			if body == nil {
				if body, err = json.Marshal(e.CloudEvent()); err != nil {
					return err
				}
			}
			d, err := s.newDelivery(ctx, tenant, h.id, body)
			if err != nil {
				return err
			}
			d.event, d.typ, d.patient = e.Key(), e.Kind.Name, e.Patient
			all = append(all, d)
		}
	}
	if len(all) == 0 {
		return nil
	}
	if err := s.putDeliveries(ctx, tenant, all); err != nil {
		return err
	}
	s.Jobs.Wake()
	return nil
}

func (s *Service) newDelivery(ctx context.Context, tenant int32, hook int64, body []byte) (*delivery, error) {
	d := &delivery{tenant: tenant, id: s.Ledger.Next(), subscription: hook, created: s.now().UnixMicro()}
	var err error
	d.body, err = s.Ledger.Seal(ctx, tenant, bodyPlace(d.id), body)
	return d, err
}

// putDeliveries writes deliveries with their jobs; those of an event that was read before are there already.
func (s *Service) putDeliveries(ctx context.Context, tenant int32, all []*delivery) error {
	who := access.From(ctx).Who
	return s.Ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		for _, d := range all {
			n, err := tx.Exec(ctx, `INSERT INTO webhook_delivery (tenant, id, subscription, event, replay, type, patient, body, status, attempts, code, latency, reason, next_at, tried_at,
				ended_at, created_by, created_at, updated_by, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'pending', 0, 0, 0, '', 0, 0, 0, $9, $10, $9, $10)
				ON CONFLICT (tenant, subscription, event, replay) DO NOTHING`, tenant, d.id, d.subscription, d.event, d.replay, d.typ, d.patient, d.body, who, d.created)
			if err == nil && n > 0 {
				err = job.Put(ctx, tx, tenant, job.Job{ID: d.id, Kind: deliverJob, Key: strconv.FormatInt(d.id, 10), At: time.UnixMicro(d.created)})
			}
			if err != nil {
				return fmt.Errorf("webhook: %w", err)
			}
		}
		return nil
	})
}

// outcome is what became of a request.
type outcome struct {
	code    int // 0: there was no answer
	latency time.Duration
	pause   time.Duration // that the receiver asks for
	err     error         // nil: success
}

// post makes one request.
func (s *Service) post(ctx context.Context, h *subscription, id string, body []byte) outcome {
	u, err := url.Parse(h.content.URL)
	if err != nil {
		return outcome{err: fault.New(fault.Internal, "the address cannot be used")}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return outcome{err: fault.New(fault.Internal, "the address cannot be used")}
	}
	r.Header.Set("Content-Type", event.ContentType)
	r.Header.Set("User-Agent", s.Agent)
	now := s.now()
	newest, old := h.secrets(now)
	web.SignWebhook(r.Header, id, body, newest, now, old...)
	client := s.secure
	if u.Scheme == "http" {
		client = s.plain
	}
	begun := time.Now()
	answer, err := client.Do(r)
	if err != nil {
		return outcome{latency: time.Since(begun), err: failed(err)}
	}
	defer func() { _ = answer.Body.Close() }()
	// What is read to the end leaves the connection for the next request; nothing of it is kept.
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, answerReads))
	o := outcome{code: answer.StatusCode, latency: time.Since(begun)}
	switch {
	case o.code >= 200 && o.code < 300:
		return o
	case o.code >= 300 && o.code < 400:
		o.err = fault.New(fault.Unavailable, "the receiver answered %d: redirects are not followed", o.code)
	default:
		o.err = fault.New(fault.Unavailable, "the receiver answered %d", o.code)
	}
	if seconds, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil && seconds > 0 {
		o.pause = time.Duration(min(seconds, 86_400)) * time.Second
	}
	return o
}

// deliver makes one attempt at a delivery and notes what became of it.
func (s *Service) deliver(ctx context.Context, j job.Job) (any, error) {
	d, err := s.delivery(ctx, j.Tenant, number(j.Key))
	if fault.Is(err, fault.NotFound) || err == nil && d.status != pending {
		return nil, nil // its webhook was deleted, or its patient erased
	}
	if err != nil {
		return nil, err
	}
	h, err := s.one(ctx, j.Tenant, d.subscription)
	if fault.Is(err, fault.NotFound) {
		return nil, nil
	}
	now := s.now()
	switch {
	case err != nil:
		return nil, err
	case !h.enabled:
		return nil, job.Never(fault.New(fault.Unavailable, "the webhook is disabled"))
	case d.created < now.Add(-retry.For-time.Hour).UnixMicro() && d.attempts > 0: // it was put off until nobody wants it any more
		return nil, job.Never(fault.New(fault.Unavailable, "%s", d.reason))
	case h.closedUntil > now.UnixMicro():
		return nil, job.Later(time.UnixMicro(h.closedUntil))
	}
	body, err := s.Ledger.Open(ctx, j.Tenant, bodyPlace(d.id), d.body)
	if err != nil {
		return nil, err
	}
	o := s.post(ctx, h, d.event, body)
	if ctx.Err() != nil {
		return nil, ctx.Err() // the program stops: it is no failure of the receiver's
	}
	if err := s.judge(ctx, h, d, o); err != nil {
		return nil, err
	}
	switch {
	case o.err == nil:
		return nil, nil
	case o.code == http.StatusGone:
		return nil, job.Never(o.err)
	case o.pause > 0:
		return nil, job.After(o.err, o.pause)
	}
	return nil, o.err
}

// judge notes an attempt, at the delivery and at its webhook, and disables the webhook where it is time to.
func (s *Service) judge(ctx context.Context, h *subscription, d *delivery, o outcome) error {
	now := s.now()
	said, why := "", ""
	if o.err != nil {
		said = o.err.Error()
	}
	err := s.Ledger.Update(ctx, h.tenant, func(tx sqldb.Tx) error {
		why = ""
		if _, err := tx.Exec(ctx, "UPDATE webhook_delivery SET attempts = attempts + 1, code = $3, latency = $4, reason = $5, tried_at = $6, updated_at = $6 WHERE tenant = $1 AND id = $2",
			h.tenant, d.id, o.code, o.latency.Milliseconds(), said, now.UnixMicro()); err != nil {
			return err
		}
		if o.err == nil {
			_, err := tx.Exec(ctx, "UPDATE webhook_subscription SET failures = 0, failing_since = 0, closed_until = 0, delivered_at = $3 WHERE tenant = $1 AND id = $2", h.tenant, h.id, now.UnixMicro())
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE webhook_subscription SET failures = failures + 1, failing_since = CASE WHEN failing_since = 0 THEN $3 ELSE failing_since END
			WHERE tenant = $1 AND id = $2`, h.tenant, h.id, now.UnixMicro()); err != nil {
			return err
		}
		var failures, since int64
		if _, err := sqldb.QueryRow(ctx, tx, []any{&failures, &since}, "SELECT failures, failing_since FROM webhook_subscription WHERE tenant = $1 AND id = $2", h.tenant, h.id); err != nil {
			return err
		}
		closed := closedFirst << min(failures-1, 10)
		if closed = min(closed, closedMost); o.pause > closed {
			closed = o.pause
		}
		if _, err := tx.Exec(ctx, "UPDATE webhook_subscription SET closed_until = $3 WHERE tenant = $1 AND id = $2", h.tenant, h.id, now.Add(closed).UnixMicro()); err != nil {
			return err
		}
		switch {
		case o.code == http.StatusGone:
			why = "the receiver answered 410: it wants no more"
		case failures >= disableAfter && now.Sub(time.UnixMicro(since)) >= disableOver:
			why = fmt.Sprintf("%d attempts in a row failed over three days; the last: %s", failures, said)
		default:
			return nil
		}
		n, err := tx.Exec(ctx, "UPDATE webhook_subscription SET enabled = 0, reason = $3, updated_at = $4, updated_by = 'system' WHERE tenant = $1 AND id = $2 AND enabled = 1", h.tenant, h.id, why, now.UnixMicro())
		if n == 0 {
			why = "" // somebody was faster
		}
		return err
	})
	if err == nil && why != "" {
		s.tellDisabled(ctx, h, why, now)
	}
	return err
}

// tellDisabled audits that a webhook was disabled, and tells who made it.
func (s *Service) tellDisabled(ctx context.Context, h *subscription, why string, at time.Time) {
	s.note(ctx, h.tenant, "disable", h.id, why)
	s.Log.WarnContext(ctx, "a webhook was disabled", "tenant", h.tenant, "webhook", h.id, "reason", why)
	if s.Disabled == nil {
		return
	}
	user, _ := strconv.ParseInt(strings.TrimPrefix(h.createdBy, "User/"), 10, 64)
	s.Disabled(ctx, Disabled{Tenant: h.tenant, Webhook: strconv.FormatInt(h.id, 10), User: user, Reason: why, At: at})
}

// delivered marks a delivery as done.
func (s *Service) delivered(ctx context.Context, tx sqldb.Tx, j job.Job, _ any) error {
	_, err := tx.Exec(ctx, "UPDATE webhook_delivery SET status = 'delivered', reason = '', next_at = 0, ended_at = $3, updated_at = $3 WHERE tenant = $1 AND id = $2 AND status = 'pending'",
		j.Tenant, number(j.Key), s.now().UnixMicro())
	return err
}

// missed notes when a delivery is tried again, or that it is not.
func (s *Service) missed(ctx context.Context, tx sqldb.Tx, j job.Job, failure error, again time.Time) error {
	now := s.now().UnixMicro()
	if !again.IsZero() {
		_, err := tx.Exec(ctx, "UPDATE webhook_delivery SET next_at = $3, updated_at = $4 WHERE tenant = $1 AND id = $2 AND status = 'pending'", j.Tenant, number(j.Key), again.UnixMicro(), now)
		return err
	}
	reason := "an error of the program"
	if fault.KindOf(failure) != fault.Internal {
		reason = failure.Error()
	}
	_, err := tx.Exec(ctx, "UPDATE webhook_delivery SET status = 'failed', reason = $3, next_at = 0, ended_at = $4, updated_at = $4 WHERE tenant = $1 AND id = $2 AND status = 'pending'",
		j.Tenant, number(j.Key), reason, now)
	return err
}

func number(key string) int64 {
	n, _ := strconv.ParseInt(key, 10, 64)
	return n
}

// redeliver puts a delivery again: the same event, by the same id. Conflict while it is still being tried.
func (s *Service) redeliver(ctx context.Context, h *subscription, id int64) (*delivery, error) {
	d, err := s.delivery(ctx, h.tenant, id)
	if err == nil && d.subscription != h.id {
		err = fault.New(fault.NotFound, "there is no delivery with this id")
	}
	switch {
	case err != nil:
		return nil, err
	case d.status == pending:
		return nil, fault.New(fault.Conflict, "it is still being tried")
	case !h.enabled:
		return nil, fault.New(fault.Conflict, "the webhook is disabled: enable it first")
	}
	body, err := s.Ledger.Open(ctx, h.tenant, bodyPlace(d.id), d.body)
	if err != nil {
		return nil, err
	}
	again, err := s.newDelivery(ctx, h.tenant, h.id, body)
	if err != nil {
		return nil, err
	}
	again.event, again.typ, again.patient, again.replay, again.status = d.event, d.typ, d.patient, again.id, pending
	if err := s.putDeliveries(ctx, h.tenant, []*delivery{again}); err != nil {
		return nil, err
	}
	s.Jobs.Wake()
	return again, nil
}

// ping tells the receiver of nothing, at once, to see whether it answers.
func (s *Service) ping(ctx context.Context, h *subscription) outcome {
	id := fmt.Sprintf("%d-ping-%d", h.tenant, s.Ledger.Next())
	body, err := json.Marshal(event.CloudEvent{SpecVersion: "1.0", ID: id, Source: s.Source, Type: "nilecare.webhook.ping.v1", Subject: "Webhook/" + strconv.FormatInt(h.id, 10), Time: s.now(),
		DataContentType: "application/json", Data: json.RawMessage(`{}`), Tenant: h.tenant, Topic: "webhook"})
	if err != nil {
		return outcome{err: fault.New(fault.Internal, "the event cannot be said")}
	}
	return s.post(ctx, h, id, body)
}

// keptFor is how long deliveries are kept after their end.
const keptFor = 30 * 24 * time.Hour

// Run deletes old deliveries until ctx ends.
func (s *Service) Run(ctx context.Context) {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		if err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.Log.WarnContext(ctx, "old deliveries of webhooks are not deleted", "error", err.Error())
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Sweep deletes deliveries that ended more than 30 days ago.
func (s *Service) Sweep(ctx context.Context) error {
	tenants, err := s.Tenants(ctx)
	if err != nil {
		return err
	}
	const atOnce = 1000
	before := s.now().Add(-keptFor).UnixMicro()
	for _, tenant := range tenants {
		for n := int64(atOnce); n == atOnce; {
			if err := s.Ledger.Update(ctx, tenant, func(tx sqldb.Tx) (err error) {
				n, err = tx.Exec(ctx, `DELETE FROM webhook_delivery WHERE tenant = $1 AND id IN (SELECT id FROM webhook_delivery WHERE tenant = $1 AND ended_at > 0 AND ended_at < $2
					ORDER BY ended_at LIMIT $3)`, tenant, before, atOnce)
				return err
			}); err != nil {
				return err
			}
		}
	}
	return nil
}

// Forget deletes the deliveries of events about a patient ("Patient/1"), who is being erased.
func Forget(ctx context.Context, l *record.Ledger, tenant int32, patient string) error {
	return l.Update(ctx, tenant, func(tx sqldb.Tx) error {
		_, err := tx.Exec(ctx, "DELETE FROM webhook_delivery WHERE tenant = $1 AND patient = $2", tenant, patient)
		return err
	})
}
