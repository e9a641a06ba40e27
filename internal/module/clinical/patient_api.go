package clinical

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/web/api"
)

// tellPatient answers with one patient and its version; p is what a registration said, nil otherwise.
func (s *Service) tellPatient(w http.ResponseWriter, r *http.Request, status int, one *flat.Record, p *person, more ...Candidate) error {
	out, err := s.onePatient(r.Context(), one, p)
	if err != nil {
		return err
	}
	out.Duplicates = more
	api.SetVersion(w, one.VID)
	return api.Answer(w, r, status, out)
}

func (s *Service) onePatient(ctx context.Context, one *flat.Record, p *person) (*patientOne, error) {
	known, err := s.factsOf(ctx, []*flat.Record{one})
	if err != nil {
		return nil, err
	}
	told := known.tell(one)
	if p != nil && len(known.withheld) > 0 { // who wrote it down may see it once
		p.tellAs(&told)
		told.Withheld = nil
	}
	if err := s.tellMergedInto(ctx, one, &told); err != nil {
		return nil, err
	}
	out := told.one()
	return &out, nil
}

func (s *Service) servePatients(w http.ResponseWriter, r *http.Request) error {
	c, err := criteriaOf(r)
	if err != nil {
		return err
	}
	if file, err := api.Exports(r); err != nil || file {
		if err != nil {
			return err
		}
		return s.exportPatients(w, r, c)
	}
	return s.listPatients(w, r, c)
}

func (s *Service) listPatients(w http.ResponseWriter, r *http.Request, c criteria) error {
	found, err := s.find(r.Context(), c)
	if err != nil {
		return err
	}
	all, err := s.tellFound(r.Context(), found)
	if err != nil {
		return err
	}
	data := obj{"patients": all}
	if found.more {
		data["truncated"] = true
	}
	return api.List(w, r, data, found.page)
}

// exportPatients writes all that the criteria find as a file.
func (s *Service) exportPatients(w http.ResponseWriter, r *http.Request, c criteria) error {
	ctx := r.Context()
	if err := s.understand(&c); err != nil {
		return err
	}
	if c.Name != "" || c.Term != "" || c.From != "" || c.To != "" {
		c.Page, c.Limit, c.Cursor = 1, maxRegistered, ""
		found, err := s.find(ctx, c)
		if err != nil {
			return err
		}
		return api.Export(w, r, "patients", nil, func(yield func(any) error) error { return s.yieldPatients(ctx, found.records, yield) })
	}
	q, err := s.params(ctx, &c)
	if err != nil {
		return err
	}
	var pairs []string
	for _, p := range q.Params {
		pairs = append(pairs, p.Name, p.Value)
	}
	n, err := s.Records.Count(ctx, "Patient", pairs...)
	if err != nil {
		return err
	}
	if err := api.Exportable(n); err != nil {
		return err
	}
	q.Page, q.Cursor, q.Limit = 1, "", 100
	return api.Export(w, r, "patients", nil, func(yield func(any) error) error {
		var some []*flat.Record
		err := s.Records.Each(ctx, q, func(one *flat.Record) error {
			if some = append(some, one); len(some) < 100 {
				return nil
			}
			err := s.yieldPatients(ctx, some, yield)
			some = some[:0]
			return err
		})
		if err != nil {
			return err
		}
		return s.yieldPatients(ctx, some, yield)
	})
}

func (s *Service) yieldPatients(ctx context.Context, some []*flat.Record, yield func(any) error) error {
	for len(some) > 0 {
		n := min(len(some), 100)
		all, err := s.tellFound(ctx, &foundPatients{records: some[:n]})
		if err != nil {
			return err
		}
		for _, p := range all {
			if err := yield(p); err != nil {
				return err
			}
		}
		some = some[n:]
	}
	return nil
}

// patientSearchIn is the body of a search: what is looked for stays out of addresses, which are written into logs.
type patientSearchIn struct {
	SearchTerm           string   `json:"searchTerm"`
	Search               string   `json:"search"`
	Name                 string   `json:"name"`
	Phone                string   `json:"phone"`
	PhoneNumber          string   `json:"phoneNumber"`
	Email                string   `json:"email"`
	NationalID           string   `json:"nationalId"`
	MRN                  string   `json:"mrn"`
	BirthDate            string   `json:"birthDate"`
	DateOfBirth          string   `json:"dateOfBirth"`
	Gender               string   `json:"gender"`
	MinAge               *integer `json:"minAge"`
	MaxAge               *integer `json:"maxAge"`
	BloodType            string   `json:"bloodType"`
	City                 string   `json:"city"`
	State                string   `json:"state"`
	FacilityID           string   `json:"facilityId"`
	HasAllergies         *bool    `json:"hasAllergies"`
	HasMedicalConditions *bool    `json:"hasMedicalConditions"`
	Active               *bool    `json:"active"`
	DateFrom             string   `json:"dateFrom" doc:"first day of registration"`
	DateTo               string   `json:"dateTo" doc:"last day of registration"`
	Typing               bool     `json:"typing" doc:"the last word of the name may be a beginning"`
	Page                 *integer `json:"page"`
	Limit                *integer `json:"limit"`
}

// integer is a whole number, which front ends send as a text too; "" is none.
type integer int

// UnmarshalJSON implements json.Unmarshaler.
func (n *integer) UnmarshalJSON(text []byte) error {
	var s string
	if json.Unmarshal(text, &s) != nil {
		s = string(text)
	}
	if s == "" || s == "null" {
		*n = -1
		return nil
	}
	v, err := strconv.Atoi(s)
	if err != nil || v < 0 {
		return fault.New(fault.Invalid, "a whole number is expected").WithCode("value")
	}
	*n = integer(v)
	return nil
}

func (n *integer) or(otherwise int) int {
	if n == nil || *n < 0 {
		return otherwise
	}
	return int(*n)
}

func truth(b *bool) string {
	if b == nil {
		return ""
	}
	return strconv.FormatBool(*b)
}

func (in *patientSearchIn) criteria() (criteria, error) {
	c := criteria{
		Term: said(&in.Search, &in.SearchTerm), Name: in.Name, Phone: said(&in.Phone, &in.PhoneNumber), Email: in.Email, NationalID: in.NationalID, MRN: in.MRN,
		BirthDate: said(&in.BirthDate, &in.DateOfBirth), Gender: in.Gender, BloodType: in.BloodType, City: in.City, State: in.State, FacilityID: in.FacilityID,
		HasAllergies: truth(in.HasAllergies), HasHistory: truth(in.HasMedicalConditions), Active: truth(in.Active), From: in.DateFrom, To: in.DateTo, Typing: in.Typing,
		MinAge: in.MinAge.or(-1), MaxAge: in.MaxAge.or(-1), Page: in.Page.or(1), Limit: in.Limit.or(api.DefaultLimit),
	}
	if c.Page < 1 {
		return c, fault.At(fault.Invalid, "page", "must be 1 or more").WithCode("value")
	}
	if c.Limit < 1 || c.Limit > api.MaxLimit {
		return c, fault.At(fault.Invalid, "limit", "must be a whole number from 1 to %d", api.MaxLimit).WithCode("value")
	}
	return c, nil
}

func (s *Service) searchPatients(w http.ResponseWriter, r *http.Request) error {
	var in patientSearchIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	c, err := in.criteria()
	if err != nil {
		return err
	}
	return s.listPatients(w, r, c)
}

func (s *Service) servePatient(w http.ResponseWriter, r *http.Request) error {
	one, err := s.readPatient(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return s.tellPatient(w, r, http.StatusOK, one, nil)
}

func (s *Service) createPatient(w http.ResponseWriter, r *http.Request) error {
	var in patientIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	refuse := r.URL.Query().Get("onDuplicate") == "refuse"
	one, p, more, err := s.newPatient(r.Context(), &in, refuse)
	if err != nil {
		return err
	}
	return s.tellPatient(w, r, http.StatusCreated, one, p, more...)
}

// newPatient registers a patient and says who may be the same person; with refuse set it does not register where somebody likely is.
func (s *Service) newPatient(ctx context.Context, in *patientIn, refuse bool) (*flat.Record, *person, []Candidate, error) {
	p, err := in.check(s.today(), true)
	if err != nil {
		return nil, nil, nil, err
	}
	var more []Candidate
	if seesPatients(ctx) {
		if more, err = s.duplicates(ctx, p.draft()); err != nil {
			return nil, nil, nil, err
		}
	}
	if refuse {
		if err := duplicateRefused(more); err != nil {
			return nil, nil, nil, err
		}
	}
	one, err := s.register(ctx, p)
	if err != nil {
		return nil, nil, nil, withHolder(err, more)
	}
	return one, p, more, nil
}

// duplicateRefused names those who are certainly or likely the same person.
func duplicateRefused(more []Candidate) error {
	var e []fault.Issue
	for _, c := range more {
		if c.Match != "possible" {
			e = append(e, fault.At(fault.Conflict, "duplicates", "patient %s is %s the same person", c.ID, map[string]string{"certain": "certainly", "likely": "likely"}[c.Match]).
				WithCode("DUPLICATE_ENTRY").Issues...)
		}
	}
	if len(e) == 0 {
		return nil
	}
	return &fault.Error{Kind: fault.Conflict, Issues: e}
}

// withHolder says which patient, of those whom the caller may see, has the national id that a registration was refused for.
func withHolder(err error, more []Candidate) error {
	if !fault.Is(err, fault.Conflict) {
		return err
	}
	for _, c := range more {
		if slices.Contains(c.Reasons, "nationalId") {
			return fault.At(fault.Conflict, "nationalId", "patient %s has this national id", c.ID).WithCode("DUPLICATE_ENTRY")
		}
	}
	return err
}

func (s *Service) updatePatient(w http.ResponseWriter, r *http.Request) error {
	var in patientIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	version, err := api.Version(r, in.Version)
	if err != nil {
		return err
	}
	p, err := in.check(s.today(), false)
	if err != nil {
		return err
	}
	one, err := s.change(r.Context(), r.PathValue("id"), version, p)
	if err != nil {
		return err
	}
	return s.tellPatient(w, r, http.StatusOK, one, nil)
}

func (s *Service) deletePatient(w http.ResponseWriter, r *http.Request) error {
	version, err := api.Version(r, nil)
	if err != nil {
		return err
	}
	if err := s.remove(r.Context(), r.PathValue("id"), version); err != nil {
		return err
	}
	return api.Answer(w, r, http.StatusOK, deletedOut{r.PathValue("id"), true})
}

func (s *Service) restorePatient(w http.ResponseWriter, r *http.Request) error {
	one, err := s.restore(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return s.tellPatient(w, r, http.StatusOK, one, nil)
}

// bulkPatients registers and changes many patients: an item with an id is a change.
func (s *Service) bulkPatients(w http.ResponseWriter, r *http.Request) error {
	caller := access.From(r.Context())
	return api.Bulk(w, r, func(ctx context.Context, _ int, item json.RawMessage) (any, error) {
		var in patientIn
		if err := api.Item(item, &in); err != nil {
			return nil, err
		}
		if said(in.ID) == "" {
			one, p, more, err := s.newPatient(ctx, &in, false)
			if err != nil {
				return nil, err
			}
			out, err := s.onePatient(ctx, one, p)
			if err == nil {
				out.Duplicates = more
			}
			return out, err
		}
		if !caller.Permits("patients:update") {
			return nil, fault.New(fault.Forbidden, "you may not change patients")
		}
		p, err := in.check(s.today(), false)
		if err != nil {
			return nil, err
		}
		version := int64(0)
		if in.Version != nil {
			version = *in.Version
		}
		one, err := s.change(ctx, said(in.ID), version, p)
		if err != nil {
			return nil, err
		}
		out, err := s.onePatient(ctx, one, nil)
		return api.Outcome{Status: http.StatusOK, Data: out}, err
	})
}

// idsIn is the body of deleting many.
type idsIn struct {
	IDs []string `json:"ids"`
}

// deletedOut says that a patient was deleted.
type deletedOut struct {
	ID      string `json:"id"`
	Deleted bool   `json:"deleted"`
}

type affectedOut struct {
	Affected int          `json:"affected"`
	Failed   []failedItem `json:"failed"`
}

type failedItem struct {
	ID      string `json:"id"`
	Message string `json:"message"`
}

// deletePatients deletes many patients, each by itself.
func (s *Service) deletePatients(w http.ResponseWriter, r *http.Request) error {
	var in idsIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	if len(in.IDs) == 0 || len(in.IDs) > api.MaxBulk {
		return fault.At(fault.Invalid, "ids", "has 1 to %d ids", api.MaxBulk).WithCode("value")
	}
	out := affectedOut{Failed: []failedItem{}}
	for _, id := range in.IDs {
		err := s.remove(r.Context(), id, 0)
		switch {
		case err == nil:
			out.Affected++
		case fault.KindOf(err) == fault.Internal:
			return err
		default:
			out.Failed = append(out.Failed, failedItem{id, err.Error()})
		}
	}
	return api.Answer(w, r, http.StatusOK, out)
}

// mergeIn is the body of a merge: the patient of the path is merged into another, or another into it.
type mergeIn struct {
	Into     string `json:"into" doc:"the patient who stays"`
	TargetID string `json:"targetId"`
	Source   string `json:"source" doc:"or: the patient who is merged into the one of the path"`
	SourceID string `json:"sourceId"`
	Reason   string `json:"reason"`
}

type unmergeIn struct {
	Reason string `json:"reason"`
}

type mergeOut struct {
	Merge Merge `json:"merge"`
}

type mergesOut struct {
	Merges []Merge `json:"merges"`
}

func (s *Service) mergePatient(w http.ResponseWriter, r *http.Request) error {
	var in mergeIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	into, from := said(&in.Into, &in.TargetID), said(&in.Source, &in.SourceID)
	if (into == "") == (from == "") {
		return fault.At(fault.Invalid, "into", "is the patient who stays; or source is the one who is merged into this: one of the two").WithCode("required")
	}
	reason, err := plainText("reason", said(&in.Reason), maxLine)
	if err != nil {
		return err
	}
	source, target := r.PathValue("id"), into
	if from != "" {
		source, target = from, r.PathValue("id")
	}
	m, err := s.Merge(r.Context(), source, target, reason)
	if err != nil {
		return err
	}
	return api.Answer(w, r, http.StatusOK, mergeOut{*m})
}

func (s *Service) unmergePatient(w http.ResponseWriter, r *http.Request) error {
	var in unmergeIn
	if err := api.DecodeOptional(r, &in); err != nil {
		return err
	}
	reason, err := plainText("reason", said(&in.Reason), maxLine)
	if err != nil {
		return err
	}
	m, err := s.Unmerge(r.Context(), r.PathValue("id"), reason)
	if err != nil {
		return err
	}
	return api.Answer(w, r, http.StatusOK, mergeOut{*m})
}

func (s *Service) serveMerges(w http.ResponseWriter, r *http.Request) error {
	one, err := s.readPatient(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	all, err := s.mergesOf(r.Context(), one.Version.ID)
	if err != nil {
		return err
	}
	return api.Answer(w, r, http.StatusOK, mergesOut{all})
}

// versionOut is a version of a patient in its history: which members changed, and no values of them.
type versionOut struct {
	Version   int64    `json:"version"`
	UpdatedAt string   `json:"updatedAt"`
	Operation string   `json:"operation" doc:"create, update, delete, restore, merge, unmerge"`
	Changes   []string `json:"changes" doc:"members that differ from the version before"`
}

type historyOut struct {
	PatientID string       `json:"patientId"`
	History   []versionOut `json:"history"`
}

func (s *Service) serveHistory(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	name, err := s.Records.FHIRID(ctx, "Patient", r.PathValue("id"))
	if err != nil {
		return err
	}
	_, limit, err := api.PageOf(r)
	if err != nil {
		return err
	}
	page, err := s.Records.Store.History(ctx, record.HistoryQuery{Type: "Patient", ID: name, Count: limit, Cursor: r.URL.Query().Get("cursor")})
	if err != nil {
		return err
	}
	out := historyOut{PatientID: r.PathValue("id"), History: []versionOut{}}
	for i, v := range page.Versions {
		var before *record.Version
		if i+1 < len(page.Versions) {
			before = page.Versions[i+1]
		} else if v.VID > 1 {
			if before, err = s.Records.Store.ReadVersion(ctx, "Patient", name, v.VID-1); err != nil && !fault.Is(err, fault.Gone) {
				return err
			}
		}
		one, err := tellVersion(v, before)
		if err != nil {
			return err
		}
		out.History = append(out.History, one)
	}
	return api.List(w, r, out, api.Page{Page: 1, Limit: limit, Total: max(page.Total, len(out.History)), Next: page.Next})
}

func tellVersion(v, before *record.Version) (versionOut, error) {
	out := versionOut{Version: v.VID, UpdatedAt: stamp(v.Updated), Operation: "update", Changes: []string{}}
	if v.Deleted {
		out.Operation = "delete"
		return out, nil
	}
	now, err := v.Resource()
	if err != nil {
		return out, err
	}
	switch {
	case v.VID == 1:
		out.Operation = "create"
	case before == nil || before.Deleted:
		out.Operation = "restore"
	default:
		was, err := before.Resource()
		if err != nil {
			return out, err
		}
		out.Changes = changedMembers(was, now)
		switch a, b := replacedBy(was), replacedBy(now); {
		case a == "" && b != "":
			out.Operation = "merge"
		case a != "" && b == "":
			out.Operation = "unmerge"
		}
	}
	return out, nil
}
