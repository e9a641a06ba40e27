package record

import (
	"net/url"
	"slices"
	"strings"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/audit"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir/search"
)

// Every read is told to the audit, with the patients whose records were shown; so is what was refused, and what was not there.
// What the program does for itself is not.

// entryOf begins the entry of what a caller does.
func entryOf(c *access.Caller, action, typ string) audit.Entry {
	return audit.Entry{
		Tenant: c.Tenant, Kind: audit.Rest, Action: action, Who: c.Who, Name: c.Name, Client: c.Client, Session: c.Session,
		Purpose: c.Purpose, Address: c.Address, Request: c.RequestID, Type: typ,
	}
}

// noted reports whether anybody is to be told of what the caller does.
func (s *Store) noted(c *access.Caller) bool { return s.sink != nil && !c.Internal() }

// fail adds to the entry that it came to nothing, and why; nothing of the request is repeated.
func fail(e *audit.Entry, err error) {
	e.Outcome = audit.Minor
	kind := fault.KindOf(err)
	if kind == fault.Internal {
		e.Outcome = audit.Serious
	}
	e.Detail = kind.String()
}

func (s *Store) noteFailure(c *access.Caller, action, typ, query string, err error) {
	if !s.noted(c) {
		return
	}
	e := entryOf(c, action, typ)
	e.Query = query
	fail(&e, err)
	s.sink.Note(e)
}

// noteRefused tells of a change that was not made.
func (s *Store) noteRefused(c *access.Caller, changes []Change, err error) {
	action, typ := "transaction", ""
	if len(changes) == 1 {
		action, typ = opNames[changes[0].Op], changes[0].Type
	}
	s.noteFailure(c, action, typ, "", err)
}

// noteUnwritten tells of changes that made no version, and so have no entry of their own transaction: what stood there was shown.
func (s *Store) noteUnwritten(c *access.Caller, changes []Change, out []Outcome) {
	if !s.noted(c) || len(out) == 0 || slices.ContainsFunc(out, func(o Outcome) bool { return o.Result != Unchanged && o.Result != Absent }) {
		return
	}
	e := entryOf(c, "transaction", "")
	if len(changes) == 1 {
		e.Action, e.Type = opNames[changes[0].Op], changes[0].Type
	}
	for _, o := range out {
		if v := o.Version; v != nil {
			e.Patients = addPatient(e.Patients, v.patient)
			if len(out) == 1 {
				e.Num, e.VID = v.Num, v.VID
			}
		}
	}
	s.sink.Note(e)
}

func (s *Store) noteRead(c *access.Caller, action, typ string, v *Version, err error) {
	if !s.noted(c) {
		return
	}
	e := entryOf(c, action, typ)
	if v != nil {
		e.Num, e.VID, e.Count = v.Num, v.VID, 1
		if v.patient > 0 {
			e.Patients = []int64{v.patient}
		}
	}
	if err != nil {
		fail(&e, err)
	}
	s.sink.Note(e)
}

func (s *Store) noteSearch(c *access.Caller, q *search.Query, page *Page, err error) {
	if !s.noted(c) {
		return
	}
	e := entryOf(c, "search", q.Type)
	e.Query = queryText(q)
	s.notePage(e, page, err)
}

func (s *Store) noteEverything(c *access.Caller, typ string, page *Page, err error) {
	if s.noted(c) {
		s.notePage(entryOf(c, "everything", typ), page, err)
	}
}

func (s *Store) notePage(e audit.Entry, page *Page, err error) {
	if err != nil {
		fail(&e, err)
	} else {
		e.Count = len(page.Matches)
		for _, m := range page.Matches {
			e.Patients = addPatient(e.Patients, m.Version.patient)
		}
	}
	s.sink.Note(e)
}

func (s *Store) noteHistory(c *access.Caller, h HistoryQuery, page *HistoryPage, err error) {
	if !s.noted(c) {
		return
	}
	e := entryOf(c, "history", h.Type)
	if err != nil {
		fail(&e, err)
	} else {
		e.Count = len(page.Versions)
		for _, v := range page.Versions {
			e.Patients = addPatient(e.Patients, v.patient)
			if h.ID != "" {
				e.Num = v.Num
			}
		}
	}
	s.sink.Note(e)
}

func addPatient(list []int64, num int64) []int64 {
	if num <= 0 || slices.Contains(list, num) {
		return list
	}
	return append(list, num)
}

// queryText is the search as it was understood, in the form of a URL's query.
func queryText(q *search.Query) string {
	var b strings.Builder
	for i, a := range q.Applied {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(a.Name + "=" + url.QueryEscape(a.Value))
	}
	return b.String()
}
