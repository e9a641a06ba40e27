package clinical

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/web/api"
)

// noteIn is the body of writing a note. The sections of a SOAP note are fields; sections takes any.
type noteIn struct {
	PatientID   *string `json:"patientId"`
	EncounterID *string `json:"encounterId"`
	Type        *string `json:"type"` // of /api/v1/notes
	Title       *string `json:"title"`

	Subjective            *string `json:"subjective"`
	Objective             *string `json:"objective"`
	Assessment            *string `json:"assessment"`
	Plan                  *string `json:"plan"`
	Content               *string `json:"content"`
	HospitalCourse        *string `json:"hospitalCourse"`
	DischargeInstructions *string `json:"dischargeInstructions"`

	Sections   []sectionIn `json:"sections"`
	VitalSigns *vitalsIn   `json:"vitalSigns"` // creating only
	Reason     *string     `json:"reason"`     // of an amendment
	Version    *int64      `json:"version"`
}

type sectionOut struct {
	Name  *string `json:"name"`
	Title string  `json:"title"`
	Text  string  `json:"text"`
}

type attesterOut struct {
	ID   *string `json:"id"`
	Name *string `json:"name"`
	Mode string  `json:"mode"`
	At   *string `json:"at"`
}

type amendmentOut struct {
	Reason string  `json:"reason"`
	At     *string `json:"at"`
	ByID   *string `json:"byId"`
}

// noteOut is a note as the product API tells it.
type noteOut struct {
	ID           string  `json:"id"`
	Type         string  `json:"type"`
	Title        string  `json:"title"`
	PatientID    *string `json:"patientId"`
	PatientName  *string `json:"patientName"`
	EncounterID  *string `json:"encounterId"`
	AuthorID     *string `json:"authorId"`
	AuthorName   *string `json:"authorName"`
	Status       string  `json:"status"` // draft, final, amended, entered_in_error
	Subjective   *string `json:"subjective"`
	Objective    *string `json:"objective"`
	Assessment   *string `json:"assessment"`
	Plan         *string `json:"plan"`
	Content      *string `json:"content"`
	Course       *string `json:"hospitalCourse"`
	Instructions *string `json:"dischargeInstructions"`

	Sections     []sectionOut   `json:"sections"`
	Date         *string        `json:"date"`
	SignedAt     *string        `json:"signedAt"` // the newest signature
	SignedByID   *string        `json:"signedById"`
	SignedByName *string        `json:"signedByName"`
	Attesters    []attesterOut  `json:"attesters"`
	Amendments   []amendmentOut `json:"amendments"`
	CosignAsked  []string       `json:"cosignersAsked,omitempty"` // of one note: ids of practitioners who were asked and have not signed
	Version      int64          `json:"version"`
	CreatedAt    string         `json:"createdAt"`
	UpdatedAt    string         `json:"updatedAt"`
}

type noteList struct {
	Notes []noteOut `json:"notes"`
}

var noteStatuses = words{"draft": "preliminary", "final": "final", "signed": "final", "amended": "amended", "entered_in_error": "entered-in-error"}

// noteVerbs serve the notes of one kind, or ("") of all.
type noteVerbs struct {
	s    *Service
	kind string
}

func (s *Service) noteRoutes() []api.Route {
	soap, progress, all := noteVerbs{s, "soap"}, noteVerbs{s, "progress"}, noteVerbs{s, ""}
	routes := append(soap.routes("/api/v1/soap-notes", "soap-notes", "SOAP"), progress.routes("/api/v1/progress-notes", "progress-notes", "progress")...)
	kinds := enumParam("type", "only these kinds", noteKindNames()...)
	base := "/api/v1/notes"
	return append(routes,
		listed(base, "records:read", "Notes of all kinds, the newest first", noteList{}, all.list, append(noteFilters(), kinds)...),
		listed(base+"/to-cosign", "records:read", "Signed notes that await the caller's second signature", noteList{}, s.notesToCosign),
		line("GET", base+"/{id}", "records:read", "One note", nil, noteOut{}, all.read),
		line("GET", base+"/{id}/versions", "records:read", "The versions of a note, the newest first, with what changed", nil, noteVersions{}, all.versions),
		line("POST", base, "records:write", "Write a draft of a note", noteIn{}, noteOut{}, all.create),
		line("PUT", base+"/{id}", "records:write", "Change a draft: the fields that are sent", noteIn{}, noteOut{}, all.update),
		line("POST", base+"/{id}/sign", "records:write", "Sign a note: it never changes again", versionIn{}, noteOut{}, all.sign),
		line("POST", base+"/{id}/amend", "records:write", "Amend a signed note, with the reason", noteIn{}, noteOut{}, all.amend),
		line("POST", base+"/{id}/request-cosign", "records:write", "Ask a colleague for a second signature", cosignIn{}, noteOut{}, all.requestCosign),
		line("POST", base+"/{id}/cosign", "records:write", "Give the second signature that was asked for", versionIn{}, noteOut{}, all.cosign),
		line("DELETE", base+"/{id}", "records:write", "A note was entered in error", nil, noteOut{}, all.withdraw),
	)
}

func noteFilters() []api.Param {
	return slices.Concat(textParam("patientId", "encounterId", "authorId"), dateParam("dateFrom", "dateTo"), []api.Param{enumParam("status", "only these", noteStatuses.names()...)})
}

func (v noteVerbs) routes(base, permissions, what string) []api.Route {
	has := func(verb string) string { return permissions + ":" + verb }
	return []api.Route{
		listed(base, has("read"), "The "+what+" notes, the newest first", noteList{}, v.list, noteFilters()...),
		line("GET", base+"/statistics", has("read"), "How many "+what+" notes there are of each status", nil, noteStatistics{}, v.statistics, textParam("patientId")...),
		line("GET", base+"/{id}", has("read"), "One "+what+" note", nil, noteOut{}, v.read),
		line("GET", base+"/{id}/{part}", has("read"), "A note's versions ({id}/versions), or a patient's notes (patient/{id})", nil, nil, v.part, api.Paged(noteFilters()...)...),
		line("POST", base+"/search", has("read"), "Search "+what+" notes: the filters of the listing, in the body", noteSearch{}, noteList{}, v.search),
		line("POST", base, has("create"), "Write a draft of a "+what+" note", noteIn{}, noteOut{}, v.create),
		line("PUT", base+"/{id}", has("update"), "Change a draft: the fields that are sent", noteIn{}, noteOut{}, v.update),
		line("POST", base+"/{id}/finalize", has("finalize"), "Sign a note: it never changes again", versionIn{}, noteOut{}, v.sign),
		line("POST", base+"/{id}/sign", has("finalize"), "Sign a note: it never changes again", versionIn{}, noteOut{}, v.sign),
		line("POST", base+"/{id}/amend", has("amend"), "Amend a signed note, with the reason", noteIn{}, noteOut{}, v.amend),
		line("POST", base+"/{id}/request-cosign", has("update"), "Ask a colleague for a second signature", cosignIn{}, noteOut{}, v.requestCosign),
		line("POST", base+"/{id}/cosign", has("finalize"), "Give the second signature that was asked for", versionIn{}, noteOut{}, v.cosign),
		line("DELETE", base+"/{id}", has("delete"), "A note was entered in error", nil, noteOut{}, v.withdraw),
	}
}

// ours refuses a note of another kind than the verbs': NotFound.
func (v noteVerbs) ours(n *fhir.Resource) error {
	if v.kind != "" && kindOfNote(n).name != v.kind {
		return fault.New(fault.NotFound, "there is no such note")
	}
	return nil
}

// may asks, for notes of all kinds, for the permission of the note's own kind.
func (v noteVerbs) may(ctx context.Context, kind noteKind, verb string) error {
	c := access.From(ctx)
	if need := kind.permissions + ":" + verb; v.kind == "" && !c.Permits(need) {
		return fault.New(fault.Forbidden, "this kind of note needs the permission %s", need)
	}
	return nil
}

func (s *Service) tellNotes(ctx context.Context, records []*flat.Record) ([]noteOut, error) {
	k := s.lookup(ctx, records, "Patient", "Practitioner")
	if k.err != nil {
		return nil, k.err
	}
	out := make([]noteOut, 0, len(records))
	for _, one := range records {
		out = append(out, k.note(one))
	}
	return out, k.err
}

func (k *known) note(one *flat.Record) noteOut {
	n := one.Res
	patient, author := flat.RefOf(n.Get("subject")), ""
	if all := flat.Items(n.Get("author")); len(all) > 0 {
		author = flat.RefOf(all[0])
	}
	out := noteOut{
		ID: one.Key(), Type: kindOfNote(n).name, Title: n.Str("title"), PatientID: opt(k.id(patient)), PatientName: opt(k.name(patient)), EncounterID: opt(k.id(flat.RefOf(n.Get("encounter")))),
		AuthorID: opt(k.id(author)), AuthorName: opt(k.name(author)), Status: noteStatuses.name(n.Str("status")), Date: opt(n.Str("date")), Sections: []sectionOut{},
		Attesters: []attesterOut{}, Amendments: []amendmentOut{}, Version: one.VID, CreatedAt: flat.Created(one), UpdatedAt: flat.Stamp(one),
	}
	for _, x := range flat.Items(n.Get("section")) {
		text := ""
		if t := x.Get("text"); t != nil {
			text = plain(t.Str("div"))
		}
		name := nameOfSection(x)
		out.Sections = append(out.Sections, sectionOut{opt(name), x.Str("title"), text})
		if at := out.field(name); at != nil && *at == nil {
			*at = &text
		}
	}
	for _, a := range flat.Items(n.Get("attester")) {
		ref := flat.RefOf(a.Get("party"))
		one := attesterOut{opt(k.id(ref)), opt(k.name(ref)), a.Str("mode"), opt(a.Str("time"))}
		out.Attesters = append(out.Attesters, one)
		if one.Mode == "legal" {
			out.SignedAt, out.SignedByID, out.SignedByName = one.At, one.ID, one.Name
		}
	}
	for _, e := range flat.Items(n.Get("extension")) {
		if e.Str("url") != amendmentURL {
			continue
		}
		one := amendmentOut{}
		for _, part := range flat.Items(e.Get("extension")) {
			switch part.Str("url") {
			case "reason":
				one.Reason = part.Str("valueString")
			case "time":
				one.At = opt(part.Str("valueDateTime"))
			case "by":
				one.ByID = opt(k.id(flat.RefOf(part.Get("valueReference"))))
			}
		}
		out.Amendments = append(out.Amendments, one)
	}
	return out
}

// field is where a section with a name is told; nil where it has no field.
func (n *noteOut) field(name string) **string {
	switch name {
	case "subjective":
		return &n.Subjective
	case "objective":
		return &n.Objective
	case "assessment":
		return &n.Assessment
	case "plan":
		return &n.Plan
	case "content":
		return &n.Content
	case "hospitalCourse":
		return &n.Course
	case "dischargeInstructions":
		return &n.Instructions
	}
	return nil
}

// fields are the sections that a request names by fields.
func (in *noteIn) fields() map[string]*string {
	return map[string]*string{"subjective": in.Subjective, "objective": in.Objective, "assessment": in.Assessment, "plan": in.Plan, "content": in.Content,
		"hospitalCourse": in.HospitalCourse, "dischargeInstructions": in.DischargeInstructions}
}

// fillNote enters the sections that the request has, and reports whether it had any: sections replaces all; a field its own, which goes where it is empty.
func fillNote(n *fhir.Resource, in *noteIn) error {
	if in.Title != nil {
		title, err := plainText("title", said(in.Title), 200)
		if err != nil {
			return err
		}
		if title == "" {
			title = kindOfNote(n).title
		}
		n.Set("title", fhir.NewString(title))
	}
	var list []*fhir.Node
	if in.Sections == nil {
		for _, x := range flat.Items(n.Get("section")) {
			list = append(list, x.Clone())
		}
	}
	for _, x := range in.Sections {
		node, err := sectionNode(x)
		if err != nil {
			return err
		}
		list = append(list, node)
	}
	fields := in.fields()
	for _, known := range sections {
		text := fields[known.name]
		if text == nil {
			continue
		}
		at := slices.IndexFunc(list, func(x *fhir.Node) bool { return nameOfSection(x) == known.name })
		if strings.TrimSpace(*text) == "" {
			if at >= 0 {
				list = slices.Delete(list, at, at+1)
			}
			continue
		}
		node, err := sectionNode(sectionIn{Name: known.name, Text: *text})
		if err != nil {
			return err
		}
		if at >= 0 {
			list[at] = node
		} else {
			list = append(list, node)
		}
	}
	if len(list) > 100 {
		return fault.At(fault.Invalid, "sections", "has more than 100 entries").WithCode("too-long")
	}
	if len(list) == 0 {
		n.Delete("section")
		return nil
	}
	n.Set("section", fhir.NewArray(list...))
	return nil
}

// author is the caller as a practitioner, in whose name notes are written and signed.
func author(ctx context.Context) (string, error) {
	if own := self(ctx, "Practitioner"); own != "" {
		return own, nil
	}
	return "", fault.New(fault.Forbidden, "notes are written and signed by practitioners: this account is linked to none").WithCode("NO_PRACTITIONER")
}

func (v noteVerbs) create(w http.ResponseWriter, r *http.Request) error {
	var in noteIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	ctx := r.Context()
	name := v.kind
	if name == "" {
		if name = said(in.Type); name == "" {
			return missing("type")
		}
	}
	kind, ok := noteKindNamed(name)
	if !ok {
		return oneOf("type", name, noteKindNames()...)
	}
	if err := v.may(ctx, kind, "create"); err != nil {
		return err
	}
	changes, err := v.s.draft(ctx, kind, &in)
	if err != nil {
		return err
	}
	written, err := v.s.Records.Write(ctx, changes...)
	if err != nil {
		return err
	}
	return v.answer(w, r, http.StatusCreated, written[0])
}

// draft is the set that writes a draft, with the vital signs that came along.
func (s *Service) draft(ctx context.Context, kind noteKind, in *noteIn) ([]record.Change, error) {
	patient, err := s.Records.Ref(ctx, "patientId", "Patient", said(in.PatientID))
	if err != nil {
		return nil, err
	}
	by, err := author(ctx)
	if err != nil {
		return nil, err
	}
	encounter := ""
	if id := said(in.EncounterID); id != "" {
		if encounter, err = s.samePatient(ctx, "encounterId", "Encounter", id, patient, "subject"); err != nil {
			return nil, err
		}
	} else if kind.name == "soap" {
		return nil, missing("encounterId")
	}
	_, now := s.now()
	n, err := flat.Make("Composition", obj{"status": "preliminary", "type": concept(loinc, kind.code, kind.display, ""), "category": []any{concept(noteTypeSystem, kind.name, "", "")},
		"subject": reference(patient), "encounter": reference(encounter), "date": now, "author": []any{reference(by)}, "title": kind.title})
	if err != nil {
		return nil, err
	}
	if err := fillNote(n, in); err != nil {
		return nil, err
	}
	if n.Get("section") == nil {
		return nil, fault.At(fault.Invalid, "content", "the note is empty").WithCode("required")
	}
	changes := []record.Change{{Op: record.Create, Type: "Composition", Resource: n}}
	measured, err := in.VitalSigns.observations(patient, encounter, by, now)
	for _, o := range measured {
		changes = append(changes, record.Change{Op: record.Create, Type: "Observation", Resource: o})
	}
	return changes, err
}

func (v noteVerbs) answer(w http.ResponseWriter, r *http.Request, status int, one *flat.Record) error {
	all, err := v.s.tellNotes(r.Context(), []*flat.Record{one})
	if err != nil {
		return err
	}
	if all[0].CosignAsked, err = v.s.askedToCosign(r.Context(), one.Ref()); err != nil {
		return err
	}
	return tell(w, r, status, "note", one.VID, all[0])
}

func (v noteVerbs) one(r *http.Request) (*flat.Record, error) {
	one, err := v.s.Records.Read(r.Context(), "Composition", r.PathValue("id"))
	if err == nil {
		err = v.ours(one.Res)
	}
	return one, err
}

func (v noteVerbs) read(w http.ResponseWriter, r *http.Request) error {
	one, err := v.one(r)
	if err != nil {
		return err
	}
	return v.answer(w, r, http.StatusOK, one)
}

// change writes a note that f changes. f is asked again where others were faster.
func (v noteVerbs) change(w http.ResponseWriter, r *http.Request, verb string, said *int64, f func(*fhir.Resource) error) error {
	version, err := api.Version(r, said)
	if err != nil {
		return err
	}
	one, err := v.s.Records.Update(r.Context(), "Composition", r.PathValue("id"), version, func(n *fhir.Resource) error {
		if err := v.ours(n); err != nil {
			return err
		}
		if verb != "" {
			if err := v.may(r.Context(), kindOfNote(n), verb); err != nil {
				return err
			}
		}
		return f(n)
	})
	if err != nil {
		return err
	}
	return v.answer(w, r, http.StatusOK, one)
}

func (v noteVerbs) update(w http.ResponseWriter, r *http.Request) error {
	var in noteIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	if in.VitalSigns != nil {
		return fault.At(fault.Invalid, "vitalSigns", "are sent when a note is created").WithCode("not-supported")
	}
	_, now := v.s.now()
	return v.change(w, r, "update", in.Version, func(n *fhir.Resource) error {
		if s := n.Str("status"); s != "preliminary" {
			return signedAlready(s)
		}
		before := n.Clone()
		if err := fillNote(n, &in); err != nil {
			return err
		}
		if n.Get("section") == nil {
			return fault.At(fault.Invalid, "content", "the note is empty").WithCode("required")
		}
		if !sameBut(before, n) {
			n.Set("date", fhir.NewString(now))
		}
		return nil
	})
}

func signedAlready(status string) error {
	if status == "entered-in-error" {
		return fault.At(fault.Conflict, "status", "the note was entered in error, and stays so").WithCode("INVALID_TRANSITION")
	}
	return fault.At(fault.Conflict, "status", "the note was signed, and does not change: amend it").WithCode("NOTE_SIGNED")
}

type versionIn struct {
	Version *int64 `json:"version"`
}

// attest adds the caller's signature.
func attest(n *fhir.Resource, mode, by string, at time.Time) error {
	return appendTo(n.Node, "attester", obj{"mode": mode, "time": stamp(at), "party": reference(by)})
}

func (v noteVerbs) sign(w http.ResponseWriter, r *http.Request) error {
	var in versionIn
	if err := api.DecodeOptional(r, &in); err != nil {
		return err
	}
	return v.change(w, r, "finalize", in.Version, func(n *fhir.Resource) error {
		by, err := author(r.Context())
		if err != nil {
			return err
		}
		if s := n.Str("status"); s != "preliminary" {
			return signedAlready(s)
		}
		for _, name := range kindOfNote(n).required {
			if !slices.ContainsFunc(flat.Items(n.Get("section")), func(x *fhir.Node) bool { return nameOfSection(x) == name }) {
				return fault.At(fault.Unprocessable, name, "is missing: the note cannot be signed without it").WithCode("required")
			}
		}
		n.Set("status", fhir.NewString("final"))
		return attest(n, "legal", by, v.s.Records.Now())
	})
}

func (v noteVerbs) amend(w http.ResponseWriter, r *http.Request) error {
	var in noteIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	reason, err := plainText("reason", said(in.Reason), maxLine)
	if err != nil {
		return err
	}
	if reason == "" {
		return missing("reason")
	}
	now := v.s.Records.Now()
	return v.change(w, r, "amend", in.Version, func(n *fhir.Resource) error {
		by, err := author(r.Context())
		if err != nil {
			return err
		}
		switch s := n.Str("status"); {
		case s == "preliminary":
			return fault.At(fault.Conflict, "status", "the note is a draft: change it, or sign it").WithCode("INVALID_TRANSITION")
		case !signedNote(s):
			return signedAlready(s)
		}
		before := n.Clone()
		if err := fillNote(n, &in); err != nil {
			return err
		}
		if sameBut(before, n) {
			return fault.At(fault.Invalid, "content", "the amendment says nothing else than the note").WithCode("value")
		}
		if n.Get("section") == nil {
			return fault.At(fault.Invalid, "content", "the note is empty").WithCode("required")
		}
		n.Set("status", fhir.NewString("amended"))
		n.Set("date", fhir.NewString(stamp(now)))
		amendment := obj{"url": amendmentURL, "extension": []any{obj{"url": "reason", "valueString": reason}, obj{"url": "time", "valueDateTime": stamp(now)},
			obj{"url": "by", "valueReference": reference(by)}}}
		if err := appendTo(n.Node, "extension", amendment); err != nil {
			return err
		}
		return attest(n, "legal", by, now)
	})
}

// withdraw says that a note was entered in error: its history stays.
func (v noteVerbs) withdraw(w http.ResponseWriter, r *http.Request) error {
	return v.change(w, r, "", nil, func(n *fhir.Resource) error {
		if n.Str("status") == "entered-in-error" {
			return signedAlready("entered-in-error")
		}
		n.Set("status", fhir.NewString("entered-in-error"))
		return nil
	})
}
