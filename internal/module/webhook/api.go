package webhook

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/web/api"
)

// Routes are the module's lines of the product API.
func (s *Service) Routes() []api.Route {
	const root = "/api/v1/webhooks"
	see, change := api.Permission("webhooks:read"), api.Permission("webhooks:write")
	return []api.Route{
		{Method: "GET", Path: root, Need: see, Summary: "Webhooks, the newest first", Out: listOut{}, Params: []api.Param{}, Serve: s.serveList},
		{Method: "POST", Path: root, Need: change, Summary: "Make a webhook; the answer shows its secret, this once", In: hookIn{}, Out: secretOut{}, Once: api.Secret, Serve: s.serveCreate},
		{Method: "GET", Path: root + "/{id}", Need: see, Summary: "One webhook", Out: hookOut{}, Serve: s.serveOne},
		{Method: "PUT", Path: root + "/{id}", Need: change, Summary: "Change a webhook; what is not named stays", In: hookIn{}, Out: hookOut{}, Serve: s.serveUpdate},
		{Method: "PATCH", Path: root + "/{id}", Need: change, Summary: "Change a webhook; what is not named stays", In: hookIn{}, Out: hookOut{}, Serve: s.serveUpdate},
		{Method: "DELETE", Path: root + "/{id}", Need: change, Summary: "Delete a webhook, with its deliveries", Serve: s.serveDelete},
		{Method: "POST", Path: root + "/{id}/enable", Need: change, Summary: "Enable a webhook that was disabled; its failures are forgotten", Out: hookOut{}, Serve: s.able(true)},
		{Method: "POST", Path: root + "/{id}/disable", Need: change, Summary: "Disable a webhook", Out: hookOut{}, Serve: s.able(false)},
		{Method: "POST", Path: root + "/{id}/rotate-secret", Need: change, Summary: "Make a new secret; the old one signs as well for a while", In: rotateIn{}, Out: secretOut{}, Once: api.Secret, Serve: s.serveRotate},
		{Method: "POST", Path: root + "/{id}/ping", Need: change, Summary: "Send a test event at once and tell what came back", Out: pingOut{}, Serve: s.servePing},
		{Method: "GET", Path: root + "/{id}/deliveries", Need: see, Summary: "What became of the events, the newest first", Out: deliveriesOut{},
			Params: api.Paged(api.Param{Name: "status", Enum: []string{pending, delivered, failedFor}}, api.Param{Name: "event", Help: "a kind, such as appointment.created"}), Serve: s.serveDeliveries},
		{Method: "GET", Path: root + "/{id}/deliveries/{delivery}", Need: see, Summary: "One delivery; with the event that was sent for those who may read events", Out: deliveryOut{}, Serve: s.serveDelivery},
		{Method: "POST", Path: root + "/{id}/deliveries/{delivery}/redeliver", Need: change, Summary: "Send the same event again", Out: deliveryOut{}, Serve: s.serveRedeliver},
	}
}

// hookJSON is a webhook as the product API tells it.
type hookJSON struct {
	ID             string   `json:"id"`
	URL            string   `json:"url"`
	Description    string   `json:"description"`
	Events         []string `json:"events"`
	Topics         []string `json:"topics"`
	Enabled        bool     `json:"enabled"`
	DisabledReason string   `json:"disabledReason,omitempty" doc:"why the program disabled it"`
	Failures       int64    `json:"consecutiveFailures"`
	FailingSince   string   `json:"failingSince,omitempty"`
	LastDelivered  string   `json:"lastDeliveredAt,omitempty"`
	OldSecretUntil string   `json:"oldSecretUntil,omitempty" doc:"until then requests are signed by the secret before as well"`
	CreatedBy      string   `json:"createdBy"`
	CreatedAt      string   `json:"createdAt"`
	UpdatedAt      string   `json:"updatedAt"`
}

type listOut struct {
	Webhooks []hookJSON `json:"webhooks"`
}

type hookOut struct {
	hookJSON
	Webhook hookJSON `json:"webhook"`
}

type secretOut struct {
	hookJSON
	Webhook hookJSON `json:"webhook"`
	Secret  string   `json:"secret" doc:"shown this once: HMAC-SHA256 is keyed with its bytes as they stand here"`
}

type hookIn struct {
	URL         *string   `json:"url"`
	Description *string   `json:"description"`
	Events      *[]string `json:"events" doc:"kinds of events, all of a family (appointment.*), or *"`
	Topics      *[]string `json:"topics"`
	Enabled     *bool     `json:"enabled"`
}

type rotateIn struct {
	OverlapHours *int `json:"overlapHours" doc:"how long the old secret signs as well: 0 to 168, 24 where nothing is said"`
}

type pingOut struct {
	Delivered  bool   `json:"delivered"`
	StatusCode int    `json:"statusCode,omitempty"`
	LatencyMS  int64  `json:"latencyMs"`
	Reason     string `json:"reason,omitempty"`
}

type deliveryJSON struct {
	ID          string          `json:"id"`
	EventID     string          `json:"eventId"`
	EventType   string          `json:"eventType"`
	Status      string          `json:"status" doc:"pending, delivered, failed"`
	Attempts    int64           `json:"attempts"`
	StatusCode  int64           `json:"statusCode,omitempty" doc:"of the last answer; absent: there was none"`
	LatencyMS   int64           `json:"latencyMs" doc:"of the last attempt"`
	Reason      string          `json:"reason,omitempty" doc:"why the last attempt failed"`
	Redelivery  bool            `json:"redelivery"`
	CreatedAt   string          `json:"createdAt"`
	LastAttempt string          `json:"lastAttemptAt,omitempty"`
	NextAttempt string          `json:"nextAttemptAt,omitempty"`
	EndedAt     string          `json:"endedAt,omitempty"`
	Event       json.RawMessage `json:"event,omitempty" doc:"of one delivery, for those who may read events"`
}

type deliveriesOut struct {
	Deliveries []deliveryJSON `json:"deliveries"`
}

type deliveryOut struct {
	deliveryJSON
	Delivery deliveryJSON `json:"delivery"`
}

func stamp(micros int64) string {
	if micros == 0 {
		return ""
	}
	return time.UnixMicro(micros).UTC().Format("2006-01-02T15:04:05.000Z")
}

func (s *Service) view(h *subscription) hookJSON {
	out := hookJSON{ID: strconv.FormatInt(h.id, 10), URL: h.content.URL, Description: h.content.Description, Events: h.events, Topics: h.topics, Enabled: h.enabled, DisabledReason: h.reason,
		Failures: h.failures, FailingSince: stamp(h.failingSince), LastDelivered: stamp(h.deliveredAt), CreatedBy: h.createdBy, CreatedAt: stamp(h.createdAt), UpdatedAt: stamp(h.updatedAt)}
	if _, old := h.secrets(s.now()); len(old) > 0 {
		out.OldSecretUntil = stamp(h.content.OldUntil)
	}
	return out
}

func viewDelivery(d *delivery) deliveryJSON {
	return deliveryJSON{ID: strconv.FormatInt(d.id, 10), EventID: d.event, EventType: d.typ, Status: d.status, Attempts: d.attempts, StatusCode: d.code, LatencyMS: d.latency, Reason: d.reason,
		Redelivery: d.replay != 0, CreatedAt: stamp(d.created), LastAttempt: stamp(d.tried), NextAttempt: stamp(d.next), EndedAt: stamp(d.ended)}
}

func idOf(r *http.Request, name string) int64 {
	id, err := strconv.ParseInt(r.PathValue(name), 10, 64)
	if err != nil {
		return 0
	}
	return id
}

// mine reads the webhook of the path.
func (s *Service) mine(r *http.Request) (*subscription, error) {
	return s.one(r.Context(), access.From(r.Context()).Tenant, idOf(r, "id"))
}

func (s *Service) answer(w http.ResponseWriter, r *http.Request, h *subscription) error {
	v := s.view(h)
	return api.Answer(w, r, http.StatusOK, hookOut{v, v})
}

func (s *Service) serveList(w http.ResponseWriter, r *http.Request) error {
	found, err := s.find(r.Context(), access.From(r.Context()).Tenant, 0, false)
	if err != nil {
		return err
	}
	out := listOut{Webhooks: []hookJSON{}}
	for _, h := range found {
		if err := s.open(r.Context(), h); err != nil {
			return err
		}
		out.Webhooks = append(out.Webhooks, s.view(h))
	}
	return api.List(w, r, out, api.Page{Page: 1, Limit: mostWebhooks, Total: len(found)})
}

func (s *Service) serveOne(w http.ResponseWriter, r *http.Request) error {
	h, err := s.mine(r)
	if err != nil {
		return err
	}
	return s.answer(w, r, h)
}

// take puts what a request says into the webhook.
func (s *Service) take(h *subscription, in *hookIn) error {
	if in.URL != nil {
		h.content.URL = strings.TrimSpace(*in.URL)
	}
	if in.Description != nil {
		h.content.Description = strings.TrimSpace(*in.Description)
	}
	if in.Events != nil {
		h.events = *in.Events
	}
	if in.Topics != nil {
		h.topics = *in.Topics
	}
	if err := s.checkURL(h.content.URL); err != nil {
		return err
	}
	if utf8.RuneCountInString(h.content.Description) > 500 {
		return fault.At(fault.Invalid, "description", "is longer than 500 characters")
	}
	if len(h.events)+len(h.topics) == 0 {
		return fault.At(fault.Invalid, "events", "is missing: name kinds of events, topics, or * for all")
	}
	return s.checkFilters(h)
}

// checkFilters refuses kinds and topics that there are not, and brings the rest into one form.
func (s *Service) checkFilters(h *subscription) error {
	kinds := s.Hub.Kinds()
	for _, e := range h.events {
		known := false
		for _, k := range kinds {
			known = known || matches(e, k.Name)
		}
		if begin, ok := strings.CutSuffix(e, "*"); !known || ok && begin != "" && !strings.HasSuffix(begin, ".") || strings.Contains(strings.TrimSuffix(e, "*"), "*") {
			return fault.At(fault.Invalid, "events", "there is no kind of event %.64q: GET /api/v1/events/kinds lists them", e)
		}
	}
	for _, t := range h.topics {
		known := false
		for _, k := range kinds {
			known = known || k.Topic == t
		}
		if !known {
			return fault.At(fault.Invalid, "topics", "there is no topic %.64q", t)
		}
	}
	for _, one := range []*[]string{&h.events, &h.topics} {
		all := slices.Clone(*one)
		slices.Sort(all)
		if *one = slices.Compact(all); *one == nil {
			*one = []string{}
		}
	}
	return nil
}

// seesEvents is the permission to read events. Whoever says which events go where must hold it, or they could have all of them sent to themselves; and so must who looks
// at one that was sent.
const seesEvents = "events:read"

// mayDirect refuses to have events sent to a place to those who may not read them.
func mayDirect(ctx context.Context) error {
	if c := access.From(ctx); !c.Permits(seesEvents) {
		return fault.New(fault.Forbidden, "to say which events are sent where needs the permission %s: they tell of patients", seesEvents)
	}
	return nil
}

func (s *Service) serveCreate(w http.ResponseWriter, r *http.Request) error {
	var in hookIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	c := access.From(r.Context())
	now := s.now().UnixMicro()
	h := &subscription{tenant: c.Tenant, id: s.Ledger.Next(), enabled: true, createdBy: c.Who, createdAt: now, updatedAt: now}
	if in.URL == nil {
		return s.checkURL("")
	}
	if err := s.take(h, &in); err != nil {
		return err
	}
	if in.Enabled != nil && !*in.Enabled {
		return fault.At(fault.Invalid, "enabled", "a new webhook is enabled")
	}
	if err := mayDirect(r.Context()); err != nil {
		return err
	}
	h.content.Secret = newSecret()
	if err := s.create(r.Context(), h); err != nil {
		return err
	}
	s.note(r.Context(), c.Tenant, "create", h.id, strings.Join(append(slices.Clone(h.events), h.topics...), ","))
	w.Header().Set("Cache-Control", "no-store")
	v := s.view(h)
	return api.Answer(w, r, http.StatusCreated, secretOut{v, v, h.content.Secret})
}

// changed changes the webhook of the path and answers it.
func (s *Service) changed(w http.ResponseWriter, r *http.Request, action string, f func(h *subscription) error) error {
	c := access.From(r.Context())
	h, err := s.change(r.Context(), c.Tenant, idOf(r, "id"), f)
	if err != nil {
		return err
	}
	s.note(r.Context(), c.Tenant, action, h.id, "")
	if h, err = s.one(r.Context(), c.Tenant, h.id); err != nil {
		return err
	}
	return s.answer(w, r, h)
}

func (s *Service) serveUpdate(w http.ResponseWriter, r *http.Request) error {
	var in hookIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	return s.changed(w, r, "update", func(h *subscription) error {
		if in.URL != nil || in.Events != nil || in.Topics != nil {
			if err := mayDirect(r.Context()); err != nil {
				return err
			}
		}
		if in.Enabled != nil {
			enable(h, *in.Enabled)
		}
		return s.take(h, &in)
	})
}

// enable enables a webhook, whose failures are forgotten, or disables it by hand.
func enable(h *subscription, yes bool) {
	if yes && !h.enabled {
		h.forgiven = true
	}
	h.enabled, h.reason = yes, ""
}

func (s *Service) able(yes bool) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		action := "disable"
		if yes {
			action = "enable"
		}
		return s.changed(w, r, action, func(h *subscription) error { enable(h, yes); return nil })
	}
}

func (s *Service) serveDelete(w http.ResponseWriter, r *http.Request) error {
	c := access.From(r.Context())
	id := idOf(r, "id")
	if err := s.remove(r.Context(), c.Tenant, id); err != nil {
		return err
	}
	s.note(r.Context(), c.Tenant, "delete", id, "")
	return api.Answer(w, r, http.StatusOK, map[string]any{"id": r.PathValue("id"), "deleted": true})
}

// The overlap of a secret's replacement: the usual one, and the longest.
const (
	overlapUsual = 24
	overlapMost  = 168
)

func (s *Service) serveRotate(w http.ResponseWriter, r *http.Request) error {
	var in rotateIn
	if r.ContentLength != 0 {
		if err := api.Decode(r, &in); err != nil {
			return err
		}
	}
	hours := overlapUsual
	if in.OverlapHours != nil {
		hours = *in.OverlapHours
	}
	if hours < 0 || hours > overlapMost {
		return fault.At(fault.Invalid, "overlapHours", "must be 0 to %d", overlapMost)
	}
	c := access.From(r.Context())
	secret := newSecret()
	h, err := s.change(r.Context(), c.Tenant, idOf(r, "id"), func(h *subscription) error {
		h.content.Old, h.content.OldUntil = h.content.Secret, s.now().Add(time.Duration(hours)*time.Hour).UnixMicro()
		if hours == 0 {
			h.content.Old, h.content.OldUntil = "", 0
		}
		h.content.Secret = secret
		return nil
	})
	if err != nil {
		return err
	}
	s.note(r.Context(), c.Tenant, "rotate", h.id, "")
	w.Header().Set("Cache-Control", "no-store")
	v := s.view(h)
	return api.Answer(w, r, http.StatusOK, secretOut{v, v, secret})
}

func (s *Service) servePing(w http.ResponseWriter, r *http.Request) error {
	h, err := s.mine(r)
	if err != nil {
		return err
	}
	o := s.ping(r.Context(), h)
	out := pingOut{Delivered: o.err == nil, StatusCode: o.code, LatencyMS: o.latency.Milliseconds()}
	if o.err != nil {
		out.Reason = o.err.Error()
	}
	return api.Answer(w, r, http.StatusOK, out)
}

func (s *Service) serveDeliveries(w http.ResponseWriter, r *http.Request) error {
	h, err := s.mine(r)
	if err != nil {
		return err
	}
	page, limit, err := api.PageOf(r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	var before int64
	if text := q.Get("cursor"); text != "" {
		if before, err = strconv.ParseInt(text, 10, 64); err != nil || before <= 0 {
			return fault.At(fault.Invalid, "cursor", "is none of this listing's")
		}
	}
	found, total, err := s.deliveries(r.Context(), h, q.Get("status"), q.Get("event"), page, limit, before)
	if err != nil {
		return err
	}
	out := deliveriesOut{Deliveries: []deliveryJSON{}}
	for _, d := range found {
		out.Deliveries = append(out.Deliveries, viewDelivery(d))
	}
	p := api.Page{Page: page, Limit: limit, Total: total}
	if len(found) == limit {
		p.Next = out.Deliveries[limit-1].ID
	}
	return api.List(w, r, out, p)
}

// deliveries reads a page, the newest first.
func (s *Service) deliveries(ctx context.Context, h *subscription, status, typ string, page, limit int, before int64) (found []*delivery, total int, err error) {
	const where = " FROM webhook_delivery WHERE tenant = $1 AND subscription = $2 AND ($3 = '' OR status = $3) AND ($4 = '' OR type = $4)"
	err = s.Ledger.View(ctx, h.tenant, func(q sqldb.Querier) error {
		found = nil
		if _, err := sqldb.QueryRow(ctx, q, []any{&total}, "SELECT count(*)"+where, h.tenant, h.id, status, typ); err != nil {
			return err
		}
		offset := (page - 1) * limit
		if before != 0 {
			offset = 0
		}
		return sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
			d, err := scanDelivery(rows, h.tenant)
			found = append(found, d)
			return err
		}, "SELECT "+deliveryColumns+where+" AND ($5 = 0 OR id < $5) ORDER BY id DESC LIMIT $6 OFFSET $7", h.tenant, h.id, status, typ, before, limit, offset)
	})
	return found, total, err
}

func (s *Service) serveDelivery(w http.ResponseWriter, r *http.Request) error {
	h, err := s.mine(r)
	if err != nil {
		return err
	}
	d, err := s.delivery(r.Context(), h.tenant, idOf(r, "delivery"))
	if err == nil && d.subscription != h.id {
		err = fault.New(fault.NotFound, "there is no delivery with this id")
	}
	if err != nil {
		return err
	}
	v := viewDelivery(d)
	if c := access.From(r.Context()); !c.Permits(seesEvents) {
		return api.Answer(w, r, http.StatusOK, deliveryOut{v, v})
	}
	if v.Event, err = s.Ledger.Open(r.Context(), h.tenant, bodyPlace(d.id), d.body); err != nil {
		return err
	}
	return api.Answer(w, r, http.StatusOK, deliveryOut{v, v})
}

func (s *Service) serveRedeliver(w http.ResponseWriter, r *http.Request) error {
	h, err := s.mine(r)
	if err != nil {
		return err
	}
	d, err := s.redeliver(r.Context(), h, idOf(r, "delivery"))
	if err != nil {
		return err
	}
	s.note(r.Context(), h.tenant, "redeliver", h.id, d.event)
	v := viewDelivery(d)
	return api.Answer(w, r, http.StatusAccepted, deliveryOut{v, v})
}
