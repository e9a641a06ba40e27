package identity

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/web/api"
)

// Break-glass opens, in an emergency, what policies and consents close: of one patient, for one session, for a while, for a reason that somebody else
// reviews. While it lasts the session's requests bear the purpose ETREAT, so that the audit tells what was opened.
//
// What policies close of others stays closed. Consents do not: the record knows of an emergency, not whose it is, and obeys none meanwhile.

const (
	shortestReason   = 20 // characters
	longestReason    = 2000
	glassMinutes     = 60
	mostGlassMinutes = 240
)

// BreakGlass is one emergency.
type BreakGlass struct {
	ID         int64
	User       int64
	Session    int64
	Patient    string // whom it is about: "Patient/3"
	Reason     string
	Begun      time.Time
	Until      time.Time
	Verdict    string // "", justified, unjustified
	Note       string
	ReviewedBy string
	ReviewedAt time.Time
}

// BreakTheGlass opens what is closed to the caller, for so many minutes; 0 is an hour. Forbidden without the permission breakglass:use, and for an app;
// Invalid where reason or time do not do.
func (s *Service) BreakTheGlass(ctx context.Context, patient, reason string, minutes int) (*BreakGlass, error) {
	c := access.From(ctx)
	reason = strings.TrimSpace(reason)
	if minutes == 0 {
		minutes = glassMinutes
	}
	switch n := utf8.RuneCountInString(reason); {
	case !c.Permits("breakglass:use") || c.User == 0 || c.Client != "" || c.Session == 0:
		return nil, fault.New(fault.Forbidden, "this is for staff with the permission breakglass:use, in a session of their own")
	case n < shortestReason || n > longestReason:
		return nil, fault.At(fault.Invalid, "reason", "must say why, in %d to %d characters", shortestReason, longestReason)
	case minutes < 1 || minutes > mostGlassMinutes:
		return nil, fault.At(fault.Invalid, "minutes", "must be 1 to %d", mostGlassMinutes)
	}
	if of, ok := strings.CutPrefix(patient, "Patient/"); !ok || !fhir.ValidID(of) {
		return nil, fault.At(fault.Invalid, "patient", "must be a reference such as Patient/3")
	}
	now := s.now()
	g := &BreakGlass{ID: s.ledger.Next(), User: c.User, Session: c.Session, Patient: patient, Reason: reason, Begun: now, Until: now.Add(time.Duration(minutes) * time.Minute)}
	sealed, err := s.ledger.Seal(ctx, c.Tenant, "identity.breakglass/"+strconv.FormatInt(g.ID, 10), []byte(reason))
	if err != nil {
		return nil, err
	}
	err = s.ledger.Update(ctx, c.Tenant, func(tx sqldb.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO identity_breakglass (tenant, id, user_id, session, patient, reason, until_at, verdict, note, reviewed_by, reviewed_at,
			created_by, created_at, updated_by, updated_at, deleted_at) VALUES ($1, $2, $3, $4, $5, $6, $7, '', $8, '', 0, $9, $10, $9, $10, 0)`,
			c.Tenant, g.ID, g.User, g.Session, g.Patient, sealed, g.Until.UnixMicro(), []byte{}, by(ctx), now.UnixMicro())
		return err
	})
	if err != nil {
		return nil, err
	}
	s.forgetSession(c.Tenant, c.Session)
	s.security(ctx, c.Tenant, "break-glass", "high", c.User, "", "for "+patient+", "+strconv.Itoa(minutes)+" minutes: "+reason)
	return g, nil
}

// emergencyOf is the hook: for whom break-glass is active in the session.
func (s *Service) emergencyOf(ctx context.Context, tenant int32, user, session int64) (patients []string, err error) {
	if session == 0 {
		return nil, nil
	}
	err = s.ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		patients = nil
		return sqldb.Each(ctx, q, func(r sqldb.Rows) error {
			var of string
			err := r.Scan(&of)
			patients = append(patients, of)
			return err
		}, `SELECT DISTINCT patient FROM identity_breakglass WHERE tenant = $1 AND user_id = $2 AND session = $3 AND until_at > $4 AND deleted_at = 0
			ORDER BY patient LIMIT 50`, tenant, user, session, s.now().UnixMicro())
	})
	return patients, err
}

// opened is a grant with what an emergency adds to it. Masks and permissions stay the everyday ones: they are not a patient's.
type opened struct {
	access.Grant
	more []access.Grant // each of one patient
}

// Extent implements [access.Grant].
func (o *opened) Extent(a access.Action, typ string) access.Extent {
	e := o.Grant.Extent(a, typ)
	for _, m := range o.more {
		e = e.Join(m.Extent(a, typ))
	}
	return e
}

// openGlass adds to what the principal may do every day what it may in an emergency: as far as that is about the patients. Nothing is deleted in one.
func (s *Service) openGlass(p access.Principal, everyday access.Grant, patients []string) (access.Grant, error) {
	p.Emergency = true
	all, err := s.o.Policies.Grant(p)
	if err != nil {
		return nil, err
	}
	out := &opened{Grant: everyday}
	for _, of := range patients {
		g, err := narrow(all, "patient/*.crus", access.Launch{Patient: strings.TrimPrefix(of, "Patient/")})
		if err != nil {
			return nil, err
		}
		out.more = append(out.more, g)
	}
	return out, nil
}

const glassColumns = "id, user_id, session, patient, reason, until_at, verdict, note, reviewed_by, reviewed_at, created_at"

// sealedGlass is a row, not yet opened.
type sealedGlass struct {
	g                      BreakGlass
	reason, note           []byte
	until, reviewed, begun int64
}

func (s *Service) glasses(ctx context.Context, tenant int32, where string, args ...any) ([]BreakGlass, error) {
	var rows []sealedGlass
	err := s.ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		return sqldb.Each(ctx, q, func(r sqldb.Rows) error {
			var x sealedGlass
			err := r.Scan(&x.g.ID, &x.g.User, &x.g.Session, &x.g.Patient, &x.reason, &x.until, &x.g.Verdict, &x.note, &x.g.ReviewedBy, &x.reviewed, &x.begun)
			rows = append(rows, x)
			return err
		}, "SELECT "+glassColumns+" FROM identity_breakglass WHERE tenant = $1 AND "+where+" ORDER BY id DESC LIMIT 500", append([]any{tenant}, args...)...)
	})
	if err != nil {
		return nil, err
	}
	out := make([]BreakGlass, len(rows))
	for i, x := range rows {
		place := "identity.breakglass/" + strconv.FormatInt(x.g.ID, 10)
		reason, err := s.ledger.Open(ctx, tenant, place, x.reason)
		if err != nil {
			return nil, err
		}
		x.g.Reason, x.g.Until, x.g.ReviewedAt, x.g.Begun = string(reason), at(x.until), at(x.reviewed), at(x.begun)
		if len(x.note) > 0 {
			note, err := s.ledger.Open(ctx, tenant, place+"/note", x.note)
			if err != nil {
				return nil, err
			}
			x.g.Note = string(note)
		}
		out[i] = x.g
	}
	return out, nil
}

// The states of emergencies, as lists of them are asked for.
const (
	GlassActive   = "active"
	GlassReview   = "review" // ended, and to be reviewed
	GlassReviewed = "reviewed"
)

// Glasses lists emergencies, newest first, 500 at most: the caller's own, or with the permission breakglass:review everybody's; "" are those of all states.
func (s *Service) Glasses(ctx context.Context, state string) ([]BreakGlass, error) {
	c := access.From(ctx)
	where, args := "(user_id = $2 OR $3 = 1)", []any{c.User, number(c.Permits("breakglass:review"))}
	switch state {
	case "":
	case GlassActive:
		where, args = where+" AND until_at > $4", append(args, s.now().UnixMicro())
	case GlassReview:
		where, args = where+" AND until_at <= $4 AND verdict = ''", append(args, s.now().UnixMicro())
	case GlassReviewed:
		where += " AND verdict <> ''"
	default:
		return nil, fault.At(fault.Invalid, "state", "must be active, review or reviewed")
	}
	return s.glasses(ctx, c.Tenant, where, args...)
}

func (s *Service) glass(ctx context.Context, id int64) (*BreakGlass, error) {
	found, err := s.glasses(ctx, access.From(ctx).Tenant, "id = $2", id)
	if err == nil && len(found) == 0 {
		err = fault.New(fault.NotFound, "there is no such emergency")
	}
	if err != nil {
		return nil, err
	}
	return &found[0], nil
}

// EndGlass ends the caller's own emergency before its time.
func (s *Service) EndGlass(ctx context.Context, id int64) error {
	c := access.From(ctx)
	g, err := s.glass(ctx, id)
	if err == nil && g.User != c.User {
		err = fault.New(fault.NotFound, "there is no such emergency")
	}
	if err != nil {
		return err
	}
	now := s.now().UnixMicro()
	err = s.ledger.Update(ctx, c.Tenant, func(tx sqldb.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE identity_breakglass SET until_at = $3, updated_at = $3, updated_by = $4 WHERE tenant = $1 AND id = $2 AND until_at > $3", c.Tenant, id, now, by(ctx))
		return err
	})
	if err != nil {
		return err
	}
	s.forgetSession(c.Tenant, g.Session)
	s.security(ctx, c.Tenant, "break-glass-end", "low", c.User, "", "for "+g.Patient)
	return nil
}

// ReviewGlass says whether an emergency was one. Nobody reviews his own; Conflict where it was reviewed already, or has not ended.
func (s *Service) ReviewGlass(ctx context.Context, id int64, verdict, note string) error {
	c := access.From(ctx)
	if !c.Permits("breakglass:review") {
		return fault.New(fault.Forbidden, "this needs the permission breakglass:review")
	}
	g, err := s.glass(ctx, id)
	switch {
	case err != nil:
		return err
	case verdict != "justified" && verdict != "unjustified":
		return fault.At(fault.Invalid, "verdict", "must be justified or unjustified")
	case g.User == c.User:
		return fault.New(fault.Forbidden, "nobody reviews their own emergency")
	case g.Verdict != "":
		return fault.New(fault.Conflict, "it was reviewed already")
	case s.now().Before(g.Until):
		return fault.New(fault.Conflict, "it has not ended yet")
	}
	if len(note) > 4*longestReason {
		return fault.At(fault.Invalid, "note", "is longer than %d bytes", 4*longestReason)
	}
	sealed, err := s.ledger.Seal(ctx, c.Tenant, "identity.breakglass/"+strconv.FormatInt(id, 10)+"/note", []byte(note))
	if err != nil {
		return err
	}
	done := int64(0)
	err = s.ledger.Update(ctx, c.Tenant, func(tx sqldb.Tx) (err error) {
		done, err = tx.Exec(ctx, `UPDATE identity_breakglass SET verdict = $3, note = $4, reviewed_by = $5, reviewed_at = $6, updated_by = $5, updated_at = $6
			WHERE tenant = $1 AND id = $2 AND verdict = ''`, c.Tenant, id, verdict, sealed, by(ctx), s.now().UnixMicro())
		return err
	})
	if err == nil && done == 0 {
		err = fault.New(fault.Conflict, "it was reviewed already")
	}
	if err != nil {
		return err
	}
	severity := "low"
	if verdict == "unjustified" {
		severity = "high"
	}
	s.security(ctx, c.Tenant, "break-glass-review", severity, g.User, "", verdict)
	return nil
}

type glassIn struct {
	Patient string `json:"patient"`
	Reason  string `json:"reason"`
	Minutes int    `json:"minutes,omitempty"`
}

type verdictIn struct {
	Verdict string `json:"verdict"`
	Note    string `json:"note,omitempty"`
}

func (s *Service) glassRoutes() []api.Route {
	return []api.Route{
		{Method: "POST", Path: "/api/v1/break-glass", Need: api.Permission("breakglass:use"), Summary: "Open what is closed, in an emergency", In: glassIn{}, Serve: s.postGlass},
		{Method: "GET", Path: "/api/v1/break-glass", Need: api.Known(), Summary: "Emergencies: one's own, or for reviewers all; state=review is their queue", Query: []string{"state"}, Serve: s.getGlasses},
		{Method: "DELETE", Path: "/api/v1/break-glass/{id}", Need: api.Permission("breakglass:use"), Summary: "End one's own emergency", Serve: s.deleteGlass},
		{Method: "POST", Path: "/api/v1/break-glass/{id}/review", Need: api.Permission("breakglass:review"), Summary: "Say whether an emergency was one", In: verdictIn{}, Serve: s.reviewGlass},
	}
}

func glassJSON(g *BreakGlass) map[string]any {
	return map[string]any{"id": strconv.FormatInt(g.ID, 10), "userId": strconv.FormatInt(g.User, 10), "patient": g.Patient, "reason": g.Reason, "begunAt": when(g.Begun),
		"until": when(g.Until), "verdict": g.Verdict, "note": g.Note, "reviewedBy": g.ReviewedBy, "reviewedAt": when(g.ReviewedAt)}
}

func (s *Service) postGlass(w http.ResponseWriter, r *http.Request) error {
	var in glassIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	g, err := s.BreakTheGlass(r.Context(), in.Patient, in.Reason, in.Minutes)
	if err != nil {
		return err
	}
	return named(w, http.StatusCreated, "breakGlass", glassJSON(g))
}

func (s *Service) getGlasses(w http.ResponseWriter, r *http.Request) error {
	found, err := s.Glasses(r.Context(), r.URL.Query().Get("state"))
	if err != nil {
		return err
	}
	out := make([]map[string]any, len(found))
	for i := range found {
		out[i] = glassJSON(&found[i])
	}
	return named(w, http.StatusOK, "breakGlass", out)
}

func (s *Service) deleteGlass(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r, "id")
	if err == nil {
		err = s.EndGlass(r.Context(), id)
	}
	if err != nil {
		return err
	}
	return done(w, "the emergency has ended")
}

func (s *Service) reviewGlass(w http.ResponseWriter, r *http.Request) error {
	var in verdictIn
	id, err := pathID(r, "id")
	if err == nil {
		err = api.Decode(r, &in)
	}
	if err == nil {
		err = s.ReviewGlass(r.Context(), id, in.Verdict, in.Note)
	}
	if err != nil {
		return err
	}
	return done(w, "reviewed")
}

// joinCare adds emergencies, tenants, and the link of an account to its record.
func (s *Service) joinCare() {
	s.hooks.emergency = s.emergencyOf
	s.hooks.tenant = s.tenantOpen
	s.hooks.routes = append(s.hooks.routes, s.glassRoutes, s.tenantRoutes, s.linkRoutes)
}

func careTables() []record.Table {
	who := []string{"created_by", "created_at", "updated_by", "updated_at", "deleted_at"}
	return []record.Table{
		{Name: "identity_breakglass", Columns: append([]string{"tenant", "id", "user_id", "session", "patient", "reason", "until_at", "verdict", "note", "reviewed_by", "reviewed_at"}, who...)},
		{Name: "identity_tenant", Columns: append([]string{"tenant", "id", "name", "status", "delete_at"}, who...)},
		{Name: "identity_host", Columns: []string{"tenant", "host", "id", "created_by", "created_at"}},
		{Name: "identity_link", Columns: append([]string{"tenant", "id", "user_id", "patient", "status", "how", "code", "code_until", "tries"}, who...)},
	}
}
