package fhirrest

import (
	"net/http"
	"strconv"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir/search"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/web"
)

// search is GET [type]?… and POST [type]/_search (R4 http.html#search).
func (h *Handler) search(q *request, a *answer) error {
	query, err := h.query(q, q.route.typ)
	if err != nil {
		return err
	}
	return h.answerSearch(q, a, query, "/"+q.route.typ)
}

// searchSystem is GET [base]?… and POST [base]/_search over several types.
func (h *Handler) searchSystem(q *request, a *answer) error {
	query, err := h.query(q, "")
	if err != nil {
		return err
	}
	return h.answerSearch(q, a, query, "/")
}

// query parses a search of the URL and, for POST, of the form, and brings its page within bounds.
func (h *Handler) query(q *request, typ string) (*search.Query, error) {
	if q.method == http.MethodPost {
		if err := q.readForm(); err != nil {
			return nil, err
		}
	}
	query, err := search.Parse(typ, q.params, search.Options{Lenient: q.prefer.lenient, Base: q.base, Now: time.Now()})
	if err != nil {
		return nil, err
	}
	switch {
	case query.Summary == "count" || query.Count == 0:
		query.Count = 0
		if query.Total == "" || query.Total == "none" {
			query.Total = "accurate"
		}
	case query.Count < 0:
		query.Count = h.Count
	case query.Count > h.MaxCount:
		query.Count = h.MaxCount
	}
	if query.Summary == "text" && len(query.Includes) > 0 {
		return nil, fault.New(fault.Invalid, "_summary=text and _include or _revinclude exclude each other")
	}
	if len(query.Elements) > 0 && query.Summary != "" && query.Summary != "false" {
		return nil, fault.New(fault.Invalid, "_summary and _elements exclude each other")
	}
	return query, nil
}

// readForm adds the parameters of a form to those of the URL (R4 http.html#search: both count).
func (q *request) readForm() error {
	if q.wire == nil {
		return nil
	}
	body, err := web.ReadBody(q.wire)
	if err != nil || len(body) == 0 {
		return err
	}
	media, err := bodyMedia(q.wire.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	if media != mediaForm {
		return fault.New(fault.UnsupportedMedia, "the parameters of a search come as %s", mediaForm)
	}
	params, err := parseParams(string(body))
	if err != nil {
		return err
	}
	format := q.format
	if params, err = q.takeForm(params); err != nil {
		return err
	}
	if q.format != format {
		if q.media, err = answerMedia(q.wire.Header["Accept"], q.format); err != nil {
			return err
		}
	}
	q.params = append(q.params, params...)
	return nil
}

// condition parses the query that says which resource a conditional change is about. It must select: a query that every
// resource satisfies is refused.
func (h *Handler) condition(q *request, typ string, params []param) (*search.Query, error) {
	for _, p := range params {
		switch p.Name {
		case "_count", "_sort", "_total", "_summary", "_elements", "_include", "_revinclude", "_contained", cursorParam:
			return nil, fault.New(fault.Invalid, "%s has no meaning in a condition", p.Name).WithCode("not-supported")
		}
	}
	query, err := search.Parse(typ, params, search.Options{Base: q.base, Now: time.Now()})
	if err != nil {
		return nil, err
	}
	if len(query.Applied) == 0 {
		return nil, fault.New(fault.Invalid, "the condition names no search parameter").WithCode("required")
	}
	query.Count = 2 // one more than may match
	return query, nil
}

// answerSearch asks the store and writes the searchset. path is the search's own, below the base.
func (h *Handler) answerSearch(q *request, a *answer, query *search.Query, path string) error {
	page, err := h.Records.Search(q.ctx, query)
	if err != nil {
		return err
	}
	said := understood(query)
	s := shape{summary: query.Summary, elements: query.Elements}
	return writePage(q, a, page, s, query.Ignored, pageLinks(q, path, said, query.Cursor, page.Next, page.Prev))
}

// understood is what the links repeat: the parameters as they were applied, without the page's mark.
func understood(query *search.Query) []param {
	said := make([]param, 0, len(query.Applied)+2)
	for _, p := range query.Applied {
		switch p.Name {
		case cursorParam:
			continue
		case "_count":
			if query.Count > 0 {
				p.Value = strconv.Itoa(query.Count)
			}
		}
		said = append(said, param(p))
	}
	return said
}

// writePage writes a searchset of one page.
func writePage(q *request, a *answer, page *record.Page, s shape, ignored []string, links []link) (err error) {
	b := openBundle(a.build(), "searchset")
	b = appendTotal(b, page.Total)
	b = appendLinks(b, links)
	var list entries
	for _, m := range page.Matches {
		if b, err = appendMatch(list.open(b), q.base, m, s); err != nil {
			return err
		}
	}
	if len(ignored) > 0 {
		b = append(list.open(b), `"resource":`...)
		b = web.AppendOutcome(b, ignoredIssues(ignored))
		b = append(b, `,"search":{"mode":"outcome"}}`...)
	}
	a.done(list.end(b))
	a.status = http.StatusOK
	return nil
}

func appendMatch(b []byte, base string, m record.Match, s shape) (_ []byte, err error) {
	b = appendFullURL(b, base, m.Version.Type, m.Version.ID)
	b = append(b, `"resource":`...)
	if s.whole() {
		b = append(b, m.Version.JSON()...)
	} else if b, err = s.append(b, m.Version.JSON()); err != nil {
		return b, err
	}
	if m.Included {
		return append(b, `,"search":{"mode":"include"}}`...), nil
	}
	return append(b, `,"search":{"mode":"match"}}`...), nil
}

func ignoredIssues(names []string) []fault.Issue {
	issues := make([]fault.Issue, len(names))
	for i, name := range names {
		issues[i] = fault.Issue{Severity: "warning", Code: "not-supported", Diagnostics: "left out, since it was not understood: " + name}
	}
	return issues
}
