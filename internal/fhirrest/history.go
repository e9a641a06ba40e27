package fhirrest

import (
	"net/http"
	"strconv"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/record"
)

// history is GET _history of an instance, a type or the whole server (R4 http.html#history), newest first, with _since,
// _at and _count.
func (h *Handler) history(q *request, a *answer) error {
	hq := record.HistoryQuery{Type: q.route.typ, ID: q.route.id, Count: h.Count}
	if q.route.place == atInstanceHistory {
		if err := checkID(hq.ID, fault.NotFound); err != nil {
			return err
		}
	}
	s, said, err := h.historyParams(q, &hq)
	if err != nil {
		return err
	}
	page, err := h.Records.History(q.ctx, hq)
	if err != nil {
		return err
	}
	b := openBundle(a.build(), "history")
	b = appendTotal(b, page.Total)
	b = appendLinks(b, pageLinks(q, historyPath(q), said, hq.Cursor, page.Next, ""))
	var list entries
	for _, v := range page.Versions {
		if b, err = appendHistoryEntry(list.open(b), q.base, v, s); err != nil {
			return err
		}
	}
	a.done(list.end(b))
	a.status = http.StatusOK
	return nil
}

// historyParams reads the parameters; said are those that the links repeat.
func (h *Handler) historyParams(q *request, hq *record.HistoryQuery) (s shape, said []param, err error) {
	s, rest, err := takeShape(q.params)
	if err != nil {
		return s, nil, err
	}
	if s.summary == "count" {
		return s, nil, fault.New(fault.Invalid, "_summary=count is for searches").WithCode("value")
	}
	var unknown []param
	for _, p := range rest {
		switch p.Name {
		case "_since":
			hq.Since, err = parseInstant(p.Name, p.Value)
		case "_at":
			hq.At, hq.AtEnd, err = parseMoment(p.Name, p.Value)
		case "_count":
			hq.Count, err = h.parseCount(p.Value)
		case cursorParam:
			hq.Cursor = p.Value
		default:
			unknown = append(unknown, p)
		}
		if err != nil {
			return s, nil, err
		}
	}
	if err := q.noParams(unknown); err != nil {
		return s, nil, err
	}
	for _, p := range q.params {
		switch p.Name {
		case "_count":
			p.Value = strconv.Itoa(hq.Count)
			said = append(said, p)
		case "_since", "_at", "_summary", "_elements":
			said = append(said, p)
		}
	}
	return s, said, nil
}

// parseCount reads _count of what has no totals: 1 and more, cut to the largest page.
func (h *Handler) parseCount(value string) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		return 0, fault.New(fault.Invalid, "_count is a number from 1 to %d", h.MaxCount).WithCode("value")
	}
	return min(n, h.MaxCount), nil
}

func historyPath(q *request) string {
	p := ""
	if q.route.typ != "" {
		p += "/" + q.route.typ
	}
	if q.route.id != "" {
		p += "/" + q.route.id
	}
	return p + "/_history"
}

func appendHistoryEntry(b []byte, base string, v *record.Version, s shape) ([]byte, error) {
	b = appendFullURL(b, base, v.Type, v.ID)
	var err error
	if !v.Deleted {
		b = append(b, `"resource":`...)
		if s.whole() {
			b = append(b, v.JSON()...)
		} else if b, err = s.append(b, v.JSON()); err != nil {
			return b, err
		}
		b = append(b, ',')
	}
	method, status := historyRequest(v)
	b = append(b, `"request":{"method":"`...)
	b = append(b, method...)
	b = append(b, `","url":"`...)
	b = append(b, v.Type...)
	if method != http.MethodPost {
		b = append(append(b, '/'), v.ID...)
	}
	b = append(b, `"},"response":{`...)
	b = appendStatus(b, status)
	b = appendTag(b, etag(v.VID), v)
	return append(b, `}}`...), nil
}

// historyRequest says by which request a version can be made again. What came to be under an id that the store gave was
// created by POST; a patch's result is told as the update that it was.
func historyRequest(v *record.Version) (method string, status int) {
	switch {
	case v.Deleted:
		return http.MethodDelete, http.StatusNoContent
	case v.Op != record.Create:
		return http.MethodPut, http.StatusOK
	case v.VID == 1 && v.ID == strconv.FormatInt(v.Num, 10):
		return http.MethodPost, http.StatusCreated
	}
	return http.MethodPut, http.StatusCreated
}

// cursorParam carries a page's mark in links.
const cursorParam = "_cursor"

// pageLinks returns self, first, next and previous as far as they apply. said are the parameters as they were understood,
// without the page's mark.
func pageLinks(q *request, path string, said []param, cursor, next, prev string) []link {
	if q.format != "" {
		said = append(said, param{Name: "_format", Value: q.format})
	}
	if q.pretty {
		said = append(said, param{Name: "_pretty", Value: "true"})
	}
	at := func(mark string) string {
		b := make([]byte, 0, 256)
		b = append(append(b, q.base...), path...)
		list := said
		if mark != "" {
			list = append(said[:len(said):len(said)], param{Name: cursorParam, Value: mark})
		}
		if len(list) > 0 {
			b = appendParams(append(b, '?'), list)
		}
		return string(b)
	}
	links := make([]link, 1, 4)
	links[0] = link{"self", at(cursor)}
	if cursor != "" {
		links = append(links, link{"first", at("")})
	}
	if next != "" {
		links = append(links, link{"next", at(next)})
	}
	if prev != "" {
		links = append(links, link{"previous", at(prev)})
	}
	return links
}
