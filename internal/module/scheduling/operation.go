package scheduling

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/search"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/interval"
	"github.com/nilecare/nilecare/internal/record"
)

// Operation is an operation of FHIR on the type Appointment: its name without "$", the canonical URL of its definition, whether GET calls it, and what it does with Parameters.
type Operation struct {
	Name, Definition string
	Get              bool
	Run              func(ctx context.Context, in *fhir.Resource) (*fhir.Resource, error)
}

// argonaut is where the operations are defined: Argonaut Scheduling 1.0.
const argonaut = "http://fhir.org/guides/argonaut-scheduling/OperationDefinition/appointment-"

// Operations are Appointment/$find, $hold and $book (Argonaut Scheduling). All is done as the caller.
//
// An offer of $find is no record: its id says what is offered, and $hold and $book take it from that id. A refusal is a 409 with an OperationOutcome that says what is
// free, where the guide has an Appointment with status cancelled.
func (s *Service) Operations() []Operation {
	return []Operation{
		{"find", argonaut + "find", true, s.opFind}, {"hold", argonaut + "hold", false, s.opHold}, {"book", argonaut + "book", false, s.opBook},
	}
}

// arguments are the parameters of a call.
type arguments struct {
	values    map[string][]string
	resources map[string]*fhir.Resource
}

// readArguments reads Parameters and refuses, by name, what is not among the known.
func readArguments(in *fhir.Resource, known ...string) (*arguments, error) {
	out := &arguments{values: map[string][]string{}, resources: map[string]*fhir.Resource{}}
	for _, p := range flat.Items(in.Get("parameter")) {
		name := p.Str("name")
		if !slices.Contains(known, name) {
			return nil, fault.At(fault.Invalid, "Parameters.parameter", "%.64q is no parameter of this operation here; known are %s", name, strings.Join(known, ", ")).WithCode("not-supported")
		}
		if r := p.Get("resource"); r != nil {
			out.resources[name] = &fhir.Resource{Node: r}
			continue
		}
		for _, v := range p.Items() {
			if strings.HasPrefix(v.Name, "value") && v.Kind != fhir.Object && v.Kind != fhir.Array {
				out.values[name] = append(out.values[name], v.Text)
			} else if v.Name == "valueReference" {
				out.values[name] = append(out.values[name], v.Str("reference"))
			}
		}
	}
	return out, nil
}

func (a *arguments) one(name string) string {
	if len(a.values[name]) == 0 {
		return ""
	}
	return a.values[name][0]
}

// How much $find offers.
const (
	findCount = 20
	findMost  = 200
	findDays  = 62
)

// opFind is Appointment/$find: proposed Appointments at times at which the practitioner, and the room where one is named, are free.
func (s *Service) opFind(ctx context.Context, in *fhir.Resource) (*fhir.Resource, error) {
	c := access.From(ctx)
	if c.Extent(access.Search, "Slot").IsNone() {
		return nil, fault.New(fault.Forbidden, "you may not see when there is time")
	}
	a, err := readArguments(in, "start", "end", "practitioner", "organization", "specialty", "location-reference", "visit-type", "patient-reference", "duration", "_count")
	if err != nil {
		return nil, err
	}
	span, err := a.span()
	if err != nil {
		return nil, err
	}
	count, err := a.number("_count", findCount, 1, findMost)
	if err != nil {
		return nil, err
	}
	length, err := a.number("duration", 0, 1, longest)
	if err != nil {
		return nil, err
	}
	who, err := s.candidates(ctx, a)
	if err != nil {
		return nil, err
	}
	places, err := s.places(ctx, a.values["location-reference"])
	if err != nil {
		return nil, err
	}
	v := visit{length: minutes(length)}
	for _, t := range a.values["visit-type"] {
		_, code, coded := strings.Cut(t, "|")
		if !coded {
			code = t
		}
		v.kinds = append(v.kinds, code)
	}
	var offers []offer
	for _, p := range who {
		for _, at := range places {
			some, err := s.offers(ctx, p, at, span, v)
			if err != nil {
				return nil, err
			}
			offers = append(offers, some...)
		}
	}
	slices.SortStableFunc(offers, func(a, b offer) int { return int(min(max(a.at.From-b.at.From, -1), 1)) })
	offers = offers[:min(len(offers), count)]
	entries := make([]any, len(offers))
	for i, o := range offers {
		r, err := o.resource(a)
		if err != nil {
			return nil, err
		}
		entries[i] = map[string]any{"resource": json.RawMessage(r.AppendJSON(nil)), "search": map[string]any{"mode": "match"}}
	}
	return bundle(entries)
}

func bundle(entries []any) (*fhir.Resource, error) {
	return flat.Make("Bundle", map[string]any{"type": "searchset", "total": len(entries), "entry": entries})
}

// span is the time that is asked about.
func (a *arguments) span() (interval.Span, error) {
	var s interval.Span
	for _, f := range []struct {
		name string
		to   *int64
	}{{"start", &s.From}, {"end", &s.To}} {
		v := a.one(f.name)
		lo, hi, ok := search.DateSpan(v)
		if !ok {
			return s, fault.At(fault.Invalid, f.name, "is needed: a dateTime such as 2026-11-29T08:00:00+02:00").WithCode("required")
		}
		if *f.to = lo; f.name == "end" && len(v) <= len(time.DateOnly) {
			*f.to = hi + 1
		}
	}
	if s.Empty() || s.Len() > findDays*24*time.Hour.Microseconds() {
		return s, fault.At(fault.Invalid, "end", "must be after start, by %d days at most", findDays).WithCode("value")
	}
	return s, nil
}

func (a *arguments) number(name string, otherwise, least, most int) (int, error) {
	v := a.one(name)
	if v == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < least || n > most {
		return 0, fault.At(fault.Invalid, name, "must be a whole number from %d to %d", least, most).WithCode("value")
	}
	return n, nil
}

// maxCandidates is how many practitioners one $find looks at.
const maxCandidates = 20

// candidates are the practitioners that are asked about: by name, or by what they do and where.
func (s *Service) candidates(ctx context.Context, a *arguments) ([]*flat.Record, error) {
	refs := a.values["practitioner"]
	if len(refs) == 0 {
		q := flat.Query{Type: "PractitionerRole", Limit: maxCandidates, NoTotal: true}
		q.With("specialty", strings.Join(a.values["specialty"], ","))
		q.With("organization", strings.Join(a.values["organization"], ","))
		if len(q.Params) == 0 {
			return nil, fault.At(fault.Invalid, "practitioner", "is needed, or specialty or organization").WithCode("required")
		}
		q.With("active", "true")
		found, err := s.Records.Find(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, r := range found.Records {
			if ref := flat.RefOf(r.Res.Get("practitioner")); ref != "" {
				refs = append(refs, ref)
			}
		}
	}
	return s.read(ctx, "practitioner", "Practitioner", refs)
}

// places are the rooms that are asked about; one nil where none is.
func (s *Service) places(ctx context.Context, refs []string) ([]*flat.Record, error) {
	if len(refs) == 0 {
		return []*flat.Record{nil}, nil
	}
	return s.read(ctx, "location-reference", "Location", refs)
}

// read reads what references of a parameter mean, each once.
func (s *Service) read(ctx context.Context, name, typ string, refs []string) ([]*flat.Record, error) {
	var out []*flat.Record
	for _, ref := range refs {
		t, id, ok := fhir.SplitReference(ref, s.Records.Base)
		if !ok || t != typ {
			return nil, fault.At(fault.Invalid, name, "must be a reference to a %s of this server", typ).WithCode("value")
		}
		if len(out) == maxCandidates {
			return nil, fault.At(fault.Invalid, name, "names more than %d", maxCandidates).WithCode("too-costly")
		}
		one, err := s.refer(ctx, name, typ, id)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(out, func(o *flat.Record) bool { return o.Num == one.Num }) {
			out = append(out, one)
		}
	}
	return out, nil
}

// offer is a time at which somebody is free.
type offer struct {
	provider, place *flat.Record
	at              interval.Span
	zone            *time.Location
	kinds           []string
}

// offers are the free times of a practitioner, and of a room, within the span.
func (s *Service) offers(ctx context.Context, p, place *flat.Record, span interval.Span, v visit) ([]offer, error) {
	c, err := s.calendarOf(ctx, actor{"Practitioner", p.Num}, span.From, span.To)
	if err != nil {
		return nil, err
	}
	if v.length == 0 {
		v.length = c.usual()
	}
	var taken interval.Set
	if place != nil {
		room, err := s.calendarOf(ctx, actor{"Location", place.Num}, span.From, span.To)
		if err != nil {
			return nil, err
		}
		e, err := s.entryOf(ctx, room.actor)
		if err != nil {
			return nil, err
		}
		if exclusive(map[actor]*entry{room.actor: e}, room.actor) && e != nil {
			taken = interval.Full(spansOf(room.claims), room.capacity)
		}
		taken = taken.Union(interval.Of(room.away...))
	}
	var out []offer
	for _, at := range c.starts(v, s.Clock()) {
		o := offer{p, place, interval.Span{From: at, To: at + v.length}, c.zone, v.kinds}
		if len(taken.Within(o.at)) == 0 {
			out = append(out, o)
		}
	}
	return out, nil
}

// offerMark begins the id of an offer.
const offerMark = "offer."

// id says what is offered: practitioner, beginning in seconds, minutes, room.
func (o *offer) id() string {
	place := int64(0)
	if o.place != nil {
		place = o.place.Num
	}
	return fmt.Sprintf("%s%s.%s.%s.%s", offerMark, base36(o.provider.Num), base36(o.at.From/1e6), base36(o.at.Len()/minutes(1)), base36(place))
}

func base36(n int64) string { return strconv.FormatInt(n, 36) }

// offered takes an offer's id apart; false where it is none.
func (s *Service) offerOf(id string) (provider, place int64, at interval.Span, ok bool) {
	rest, ok := strings.CutPrefix(id, offerMark)
	parts := strings.Split(rest, ".")
	if !ok || len(parts) != 4 {
		return 0, 0, at, false
	}
	var n [4]int64
	for i, p := range parts {
		var err error
		if n[i], err = strconv.ParseInt(p, 36, 64); err != nil || n[i] < 0 {
			return 0, 0, at, false
		}
	}
	if n[2] < 1 || n[2] > longest || n[1] > 1<<40 {
		return 0, 0, at, false
	}
	at.From = n[1] * 1e6
	at.To = at.From + minutes(int(n[2]))
	return n[0], n[3], at, true
}

// resource is the offer as a proposed Appointment.
func (o *offer) resource(a *arguments) (*fhir.Resource, error) {
	parts := []any{participant(o.provider.Ref(), "needs-action")}
	if o.place != nil {
		parts = append(parts, participant(o.place.Ref(), "needs-action"))
	}
	for _, ref := range a.values["patient-reference"] {
		parts = append(parts, participant(ref, "needs-action"))
	}
	m := map[string]any{"status": "proposed", "start": local(o.at.From, o.zone), "end": local(o.at.To, o.zone), "minutesDuration": int(o.at.Len() / minutes(1)), "participant": parts}
	if len(o.kinds) > 0 {
		m["appointmentType"] = map[string]any{"text": o.kinds[0]}
	}
	m["id"] = o.id()
	return flat.Make("Appointment", m)
}

// opHold is Appointment/$hold: the offer, or the Appointment given, becomes a pending one, which ends by itself.
func (s *Service) opHold(ctx context.Context, in *fhir.Resource) (*fhir.Resource, error) {
	a, err := readArguments(in, "appt-id", "appt-resource", "patient-id", "comment")
	if err != nil {
		return nil, err
	}
	return s.settle(ctx, a, "pending")
}

// opBook is Appointment/$book: an offer, a held or proposed Appointment, or the one given, is booked; another one is cancelled in the same transaction, where it is named.
func (s *Service) opBook(ctx context.Context, in *fhir.Resource) (*fhir.Resource, error) {
	a, err := readArguments(in, "appt-id", "appt-resource", "cancelled-appt-id", "patient-id", "comment")
	if err != nil {
		return nil, err
	}
	return s.settle(ctx, a, "booked")
}

// settle makes the Appointment of a call pending or booked.
func (s *Service) settle(ctx context.Context, a *arguments, status string) (*fhir.Resource, error) {
	whole, err := s.tenantPlan(ctx)
	if err != nil {
		return nil, err
	}
	change, err := s.settling(ctx, a, func(r *fhir.Resource) error { return s.prepare(ctx, r, a, status, whole) })
	if err != nil {
		return nil, err
	}
	changes := []record.Change{change}
	if id := a.one("cancelled-appt-id"); id != "" {
		other, err := s.cancelling(ctx, id)
		if err != nil {
			return nil, err
		}
		if other != nil { // before the other, whose time it may be
			changes = []record.Change{*other, change}
		}
	}
	made, err := s.Records.Write(ctx, changes...)
	if err != nil {
		return nil, err
	}
	return bundle([]any{map[string]any{"resource": json.RawMessage(made[len(made)-1].JSON()), "search": map[string]any{"mode": "match"}}})
}

// cancelling is the cancellation of the appointment that another takes the place of; nil where it is cancelled already.
func (s *Service) cancelling(ctx context.Context, ref string) (*record.Change, error) {
	id := s.apptID(ref)
	was, err := s.refer(ctx, "cancelled-appt-id", "Appointment", id)
	if err != nil || was.Res.Str("status") == "cancelled" {
		return nil, err
	}
	c, err := s.moving(ctx, id, 0, cancelled, Reason{Text: "booked anew"})
	return &c, err
}

// apptID is the id in a reference to an Appointment, or what is an id already.
func (s *Service) apptID(ref string) string {
	if typ, id, ok := fhir.SplitReference(ref, s.Records.Base); ok && typ == "Appointment" {
		return id
	}
	return ref
}

// settling is the change of a call: a new Appointment of an offer or of the one given, or a change of one that stands.
func (s *Service) settling(ctx context.Context, a *arguments, prepare func(*fhir.Resource) error) (record.Change, error) {
	given, id := a.resources["appt-resource"], a.one("appt-id")
	switch {
	case (given == nil) == (id == ""):
		return record.Change{}, fault.At(fault.Invalid, "Parameters.parameter", "appt-id or appt-resource is needed, and not both").WithCode("required")
	case given != nil:
		if given.Type() != "Appointment" {
			return record.Change{}, fault.At(fault.Invalid, "appt-resource", "is no Appointment").WithCode("structure")
		}
		r := given.Clone()
		r.Delete("id")
		return record.Change{Op: record.Create, Type: "Appointment", Resource: r}, prepare(r)
	}
	id = s.apptID(id)
	provider, place, at, ok := s.offerOf(id)
	if !ok {
		return s.Records.Changing(ctx, "Appointment", id, func(r *fhir.Resource) error {
			if now := r.Str("status"); now != "proposed" && now != "pending" && now != "waitlist" {
				return fault.At(fault.Conflict, "Appointment.status", "the appointment is %s: a proposed or pending one can be held and booked", now)
			}
			return prepare(r)
		})
	}
	o := offer{at: at}
	var err error
	if o.provider, err = s.refer(ctx, "appt-id", "Practitioner", decimal(provider)); err != nil {
		return record.Change{}, err
	}
	if place != 0 {
		if o.place, err = s.refer(ctx, "appt-id", "Location", decimal(place)); err != nil {
			return record.Change{}, err
		}
	}
	c, err := s.calendarOf(ctx, actor{"Practitioner", o.provider.Num}, at.From, at.To)
	if err != nil {
		return record.Change{}, err
	}
	if why := c.refuses(at, c.VisitTypes, s.Clock()); why != "" {
		return record.Change{}, s.insteadOf(ctx, &planned{provider: o.provider, at: at, calendar: c}, why)
	}
	o.zone = c.zone
	r, err := o.resource(&arguments{})
	if err != nil {
		return record.Change{}, err
	}
	r.Delete("id")
	return record.Change{Op: record.Create, Type: "Appointment", Resource: r}, prepare(r)
}

// prepare makes an Appointment what a call asks for: its status, its patients, the comment, and when a hold ends. A patient who names nobody comes for themselves.
func (s *Service) prepare(ctx context.Context, r *fhir.Resource, a *arguments, status string, whole *kept) error {
	if err := flat.Set(r.Node, "status", status); err != nil {
		return err
	}
	if c := a.one("comment"); c != "" {
		if err := flat.Set(r.Node, "comment", c); err != nil {
			return err
		}
	}
	if r.Get("created") == nil {
		if err := flat.Set(r.Node, "created", s.Clock().UTC().Format("2006-01-02T15:04:05Z")); err != nil {
			return err
		}
	}
	refs := a.values["patient-id"]
	if len(refs) == 0 && s.who(r).patient == "" && s.ofPatient(ctx) {
		for _, ref := range access.From(ctx).Self {
			if strings.HasPrefix(ref, "Patient/") {
				refs = []string{ref}
				break
			}
		}
	}
	if err := s.addPatients(ctx, r, refs); err != nil {
		return err
	}
	for _, part := range flat.Items(r.Get("participant")) { // who was free has accepted; the patient is asked
		typ, _, _ := fhir.SplitReference(flat.RefOf(part.Get("actor")), s.Records.Base)
		if part.Str("status") == "needs-action" && typ != "Patient" {
			if err := flat.Set(part, "status", "accepted"); err != nil {
				return err
			}
		}
	}
	return setHold(r, status, s.holdUntil(whole))
}

// addPatients adds patients that the Appointment does not name yet.
func (s *Service) addPatients(ctx context.Context, r *fhir.Resource, refs []string) error {
	for _, ref := range refs {
		typ, id, ok := fhir.SplitReference(ref, s.Records.Base)
		if !ok {
			typ, id = "Patient", ref
		}
		if typ != "Patient" {
			return fault.At(fault.Invalid, "patient-id", "must be a Patient of this server").WithCode("value")
		}
		to := "Patient/" + id
		if slices.ContainsFunc(flat.Items(r.Get("participant")), func(p *fhir.Node) bool { return flat.RefOf(p.Get("actor")) == to }) {
			continue
		}
		if _, err := s.refer(ctx, "patient-id", "Patient", id); err != nil {
			return err
		}
		addParticipant(r, to, "needs-action")
	}
	return nil
}

// setHold says when a pending Appointment ends by itself; a booked one does not.
func setHold(r *fhir.Resource, status string, until time.Time) error {
	var kept []any
	for _, x := range flat.Items(r.Get("extension")) {
		if x.Str("url") != HoldExtension {
			kept = append(kept, json.RawMessage(x.AppendJSON(nil)))
		}
	}
	if status == "pending" {
		kept = append(kept, map[string]any{"url": HoldExtension, "valueInstant": until.Format(time.RFC3339)})
	}
	return flat.Set(r.Node, "extension", kept)
}
