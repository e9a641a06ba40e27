package clinical

import (
	"html"
	"net/http"
	"strings"

	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/web/api"
)

// exportRoutes are notes and the problem list as files, to print or to give away.
func (s *Service) exportRoutes() []api.Route {
	soap, progress := noteVerbs{s, "soap"}, noteVerbs{s, "progress"}
	return []api.Route{
		line("GET", "/api/v1/export/soap-note/{id}/html", "documents:export", "A SOAP note as a page to print", nil, nil, soap.exportHTML),
		line("GET", "/api/v1/export/soap-note/{id}/fhir", "documents:export", "A SOAP note as a FHIR Composition", nil, nil, soap.exportFHIR),
		line("GET", "/api/v1/export/progress-note/{id}/html", "documents:export", "A progress note as a page to print", nil, nil, progress.exportHTML),
		line("GET", "/api/v1/export/problem-list/{id}/html", "documents:export", "A patient's problem list as a page to print", nil, nil, s.exportProblems),
	}
}

// page is a page of HTML whose parts are text.
type page struct{ b strings.Builder }

func newPage(title string) *page {
	p := &page{}
	p.b.WriteString(`<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>`)
	p.b.WriteString(html.EscapeString(title))
	p.b.WriteString(`</title></head><body>`)
	p.part("h1", title)
	return p
}

func (p *page) part(tag, text string) {
	p.b.WriteString("<" + tag + ">" + strings.ReplaceAll(html.EscapeString(text), "\n", "<br>") + "</" + tag + ">")
}

func (p *page) line(name string, value *string) {
	if value != nil {
		p.part("p", name+": "+*value)
	}
}

// send sends the page as a file. It can do nothing in a browser but show itself.
func (p *page) send(w http.ResponseWriter, name string) error {
	p.b.WriteString("</body></html>\n")
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Disposition", `attachment; filename="`+name+`"`)
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("Cache-Control", "no-store")
	// A client that has gone away cannot be told so.
	_, _ = w.Write([]byte(p.b.String()))
	return nil
}

func (v noteVerbs) exportHTML(w http.ResponseWriter, r *http.Request) error {
	one, err := v.one(r)
	if err != nil {
		return err
	}
	all, err := v.s.tellNotes(r.Context(), []*flat.Record{one})
	if err != nil {
		return err
	}
	n := &all[0]
	p := newPage(n.Title)
	p.line("Patient", n.PatientName)
	p.line("Author", n.AuthorName)
	p.line("Date", n.Date)
	p.line("Status", &n.Status)
	for _, s := range n.Sections {
		p.part("h2", s.Title)
		p.part("p", s.Text)
	}
	for _, a := range n.Attesters {
		p.part("p", "Signed ("+a.Mode+"): "+said(a.Name)+" "+said(a.At))
	}
	for _, a := range n.Amendments {
		p.part("p", "Amended "+said(a.At)+": "+a.Reason)
	}
	return p.send(w, "note-"+n.ID+".html")
}

func (v noteVerbs) exportFHIR(w http.ResponseWriter, r *http.Request) error {
	one, err := v.one(r)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/fhir+json; charset=utf-8")
	h.Set("Content-Disposition", `attachment; filename="note-`+one.Key()+`.json"`)
	h.Set("Cache-Control", "no-store")
	// A client that has gone away cannot be told so.
	_, _ = w.Write(one.JSON())
	return nil
}

func (s *Service) exportProblems(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	patient, err := s.Records.Read(ctx, "Patient", r.PathValue("id"))
	if err != nil {
		return err
	}
	q := flat.Query{Type: "Condition", Sort: "-recorded-date"}
	q.With("patient", patient.Ref())
	q.With("category", problemItem)
	q.With("verification-status:not", "entered-in-error")
	var records []*flat.Record
	if err := s.Records.Each(ctx, q, func(one *flat.Record) error { records = append(records, one); return nil }); err != nil {
		return err
	}
	all, err := s.tellConditions(ctx, records)
	if err != nil {
		return err
	}
	p := newPage("Problem list")
	name := flat.FullName(patient.Res)
	p.line("Patient", opt(name))
	for i := range all {
		c := &all[i]
		p.part("h2", c.Description)
		p.line("Code", c.Code)
		p.line("Status", &c.Status)
		p.line("Since", c.OnsetDate)
		p.line("Until", c.AbatementDate)
		p.line("Notes", c.Notes)
	}
	return p.send(w, "problem-list-"+patient.Key()+".html")
}
