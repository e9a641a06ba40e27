package notification

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/web/api"
)

// Routes are the module's lines of the product API.
func (s *Service) Routes() []api.Route {
	const root = "/api/v1/notifications"
	own, send := api.Permission("notifications:own"), api.Permission("notifications:send")
	scope := api.Param{Name: "scope", Enum: []string{"own", "all"}, Help: "all: everybody's, with notifications:manage"}
	return []api.Route{
		{Method: "GET", Path: root, Need: own, Summary: "Notifications of the caller, the newest first", Out: listOut{}, Serve: s.serveList, Params: api.Paged(
			api.Param{Name: "userId", Help: "another user's, with notifications:manage"}, scope,
			api.Param{Name: "read", Type: api.Truth},
			api.Param{Name: "channel", Enum: []string{WebSocket, Email, SMS, "all"}, Help: "websocket, those in the program, where nothing is said"},
			api.Param{Name: "status", Enum: []string{Pending, Sent, Failed, read}},
			api.Param{Name: "type"}, api.Param{Name: "priority", Enum: priorities},
			api.Param{Name: "offset", Type: api.Whole, Help: "instead of page: a multiple of limit"})},
		{Method: "POST", Path: root, Need: send, Summary: "Send a notification", In: messageIn{}, Out: oneOut{}, Serve: s.serveSend},
		{Method: "POST", Path: root + "/send", Need: send, Summary: "Send a notification", In: messageIn{}, Out: oneOut{}, Serve: s.serveSend},
		{Method: "POST", Path: root + "/bulk", Need: send, Summary: "Send many notifications, with an outcome for each", In: api.BulkIn, Out: api.BulkOut{}, Serve: s.serveBulk},
		{Method: "GET", Path: root + "/stats", Need: own, Summary: "How many notifications there are", Out: statsOut{}, Params: []api.Param{scope}, Serve: s.serveStats},
		{Method: "GET", Path: root + "/preferences", Need: own, Summary: "What the caller wants to be told, and how", Out: preferencesOut{}, Serve: s.getPreferences},
		{Method: "PUT", Path: root + "/preferences", Need: own, Summary: "Change what the caller wants to be told; what is not named stays", In: preferencesIn{}, Out: preferencesOut{}, Serve: s.putPreferences},
		{Method: "PUT", Path: root + "/read-all", Need: own, Summary: "Mark all in the program as read", Out: readOut{}, Serve: s.serveReadAll},
		{Method: "PATCH", Path: root + "/read-all", Need: own, Summary: "Mark all in the program as read", Out: readOut{}, Serve: s.serveReadAll},
		{Method: "GET", Path: root + "/{id}", Need: own, Summary: "One notification: the caller's, or one that the caller sent", Out: oneOut{}, Serve: s.serveOne},
		{Method: "PUT", Path: root + "/{id}/read", Need: own, Summary: "Mark one as read", Out: oneOut{}, Serve: s.serveRead},
		{Method: "PATCH", Path: root + "/{id}/read", Need: own, Summary: "Mark one as read", Out: oneOut{}, Serve: s.serveRead},
		{Method: "DELETE", Path: root + "/{id}", Need: own, Summary: "Delete one of the caller's", Serve: s.serveDelete},
	}
}

type listOut struct {
	Notifications []*Notification `json:"notifications"`
	UnreadCount   int             `json:"unreadCount" doc:"in the program, whatever the filters"`
	Limit         int             `json:"limit"`
	Offset        int             `json:"offset"`
}

type oneOut struct {
	*Notification
	One *Notification `json:"notification"`
}

type statsOut struct {
	figures
	Stats figures `json:"stats"`
}

type preferencesOut struct {
	Preferences preferences `json:"preferences"`
}

type readOut struct {
	Updated     int64 `json:"updated"`
	UnreadCount int   `json:"unreadCount"`
}

// messageIn is a message that somebody sends, by the names of both front ends.
type messageIn struct {
	UserID      string          `json:"userId"`
	User        string          `json:"user_id"`
	PatientID   string          `json:"patientId"`
	Patient     string          `json:"patient_id"`
	To          string          `json:"to" doc:"an address or number: with notifications:manage"`
	Channel     string          `json:"channel" doc:"email, sms, websocket (in the program)"`
	Type        string          `json:"type"`
	Title       string          `json:"title"`
	Subject     string          `json:"subject" doc:"as title"`
	Message     string          `json:"message"`
	Body        string          `json:"body" doc:"as message"`
	TitleAr     string          `json:"titleAr"`
	MessageAr   string          `json:"messageAr"`
	Priority    string          `json:"priority" doc:"low, normal, high, urgent"`
	Link        string          `json:"link"`
	Payload     json.RawMessage `json:"payload"`
	ScheduledAt string          `json:"scheduledAt"`
	Scheduled   string          `json:"scheduled_at"`
	ExpiresAt   string          `json:"expiresAt" doc:"not to be sent later; a week after its time where nothing is said"`
	Key         string          `json:"key" doc:"the caller's own name of the message: sending it again does nothing"`
	TemplateID  json.RawMessage `json:"template_id" doc:"refused: there are no templates"`
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// message reads what somebody wants to send.
func (s *Service) message(ctx context.Context, in *messageIn) (Message, error) {
	c := access.From(ctx)
	m := Message{Channel: in.Channel, Type: in.Type, Title: or(in.Title, in.Subject), Body: or(in.Message, in.Body), TitleAr: in.TitleAr, BodyAr: in.MessageAr, Priority: in.Priority,
		Link: in.Link, To: in.To}
	if in.Key != "" {
		m.Key = "api/" + c.Who + "/" + in.Key // nobody takes another's, or the program's
	}
	if t := in.TemplateID; len(t) > 0 && string(t) != "null" {
		return m, fault.At(fault.Invalid, "template_id", "there are no templates: send title and message")
	}
	if p := in.Payload; len(p) > 0 && string(p) != "null" {
		if p[0] != '{' {
			return m, fault.At(fault.Invalid, "payload", "must be an object")
		}
		m.Payload = p
	}
	var err error
	for field, text := range map[string]string{"scheduledAt": or(in.ScheduledAt, in.Scheduled), "expiresAt": in.ExpiresAt} {
		if text == "" {
			continue
		}
		at, err := time.Parse(time.RFC3339, text)
		if err != nil || at.After(s.now().AddDate(2, 0, 0)) {
			return m, fault.At(fault.Invalid, field, "must be a time such as 2026-01-31T08:00:00Z, within two years")
		}
		if field == "expiresAt" {
			m.Until = at
		} else {
			m.At = at
		}
	}
	if user := or(in.UserID, in.User); user != "" {
		if m.User, err = s.knownUser(ctx, user); err != nil {
			return m, err
		}
	}
	if patient := or(in.PatientID, in.Patient); patient != "" {
		if m.Patient, err = s.Records.Ref(ctx, "patientId", "Patient", patient); err != nil {
			return m, err
		}
	}
	if fixed(m.Type) && !c.Permits(managing) {
		return m, fault.At(fault.Invalid, "type", "types that begin with %s are the program's own", strings.Join(fixedTypes, " or "))
	}
	if m.To != "" && !c.Permits(managing) {
		return m, fault.New(fault.Forbidden, "to send to an address of one's own choice needs the permission %s", managing)
	}
	return m, nil
}

// knownUser is the number of a user that there is.
func (s *Service) knownUser(ctx context.Context, text string) (int64, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id <= 0 {
		return 0, fault.At(fault.Invalid, "userId", "must be the id of a user")
	}
	if s.People == nil {
		return 0, fault.At(fault.Unprocessable, "userId", "there is no user with this id")
	}
	_, err = s.People.Contact(ctx, access.From(ctx).Tenant, id)
	if fault.Is(err, fault.NotFound) {
		err = fault.At(fault.Unprocessable, "userId", "there is no user with this id")
	}
	return id, err
}

// send puts a message for the caller; fresh is false where one of the same key was there.
func (s *Service) send(ctx context.Context, in *messageIn) (n *Notification, fresh bool, err error) {
	tenant := access.From(ctx).Tenant
	m, err := s.message(ctx, in)
	if err != nil {
		return nil, false, err
	}
	p, err := s.Prepare(ctx, tenant, m)
	if err != nil {
		return nil, false, err
	}
	id := p.id
	err = s.Ledger.Update(ctx, tenant, func(tx sqldb.Tx) (err error) {
		id = p.id
		if fresh, err = s.put(ctx, tx, tenant, p); err != nil || fresh {
			return err
		}
		_, err = sqldb.QueryRow(ctx, tx, []any{&id}, "SELECT id FROM notification_message WHERE tenant = $1 AND key = $2", tenant, p.m.Key)
		return err
	})
	if err != nil {
		return nil, false, err
	}
	if fresh {
		s.Wake()
		var patients []int64
		if m.Patient != "" {
			typ, fid, _ := fhir.SplitReference(m.Patient, "")
			if num, ok, err := s.Records.Store.Number(ctx, typ, fid); err == nil && ok {
				patients = []int64{num}
			}
		}
		s.note(ctx, "send", id, m.Channel+" "+m.Type, patients...)
	}
	one, err := s.one(ctx, tenant, id)
	if err != nil {
		return nil, false, err
	}
	n, err = s.view(ctx, one, "")
	return n, fresh, err
}

func (s *Service) serveSend(w http.ResponseWriter, r *http.Request) error {
	var in messageIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	n, fresh, err := s.send(r.Context(), &in)
	if err != nil {
		return err
	}
	status := http.StatusCreated
	if !fresh {
		status = http.StatusOK
	}
	return api.Answer(w, r, status, oneOut{n, n})
}

func (s *Service) serveBulk(w http.ResponseWriter, r *http.Request) error {
	return api.Bulk(w, r, func(ctx context.Context, _ int, item json.RawMessage) (any, error) {
		var in messageIn
		if err := api.Item(item, &in); err != nil {
			return nil, err
		}
		n, fresh, err := s.send(ctx, &in)
		if err == nil && !fresh {
			return api.Outcome{Status: http.StatusOK, Data: n}, nil
		}
		return n, err
	})
}

// whose is the user whose messages a request wants; 0: everybody's.
func whose(r *http.Request) (int64, error) {
	c := access.From(r.Context())
	text, all := r.URL.Query().Get("userId"), r.URL.Query().Get("scope") == "all"
	switch {
	case all && text != "":
		return 0, fault.At(fault.Invalid, "scope", "all and userId exclude each other")
	case all && !c.Permits(managing):
		return 0, fault.New(fault.Forbidden, "notifications of others need the permission %s", managing)
	case all:
		return 0, nil
	case text == "":
		_, err := self(r.Context())
		return c.User, err
	}
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id <= 0 {
		return 0, fault.At(fault.Invalid, "userId", "must be the id of a user")
	}
	if id != c.User && !c.Permits(managing) {
		return 0, fault.New(fault.Forbidden, "notifications of others need the permission %s", managing)
	}
	return id, nil
}

func (s *Service) serveList(w http.ResponseWriter, r *http.Request) error {
	ctx, q := r.Context(), r.URL.Query()
	c := access.From(ctx)
	page, limit, err := api.PageOf(r)
	if err != nil {
		return err
	}
	f := filter{channel: q.Get("channel"), typ: q.Get("type"), priority: q.Get("priority"), status: q.Get("status"), read: q.Get("read"), page: page, limit: limit}
	if f.user, err = whose(r); err != nil {
		return err
	}
	switch {
	case f.channel == "" && f.user != 0:
		f.channel = WebSocket
	case f.channel == "all":
		f.channel = ""
	}
	if text := q.Get("offset"); text != "" {
		offset, err := strconv.Atoi(text)
		if err != nil || offset%limit != 0 {
			return fault.At(fault.Invalid, "offset", "must be a multiple of limit")
		}
		f.page = offset/limit + 1
	}
	if text := q.Get("cursor"); text != "" {
		if f.before, err = strconv.ParseInt(text, 10, 64); err != nil || f.before <= 0 {
			return fault.At(fault.Invalid, "cursor", "is none of this listing's")
		}
	}
	found, total, err := s.list(ctx, c.Tenant, f)
	if err != nil {
		return err
	}
	out := listOut{Notifications: []*Notification{}, Limit: limit, Offset: (f.page - 1) * limit}
	language := languageOf(r.Header.Get("Accept-Language"))
	for _, m := range found {
		n, err := s.view(ctx, m, language)
		if err != nil {
			return err
		}
		out.Notifications = append(out.Notifications, n)
	}
	unreadOf := f.user
	if unreadOf == 0 {
		unreadOf = c.User
	}
	if out.UnreadCount, err = s.unread(ctx, c.Tenant, unreadOf); err != nil {
		return err
	}
	if f.user != c.User || c.User == 0 {
		s.note(ctx, "search", 0, "notifications of "+or(q.Get("userId"), "everybody"))
	}
	p := api.Page{Page: f.page, Limit: limit, Total: total}
	if len(found) == limit {
		p.Next = strconv.FormatInt(found[limit-1].id, 10)
	}
	return api.List(w, r, out, p)
}

// idOf reads the path's id.
func idOf(r *http.Request) (int64, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil || id <= 0 {
		return 0, errNone()
	}
	return id, nil
}

func (s *Service) serveOne(w http.ResponseWriter, r *http.Request) error {
	id, err := idOf(r)
	if err != nil {
		return err
	}
	m, err := s.mine(r.Context(), id, false)
	if err != nil {
		return err
	}
	n, err := s.view(r.Context(), m, languageOf(r.Header.Get("Accept-Language")))
	if err != nil {
		return err
	}
	return api.Answer(w, r, http.StatusOK, oneOut{n, n})
}

func (s *Service) serveRead(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	id, err := idOf(r)
	if err != nil {
		return err
	}
	m, err := s.mine(ctx, id, true)
	if err != nil {
		return err
	}
	if m.status != Sent {
		return fault.New(fault.Conflict, "it was not sent, so that nobody can have read it")
	}
	if _, err := s.setRead(ctx, m.tenant, m.user, id); err != nil {
		return err
	}
	return s.serveOne(w, r)
}

func (s *Service) serveReadAll(w http.ResponseWriter, r *http.Request) error {
	c, err := self(r.Context())
	if err != nil {
		return err
	}
	var out readOut
	if out.Updated, err = s.setRead(r.Context(), c.Tenant, c.User); err != nil {
		return err
	}
	if out.UnreadCount, err = s.unread(r.Context(), c.Tenant, c.User); err != nil {
		return err
	}
	return api.Answer(w, r, http.StatusOK, out)
}

func (s *Service) serveDelete(w http.ResponseWriter, r *http.Request) error {
	c, err := self(r.Context())
	if err != nil {
		return err
	}
	id, err := idOf(r)
	if err == nil {
		err = s.remove(r.Context(), c.Tenant, c.User, id)
	}
	if err != nil {
		return err
	}
	return api.Answer(w, r, http.StatusOK, map[string]any{"id": r.PathValue("id"), "deleted": true})
}

func (s *Service) serveStats(w http.ResponseWriter, r *http.Request) error {
	user, err := whose(r)
	if err != nil {
		return err
	}
	f, err := s.count(r.Context(), access.From(r.Context()).Tenant, user)
	if err != nil {
		return err
	}
	return api.Answer(w, r, http.StatusOK, statsOut{f, f})
}
