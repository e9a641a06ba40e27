package clinical

import (
	"context"
	"net/http"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/web/api"
)

// noteSearch is the filters of a listing of notes.
type noteSearch struct {
	PatientID   string   `json:"patientId"`
	EncounterID string   `json:"encounterId"`
	AuthorID    string   `json:"authorId"`
	Status      []string `json:"status"`
	Type        []string `json:"type"` // of /api/v1/notes
	DateFrom    string   `json:"dateFrom"`
	DateTo      string   `json:"dateTo"`
	Page        int      `json:"page"`
	Limit       int      `json:"limit"`
}

// findNotes adds the filters to a query.
func (v noteVerbs) find(ctx context.Context, q *flat.Query, f *noteSearch) error {
	for _, ref := range []struct{ param, typ, id string }{{"patient", "Patient", f.PatientID}, {"encounter", "Encounter", f.EncounterID}, {"author", "Practitioner", f.AuthorID}} {
		if err := v.s.refTo(ctx, q, ref.param, ref.typ, ref.id); err != nil {
			return err
		}
	}
	var statuses []string
	for _, name := range f.Status {
		code, err := noteStatuses.code("status", name)
		if err != nil {
			return err
		}
		statuses = append(statuses, code)
	}
	anyOf(q, "status", "", statuses...)
	if len(statuses) == 0 {
		q.With("status:not", "entered-in-error")
	}
	kinds := f.Type
	if v.kind != "" {
		kinds = []string{v.kind}
	}
	for _, k := range kinds {
		if _, ok := noteKindNamed(k); !ok {
			return oneOf("type", k, noteKindNames()...)
		}
	}
	anyOf(q, "category", noteTypeSystem, kinds...)
	q.Sort = "-date"
	return between(q, "date", f.DateFrom, f.DateTo)
}

func (v noteVerbs) list(w http.ResponseWriter, r *http.Request) error {
	return v.listOf(w, r, r.URL.Query().Get("patientId"))
}

func (v noteVerbs) listOf(w http.ResponseWriter, r *http.Request, patient string) error {
	q, err := flat.QueryOf(r, "Composition")
	if err != nil {
		return err
	}
	ask := r.URL.Query()
	f := noteSearch{PatientID: patient, EncounterID: ask.Get("encounterId"), AuthorID: ask.Get("authorId"), Status: split(r, "status"), Type: split(r, "type"),
		DateFrom: ask.Get("dateFrom"), DateTo: ask.Get("dateTo")}
	if err := v.find(r.Context(), &q, &f); err != nil {
		return err
	}
	return listing(v.s, w, r, "notes", q, v.s.tellNotes)
}

func (v noteVerbs) search(w http.ResponseWriter, r *http.Request) error {
	var in noteSearch
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	if in.Page < 0 || in.Limit < 0 || in.Limit > api.MaxLimit {
		return fault.At(fault.Invalid, "limit", "must be a whole number from 1 to %d", api.MaxLimit).WithCode("value")
	}
	q := flat.Query{Type: "Composition", Page: max(in.Page, 1), Limit: in.Limit}
	if q.Limit == 0 {
		q.Limit = api.DefaultLimit
	}
	if err := v.find(r.Context(), &q, &in); err != nil {
		return err
	}
	return listing(v.s, w, r, "notes", q, v.s.tellNotes)
}

// part serves what stands below a note, and a patient's notes: of two patterns that would meet there neither is the narrower.
func (v noteVerbs) part(w http.ResponseWriter, r *http.Request) error {
	switch {
	case r.PathValue("id") == "patient":
		patient := r.PathValue("part")
		if _, err := v.s.Records.Read(r.Context(), "Patient", patient); err != nil {
			return err
		}
		return v.listOf(w, r, patient)
	case r.PathValue("part") == "versions":
		return v.versions(w, r)
	}
	return fault.New(fault.NotFound, "nothing stands at this path")
}

type noteStatistics struct {
	Total          int `json:"total"`
	Drafts         int `json:"drafts"`
	Final          int `json:"final"`
	Amended        int `json:"amended"`
	EnteredInError int `json:"enteredInError"` // not in the total
}

func (v noteVerbs) statistics(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	params := []string{"category", noteTypeSystem + "|" + v.kind}
	if id := r.URL.Query().Get("patientId"); id != "" {
		ref, err := v.s.Records.Ref(ctx, "patientId", "Patient", id)
		if err != nil {
			return err
		}
		params = append(params, "patient", ref)
	}
	var out noteStatistics
	for _, c := range []struct {
		status string
		n      *int
	}{{"preliminary", &out.Drafts}, {"final", &out.Final}, {"amended", &out.Amended}, {"entered-in-error", &out.EnteredInError}} {
		var err error
		if *c.n, err = v.s.Records.Count(ctx, "Composition", append(params[:len(params):len(params)], "status", c.status)...); err != nil {
			return err
		}
	}
	out.Total = out.Drafts + out.Final + out.Amended
	return api.Answer(w, r, http.StatusOK, out)
}

// noteVersion is one version of a note.
type noteVersion struct {
	Version   int64         `json:"version"`
	Status    string        `json:"status"`
	UpdatedAt string        `json:"updatedAt"`
	Changed   []noteChange  `json:"changed"` // against the version before
	Sections  []sectionOut  `json:"sections"`
	Attesters []attesterOut `json:"attesters"`
}

// noteChange is what one version changed of one part.
type noteChange struct {
	Field  string  `json:"field"`
	Before *string `json:"before"` // null: it was not there
	After  *string `json:"after"`  // null: it is gone
}

type noteVersions struct {
	ID       string        `json:"id"`
	Versions []noteVersion `json:"versions"`
}

// maxVersions is how many versions of a note are told.
const maxVersions = 200

func (v noteVerbs) versions(w http.ResponseWriter, r *http.Request) error {
	one, err := v.one(r)
	if err != nil {
		return err
	}
	page, err := v.s.Records.Store.History(r.Context(), record.HistoryQuery{Type: "Composition", ID: one.Version.ID, Count: maxVersions})
	if err != nil {
		return err
	}
	var records []*flat.Record
	for _, version := range page.Versions {
		if version.Deleted {
			continue
		}
		res, err := version.Resource()
		if err != nil {
			return err
		}
		records = append(records, &flat.Record{Version: version, Res: res})
	}
	all, err := v.s.tellNotes(r.Context(), records)
	if err != nil {
		return err
	}
	out := noteVersions{ID: one.Key(), Versions: []noteVersion{}}
	for i, n := range all {
		told := noteVersion{n.Version, n.Status, n.UpdatedAt, []noteChange{}, n.Sections, n.Attesters}
		if i+1 < len(all) {
			told.Changed = changes(&all[i+1], &n)
		}
		out.Versions = append(out.Versions, told)
	}
	return api.Answer(w, r, http.StatusOK, out)
}

// changes are what one version says otherwise than the one before it.
func changes(before, after *noteOut) []noteChange {
	out := []noteChange{}
	add := func(field, a, b string) {
		if a != b {
			out = append(out, noteChange{field, opt(a), opt(b)})
		}
	}
	add("status", before.Status, after.Status)
	add("title", before.Title, after.Title)
	was, is := texts(before), texts(after)
	for _, x := range append(before.Sections, after.Sections...) {
		name := sectionKey(x)
		add(name, was[name], is[name])
		delete(was, name)
		delete(is, name)
	}
	for _, a := range after.Attesters[min(len(before.Attesters), len(after.Attesters)):] {
		out = append(out, noteChange{"signature", nil, opt(a.Mode + " " + said(a.ID))})
	}
	return out
}

func sectionKey(s sectionOut) string {
	if s.Name != nil {
		return *s.Name
	}
	return s.Title
}

// texts are the sections' texts by name; sections of one name come together.
func texts(n *noteOut) map[string]string {
	out := map[string]string{}
	for _, x := range n.Sections {
		key := sectionKey(x)
		if out[key] != "" {
			out[key] += "\n"
		}
		out[key] += x.Text
	}
	return out
}

// A second signature is asked for by a Task, whose focus is the note and whose owner is the colleague. Giving it completes the Task.

type cosignIn struct {
	ProviderID *string `json:"providerId"` // of the practitioner who is asked
	CosignerID *string `json:"cosignerId"`
	Note       *string `json:"note"`
}

func (v noteVerbs) requestCosign(w http.ResponseWriter, r *http.Request) error {
	var in cosignIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	ctx := r.Context()
	one, err := v.one(r)
	if err == nil {
		err = v.may(ctx, kindOfNote(one.Res), "update")
	}
	if err != nil {
		return err
	}
	by, err := author(ctx)
	if err != nil {
		return err
	}
	if s := one.Res.Str("status"); !signedNote(s) {
		return fault.At(fault.Conflict, "status", "the note has to be signed first").WithCode("INVALID_TRANSITION")
	}
	to, err := v.s.Records.Ref(ctx, "providerId", "Practitioner", said(in.ProviderID, in.CosignerID))
	if err != nil {
		return err
	}
	if attested(one.Res, to) {
		return fault.At(fault.Conflict, "providerId", "has signed this note")
	}
	text, err := plainText("note", said(in.Note), maxLine)
	if err != nil {
		return err
	}
	waiting, err := v.s.cosignTasks(ctx, one.Ref(), to)
	if err != nil {
		return err
	}
	if len(waiting) > 0 {
		return fault.At(fault.Conflict, "providerId", "was asked already")
	}
	_, now := v.s.now()
	t, err := flat.Make("Task", obj{"status": "requested", "intent": "order", "code": concept(taskSystem, "cosign", "Co-sign a note", ""), "focus": reference(one.Ref()),
		"for": one.Res.Get("subject").Clone(), "authoredOn": now, "lastModified": now, "requester": reference(by), "owner": reference(to), "description": text})
	if err != nil {
		return err
	}
	if _, err := v.s.Records.Create(ctx, t); err != nil {
		return err
	}
	return v.answer(w, r, http.StatusCreated, one)
}

func attested(n *fhir.Resource, by string) bool {
	for _, a := range flat.Items(n.Get("attester")) {
		if flat.RefOf(a.Get("party")) == by {
			return true
		}
	}
	return false
}

// cosignTasks are the requests for a second signature that wait: of a note, of a practitioner, or both.
func (s *Service) cosignTasks(ctx context.Context, note, owner string) ([]*flat.Record, error) {
	q := flat.Query{Type: "Task", Limit: 100, NoTotal: true}
	q.With("code", taskSystem+"|cosign")
	q.With("status", "requested")
	q.With("focus", note)
	q.With("owner", owner)
	found, err := s.Records.Find(ctx, q)
	if fault.Is(err, fault.Forbidden) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return found.Records, nil
}

func (s *Service) askedToCosign(ctx context.Context, note string) ([]string, error) {
	tasks, err := s.cosignTasks(ctx, note, "")
	if err != nil {
		return nil, err
	}
	var out []string
	for _, t := range tasks {
		id, err := s.Records.IDOfRef(ctx, flat.RefOf(t.Res.Get("owner")))
		if err != nil {
			return nil, err
		}
		out = append(out, id)
	}
	return out, nil
}

func (v noteVerbs) cosign(w http.ResponseWriter, r *http.Request) error {
	var in versionIn
	if err := api.DecodeOptional(r, &in); err != nil {
		return err
	}
	ctx := r.Context()
	version, err := api.Version(r, in.Version)
	if err != nil {
		return err
	}
	one, err := v.one(r)
	if err == nil {
		err = v.may(ctx, kindOfNote(one.Res), "finalize")
	}
	if err != nil {
		return err
	}
	by, err := author(ctx)
	if err != nil {
		return err
	}
	tasks, err := v.s.cosignTasks(ctx, one.Ref(), by)
	if err != nil {
		return err
	}
	if len(tasks) == 0 {
		return fault.At(fault.Conflict, "status", "nobody asked you for a second signature of this note").WithCode("NOT_REQUESTED")
	}
	now := v.s.Records.Now()
	change, err := v.s.Records.Changing(ctx, "Composition", one.Version.ID, func(n *fhir.Resource) error {
		if s := n.Str("status"); !signedNote(s) {
			return signedAlready(s)
		}
		return attest(n, "professional", by, now)
	})
	if err != nil {
		return err
	}
	change.IfMatch = version
	set := []record.Change{change}
	for _, t := range tasks {
		done, err := v.s.Records.Changing(ctx, "Task", t.Version.ID, func(t *fhir.Resource) error {
			if t.Str("status") != "requested" {
				return fault.At(fault.Conflict, "status", "you have signed this note, or are not asked any more").WithCode("NOT_REQUESTED")
			}
			t.Set("status", fhir.NewString("completed"))
			t.Set("lastModified", fhir.NewString(stamp(now)))
			return nil
		})
		if err != nil {
			return err
		}
		set = append(set, done)
	}
	written, err := v.s.Records.Write(ctx, set...)
	if err != nil {
		return err
	}
	return v.answer(w, r, http.StatusOK, written[0])
}

func (s *Service) notesToCosign(w http.ResponseWriter, r *http.Request) error {
	q, err := flat.QueryOf(r, "Task")
	if err != nil {
		return err
	}
	by := self(r.Context(), "Practitioner")
	if by == "" { // whom nobody can have asked
		return api.List(w, r, obj{"notes": []noteOut{}}, api.Page{Page: q.Page, Limit: q.Limit})
	}
	q.With("code", taskSystem+"|cosign")
	q.With("status", "requested")
	q.With("owner", by)
	return listing(s, w, r, "notes", q, func(ctx context.Context, tasks []*flat.Record) ([]noteOut, error) {
		var refs []string
		for _, t := range tasks {
			refs = append(refs, flat.RefOf(t.Res.Get("focus")))
		}
		got, err := s.Records.Get(ctx, refs...)
		if err != nil {
			return nil, err
		}
		var notes []*flat.Record
		for _, ref := range refs {
			if one := got[ref]; one != nil {
				notes = append(notes, one)
			}
		}
		return s.tellNotes(ctx, notes)
	})
}
