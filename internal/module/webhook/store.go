package webhook

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/audit"
	"github.com/nilecare/nilecare/internal/event"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// mostWebhooks bounds the webhooks of a tenant: each event is held against all of them.
const mostWebhooks = 50

// content is what of a webhook is sealed.
type content struct {
	URL         string `json:"url"`
	Description string `json:"description,omitempty"`
	Secret      string `json:"secret"`
	Old         string `json:"old,omitempty"`      // the secret before, while it signs as well
	OldUntil    int64  `json:"oldUntil,omitempty"` // microseconds since 1970
}

func place(id int64) string { return "webhook.subscription/" + strconv.FormatInt(id, 10) }

// subscription is a webhook.
type subscription struct {
	tenant                                           int32
	id                                               int64
	content                                          content
	events, topics                                   []string
	enabled                                          bool
	reason                                           string
	failures, failingSince, closedUntil, deliveredAt int64
	createdBy                                        string
	createdAt, updatedAt                             int64
	sealed                                           []byte
	forgiven                                         bool // by a change: failures of before do not count any more
}

// secrets are those that sign now, the newest first.
func (h *subscription) secrets(now time.Time) (newest []byte, old [][]byte) {
	if h.content.Old != "" && now.UnixMicro() < h.content.OldUntil {
		old = [][]byte{[]byte(h.content.Old)}
	}
	return []byte(h.content.Secret), old
}

// wants reports whether the webhook is to be told of events of the kind.
func (h *subscription) wants(k event.Kind) bool {
	if slices.Contains(h.topics, k.Topic) {
		return true
	}
	return slices.ContainsFunc(h.events, func(e string) bool { return matches(e, k.Name) })
}

// matches holds a kind against what is wanted: its name, "appointment.*", or "*".
func matches(wanted, kind string) bool {
	if begin, ok := strings.CutSuffix(wanted, "*"); ok {
		return strings.HasPrefix(kind, begin)
	}
	return wanted == kind
}

const columns = "id, content, events, topics, enabled, reason, failures, failing_since, closed_until, delivered_at, created_by, created_at, updated_at"

func scan(rows sqldb.Rows, tenant int32) (*subscription, error) {
	h := &subscription{tenant: tenant}
	var events, topics string
	var enabled int64
	err := rows.Scan(&h.id, &h.sealed, &events, &topics, &enabled, &h.reason, &h.failures, &h.failingSince, &h.closedUntil, &h.deliveredAt, &h.createdBy, &h.createdAt, &h.updatedAt)
	h.sealed, h.enabled = slices.Clone(h.sealed), enabled != 0
	if err == nil {
		err = json.Unmarshal([]byte(events), &h.events)
	}
	if err == nil {
		err = json.Unmarshal([]byte(topics), &h.topics)
	}
	return h, err
}

// find reads webhooks, the newest first; id 0: all. Contents are still sealed.
func (s *Service) find(ctx context.Context, tenant int32, id int64, enabledOnly bool) (out []*subscription, err error) {
	var b sqldb.Builder
	b.SQL("SELECT " + columns + " FROM webhook_subscription WHERE deleted_at = 0 AND tenant = ").Arg(tenant)
	if id != 0 {
		b.SQL(" AND id = ").Arg(id)
	}
	if enabledOnly {
		b.SQL(" AND enabled = 1")
	}
	b.SQL(" ORDER BY id DESC")
	err = s.Ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		out = nil
		return sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
			h, err := scan(rows, tenant)
			out = append(out, h)
			return err
		}, b.String(), b.Args...)
	})
	return out, err
}

func errNone() error { return fault.New(fault.NotFound, "there is no webhook with this id") }

// one reads and opens a webhook; NotFound where there is none.
func (s *Service) one(ctx context.Context, tenant int32, id int64) (*subscription, error) {
	found, err := s.find(ctx, tenant, id, false)
	if err == nil && (len(found) == 0 || id == 0) {
		err = errNone()
	}
	if err != nil {
		return nil, err
	}
	return found[0], s.open(ctx, found[0])
}

func (s *Service) open(ctx context.Context, h *subscription) error {
	plain, err := s.Ledger.Open(ctx, h.tenant, place(h.id), h.sealed)
	if err == nil {
		err = json.Unmarshal(plain, &h.content)
	}
	return err
}

func (s *Service) seal(ctx context.Context, h *subscription) error {
	plain, err := json.Marshal(h.content)
	if err == nil {
		h.sealed, err = s.Ledger.Seal(ctx, h.tenant, place(h.id), plain)
	}
	return err
}

// newSecret is 256 random bits.
func newSecret() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // it never fails
	return "whsec_" + base64.RawURLEncoding.EncodeToString(b[:])
}

func list(all []string) string {
	if all == nil {
		all = []string{}
	}
	text, err := json.Marshal(all)
	if err != nil {
		return "[]" // strings can always be said
	}
	return string(text)
}

// lockOf is the number by which the changes of a tenant's webhooks wait for each other.
func lockOf(tenant int32) int64 { return 0x776562686f6f6b<<8 + int64(tenant) }

// create writes a new webhook. Conflict where there are too many.
func (s *Service) create(ctx context.Context, h *subscription) error {
	if err := s.seal(ctx, h); err != nil {
		return err
	}
	return s.Ledger.Update(ctx, h.tenant, func(tx sqldb.Tx) error {
		if err := tx.Lock(ctx, lockOf(h.tenant)); err != nil {
			return err
		}
		var n int64
		if _, err := sqldb.QueryRow(ctx, tx, []any{&n}, "SELECT count(*) FROM webhook_subscription WHERE tenant = $1 AND deleted_at = 0", h.tenant); err != nil {
			return err
		}
		if n >= mostWebhooks {
			return fault.New(fault.Conflict, "there are %d webhooks already: delete one first", n)
		}
		_, err := tx.Exec(ctx, `INSERT INTO webhook_subscription (tenant, id, content, events, topics, enabled, reason, failures, failing_since, closed_until, delivered_at,
			created_by, created_at, updated_by, updated_at, deleted_at) VALUES ($1, $2, $3, $4, $5, 1, '', 0, 0, 0, 0, $6, $7, $6, $7, 0)`,
			h.tenant, h.id, h.sealed, list(h.events), list(h.topics), h.createdBy, h.createdAt)
		return err
	})
}

// change reads a webhook, has f change it, and writes it, unless somebody else wrote it meanwhile: then all of that is done again.
func (s *Service) change(ctx context.Context, tenant int32, id int64, f func(h *subscription) error) (*subscription, error) {
	for {
		h, err := s.one(ctx, tenant, id)
		if err != nil {
			return nil, err
		}
		before := h.updatedAt
		if err := f(h); err != nil {
			return nil, err
		}
		if err := s.seal(ctx, h); err != nil {
			return nil, err
		}
		h.updatedAt = max(s.now().UnixMicro(), before+1)
		enabled, keep, written := int64(0), int64(1), int64(0)
		if h.enabled {
			enabled = 1
		}
		if h.forgiven {
			keep = 0
		}
		err = s.Ledger.Update(ctx, tenant, func(tx sqldb.Tx) (err error) {
			written, err = tx.Exec(ctx, `UPDATE webhook_subscription SET content = $3, events = $4, topics = $5, enabled = $6, reason = $7,
				failures = failures * $8, failing_since = failing_since * $8, closed_until = closed_until * $8, updated_by = $9, updated_at = $10
				WHERE tenant = $1 AND id = $2 AND deleted_at = 0 AND updated_at = $11`,
				tenant, id, h.sealed, list(h.events), list(h.topics), enabled, h.reason, keep, access.From(ctx).Who, h.updatedAt, before)
			return err
		})
		if err != nil || written == 1 {
			return h, err
		}
	}
}

// remove deletes a webhook, with its deliveries and secrets.
func (s *Service) remove(ctx context.Context, tenant int32, id int64) error {
	now := s.now().UnixMicro()
	return s.Ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		n, err := tx.Exec(ctx, "UPDATE webhook_subscription SET deleted_at = $3, updated_at = $3, updated_by = $4, content = $5, enabled = 0 WHERE tenant = $1 AND id = $2 AND deleted_at = 0",
			tenant, id, now, access.From(ctx).Who, []byte{})
		if err != nil || n == 0 {
			if err == nil {
				err = errNone()
			}
			return err
		}
		// Their jobs find nothing to do.
		_, err = tx.Exec(ctx, "DELETE FROM webhook_delivery WHERE tenant = $1 AND subscription = $2", tenant, id)
		return err
	})
}

// note audits what was done with a webhook.
func (s *Service) note(ctx context.Context, tenant int32, action string, id int64, detail string) {
	c := access.From(ctx)
	s.Ledger.Note(audit.Entry{Tenant: tenant, Kind: audit.Admin, Action: action, Who: c.Who, Name: c.Name, Client: c.Client, Session: c.Session, Purpose: c.Purpose,
		Address: c.Address, Request: c.RequestID, Type: "Webhook", Num: id, Detail: detail})
}
