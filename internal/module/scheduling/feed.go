package scheduling

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	ics "github.com/arran4/golang-ical"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/web/api"
)

// What a feed holds.
const (
	feedBack    = 30 * 24 * time.Hour
	feedAhead   = 400 * 24 * time.Hour
	mostOfFeed  = 2000
	contentType = "text/calendar; charset=utf-8"
)

// feedIn is the body of a new feed.
type feedIn struct {
	Of      string `json:"of,omitempty" doc:"Practitioner/1, Patient/2 or Location/3; the caller's own calendar where nothing is said"`
	Details bool   `json:"details,omitempty" doc:"say why and with whom: whoever knows the address reads it. A provider's feed names no patient otherwise"`
}

// feedJSON is a feed.
type feedJSON struct {
	ID        string `json:"id"`
	Of        string `json:"of"`
	Details   bool   `json:"details"`
	Path      string `json:"path,omitempty" doc:"the address, below the server's own; it is told once, and is itself what lets in"`
	CreatedAt string `json:"createdAt"`
	UsedAt    string `json:"usedAt,omitempty"`
}

type feedList struct {
	Feeds []feedJSON `json:"feeds"`
}

func (s *Service) feedRoutes() []api.Route {
	const path = "/api/v1/calendars"
	return []api.Route{
		{Method: "GET", Path: path, Need: api.Known(), Summary: "One's calendar feeds", Out: feedList{}, Serve: s.serveFeeds},
		{Method: "POST", Path: path, Need: api.Permission("appointments:read"), Summary: "Make an iCalendar feed, for the calendar of a phone: its address is told once", In: feedIn{}, Out: feedJSON{}, Once: api.Secret, Serve: s.serveNewFeed},
		{Method: "DELETE", Path: path + "/{id}", Need: api.Known(), Summary: "End a feed: its address answers no more", Serve: s.serveEndFeed},
		{Method: "GET", Path: path + "/feed/{file}", Need: api.Public(), Summary: "The feed, as iCalendar: for whoever knows its address", Bare: true, Serve: s.serveFeed},
		{Method: "GET", Path: "/api/v1/appointments/{id}/ics", Need: api.Permission("appointments:read"), Summary: "One appointment, as iCalendar", Bare: true, Serve: s.serveICS},
	}
}

func (s *Service) serveNewFeed(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	var in feedIn
	if err := api.DecodeOptional(r, &in); err != nil {
		return err
	}
	c := access.From(ctx)
	if c.User == 0 || c.Client != "" { // it is read with all that its maker may do, which is more than an app or a key was given
		return fault.New(fault.Forbidden, "a feed is made by a person who is signed in to nilecare itself")
	}
	if in.Of == "" {
		at := slices.IndexFunc(c.Self, func(ref string) bool {
			return strings.HasPrefix(ref, "Practitioner/") || strings.HasPrefix(ref, "Patient/")
		})
		if at < 0 {
			return fault.At(fault.Invalid, "of", "is missing: the caller has no calendar").WithCode("required")
		}
		in.Of = c.Self[at]
	}
	typ, id, ok := fhir.SplitReference(in.Of, s.Records.Base)
	if !ok || !slices.Contains([]string{"Practitioner", "Patient", "Location"}, typ) {
		return fault.At(fault.Invalid, "of", "must name a Practitioner, a Patient or a Location").WithCode("value")
	}
	ref, err := s.Records.Ref(ctx, "of", typ, id)
	if err != nil {
		return err
	}
	secret := make([]byte, 24)
	_, _ = rand.Read(secret) // never fails
	hash := sha256.Sum256(secret)
	num := s.Ledger.Next()
	now := s.Clock().UnixMicro()
	err = s.Ledger.Update(ctx, c.Tenant, func(tx sqldb.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO scheduling_feed (tenant, id, hash, actor, details, used_at, created_by, created_at, updated_by, updated_at, deleted_at)
			VALUES ($1, $2, $3, $4, $5, 0, $6, $7, $6, $7, 0)`, c.Tenant, num, hash[:], ref, bit(in.Details), c.Who, now)
		return err
	})
	if err != nil {
		return err
	}
	prefix := ""
	if c.Tenant > 1 {
		prefix = "/t/" + strconv.Itoa(int(c.Tenant))
	}
	path := prefix + "/api/v1/calendars/feed/" + decimal(num) + "-" + base64.RawURLEncoding.EncodeToString(secret) + ".ics"
	return api.AnswerOne(w, r, http.StatusCreated, "feed", feedJSON{ID: decimal(num), Of: ref, Details: in.Details, Path: path, CreatedAt: flat.StampOf(time.UnixMicro(now))})
}

// feed is a row of scheduling_feed.
type feed struct {
	id         int64
	hash       []byte
	actor, who string
	details    bool
	made, used int64
}

func (s *Service) feeds(ctx context.Context, tenant int32, where string, args ...any) ([]feed, error) {
	var out []feed
	err := s.Ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		return sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
			var f feed
			var details int
			err := rows.Scan(&f.id, &f.hash, &f.actor, &details, &f.who, &f.made, &f.used)
			f.hash, f.details = slices.Clone(f.hash), details == 1
			out = append(out, f)
			return err
		}, "SELECT id, hash, actor, details, created_by, created_at, used_at FROM scheduling_feed WHERE tenant = $1 AND deleted_at = 0 AND "+where, append([]any{tenant}, args...)...)
	})
	return out, err
}

func (s *Service) serveFeeds(w http.ResponseWriter, r *http.Request) error {
	c := access.From(r.Context())
	all, err := s.feeds(r.Context(), c.Tenant, "created_by = $2 ORDER BY id", c.Who)
	if err != nil {
		return err
	}
	out := []feedJSON{}
	for _, f := range all {
		one := feedJSON{ID: decimal(f.id), Of: f.actor, Details: f.details, CreatedAt: flat.StampOf(time.UnixMicro(f.made))}
		if f.used != 0 {
			one.UsedAt = flat.StampOf(time.UnixMicro(f.used))
		}
		out = append(out, one)
	}
	return api.Answer(w, r, http.StatusOK, feedList{out})
}

func (s *Service) serveEndFeed(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	c := access.From(ctx)
	num, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	var n int64
	if err == nil {
		err = s.Ledger.Update(ctx, c.Tenant, func(tx sqldb.Tx) (err error) {
			n, err = tx.Exec(ctx, "UPDATE scheduling_feed SET deleted_at = $3, updated_at = $3, updated_by = $4 WHERE tenant = $1 AND id = $2 AND deleted_at = 0 AND (created_by = $4 OR $5 = 1)",
				c.Tenant, num, s.Clock().UnixMicro(), c.Who, bit(c.Permits("settings:update")))
			return err
		})
		if err != nil {
			return err
		}
	}
	if n == 0 {
		return fault.New(fault.NotFound, "there is no feed with this id")
	}
	return api.Answer(w, r, http.StatusOK, struct {
		ID string `json:"id"`
	}{r.PathValue("id")})
}

var errNoFeed = fault.New(fault.NotFound, "no calendar stands here")

// feedMaker is the caller as whom a feed is read: who made it, with what they may do today. errNoFeed where they may not see appointments any more.
func (s *Service) feedMaker(ctx context.Context, f *feed) (access.Caller, error) {
	from := access.From(ctx)
	user, err := strconv.ParseInt(strings.TrimPrefix(f.who, "User/"), 10, 64)
	if err != nil || s.Maker == nil {
		return from, errNoFeed
	}
	c, err := s.Maker(ctx, max(from.Tenant, 1), user)
	if fault.Is(err, fault.Unauthenticated) || fault.Is(err, fault.Forbidden) || err == nil && !c.Permits("appointments:read") {
		err = errNoFeed
	}
	c.Address, c.RequestID = from.Address, from.RequestID
	return c, err
}

// serveFeed answers whoever knows the address. It shows no more than its maker may see when it is asked for, so that nobody learns by a feed what they may not
// read otherwise, and whoever leaves takes theirs along.
func (s *Service) serveFeed(w http.ResponseWriter, r *http.Request) error {
	id, secret, ok := strings.Cut(strings.TrimSuffix(r.PathValue("file"), ".ics"), "-")
	num, err := strconv.ParseInt(id, 10, 64)
	plain, wrong := base64.RawURLEncoding.DecodeString(secret)
	if !ok || err != nil || wrong != nil {
		return errNoFeed
	}
	tenant := max(access.From(r.Context()).Tenant, 1)
	ctx := access.With(r.Context(), access.System(tenant))
	all, err := s.feeds(ctx, tenant, "id = $2", num)
	if err != nil {
		return err
	}
	hash := sha256.Sum256(plain)
	if len(all) == 0 || subtle.ConstantTimeCompare(all[0].hash, hash[:]) != 1 {
		return errNoFeed
	}
	f := all[0]
	maker, err := s.feedMaker(r.Context(), &f)
	if err != nil {
		return err
	}
	now := s.Clock()
	if now.UnixMicro()-f.used > time.Hour.Microseconds() { // a phone asks often: when it did last is told to the hour
		if err := s.Ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
			_, err := tx.Exec(ctx, "UPDATE scheduling_feed SET used_at = $3 WHERE tenant = $1 AND id = $2", tenant, f.id, now.UnixMicro())
			return err
		}); err != nil {
			return err
		}
	}
	q := flat.Query{Type: "Appointment", Sort: "date", Limit: mostOfFeed}
	q.With("actor", f.actor)
	q.With("status", "booked,arrived,checked-in,fulfilled,cancelled")
	q.With("date", flat.At("ge", now.Add(-feedBack)))
	q.With("date", flat.At("lt", now.Add(feedAhead)))
	q.NoTotal = true
	ctx = access.With(r.Context(), maker)
	found, err := s.Records.Find(ctx, q)
	if fault.Is(err, fault.Forbidden) {
		return errNoFeed
	}
	if err != nil {
		return err
	}
	calendar, err := s.calendarFile(ctx, found.Records, f.details, strings.HasPrefix(f.actor, "Patient/"))
	if err != nil {
		return err
	}
	return sendCalendar(w, calendar)
}

func (s *Service) serveICS(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	v, err := s.Records.Read(ctx, "Appointment", r.PathValue("id"))
	if err != nil {
		return err
	}
	calendar, err := s.calendarFile(ctx, []*flat.Record{v}, true, s.ofPatient(ctx))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Disposition", `attachment; filename="appointment.ics"`)
	return sendCalendar(w, calendar)
}

func sendCalendar(w http.ResponseWriter, c *ics.Calendar) error {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "private, no-cache")
	w.WriteHeader(http.StatusOK)
	// A client that has gone away cannot be told so.
	_, _ = w.Write([]byte(c.Serialize(ics.WithNewLineWindows)))
	return nil
}

// ofICS are the statuses of VEVENT.
var ofICS = map[string]ics.ObjectStatus{scheduled: ics.ObjectStatusTentative, confirmed: ics.ObjectStatusConfirmed, checkedIn: ics.ObjectStatusConfirmed, inProgress: ics.ObjectStatusConfirmed,
	completed: ics.ObjectStatusConfirmed, cancelled: ics.ObjectStatusCancelled}

// calendarFile tells appointments as iCalendar (RFC 5545), by instants: every calendar shows them in its own zone. details: also why, and of a provider's calendar with whom.
func (s *Service) calendarFile(ctx context.Context, all []*flat.Record, details, toPatient bool) (*ics.Calendar, error) {
	shown, err := s.show(ctx, all, false)
	if err != nil {
		return nil, err
	}
	c := ics.NewCalendar()
	c.SetProductId("-//nilecare//appointments//EN")
	c.SetMethod(ics.MethodPublish)
	c.SetXPublishedTTL("PT1H")
	for i := range shown {
		a := &shown[i]
		read := readAppointment(all[i].Res)
		status, known := ofICS[a.Status]
		if !read.timed || !known {
			continue
		}
		e := c.AddEvent("appointment-" + a.ID + "@nilecare")
		e.SetDtStampTime(all[i].Updated.UTC())
		e.SetStartAt(time.UnixMicro(read.at.From).UTC())
		e.SetEndAt(time.UnixMicro(read.at.To).UTC())
		e.SetSequence(int(all[i].VID))
		e.SetStatus(status)
		title := "Appointment"
		switch {
		case toPatient && a.ProviderName != "":
			title += " with " + a.ProviderName
		case !toPatient && details && a.PatientName != "":
			title += ": " + a.PatientName
		}
		e.SetSummary(title)
		if details && a.Reason != "" {
			e.SetDescription(a.Reason)
		}
	}
	return c, nil
}
