package clinical

import (
	"html"
	"regexp"
	"strings"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
)

// noteKind is a kind of note: what it is called, its LOINC document type, whose permissions it needs, and which sections it must have to be signed.
type noteKind struct {
	name, title, code, display string
	permissions                string // the prefix of its permissions
	required                   []string
}

var noteKinds = []noteKind{
	{"soap", "SOAP note", "34109-9", "Note", "soap-notes", []string{"subjective", "objective", "assessment", "plan"}},
	{"progress", "Progress note", "11506-3", "Progress note", "progress-notes", nil},
	{"nursing", "Nursing note", "34746-8", "Nurse Note", "progress-notes", nil},
	{"discharge", "Discharge summary", "18842-5", "Discharge summary", "soap-notes", nil},
	{"consultation", "Consultation note", "11488-4", "Consult note", "soap-notes", nil},
	{"history_physical", "History and physical", "34117-2", "History and physical note", "soap-notes", nil},
	{"procedure", "Procedure note", "28570-0", "Procedure note", "soap-notes", nil},
}

// document is the kind of a Composition that is none of the product's.
var document = noteKind{name: "document", permissions: "soap-notes"}

func noteKindNames() []string {
	var out []string
	for _, k := range noteKinds {
		out = append(out, k.name)
	}
	return out
}

func noteKindNamed(name string) (noteKind, bool) {
	for _, k := range noteKinds {
		if k.name == name {
			return k, true
		}
	}
	return document, false
}

// kindOfNote is the kind that the category says, else the document type.
func kindOfNote(n *fhir.Resource) noteKind {
	for _, c := range flat.Items(n.Get("category")) {
		if k, ok := noteKindNamed(flat.Code(c, noteTypeSystem)); ok {
			return k
		}
	}
	code := flat.Code(n.Get("type"), loinc)
	for _, k := range noteKinds {
		if k.code == code && code != "" {
			return k
		}
	}
	return document
}

// section is a part of a note: its name in the product API, its title, and its code of LOINC.
type section struct{ name, title, code, display string }

var sections = []section{
	{"subjective", "Subjective", "61150-9", "Subjective Narrative"},
	{"objective", "Objective", "61149-1", "Objective Narrative"},
	{"assessment", "Assessment", "51848-0", "Evaluation note"},
	{"plan", "Plan", "18776-5", "Plan of care note"},
	{"content", "Note", "51855-5", "Patient Note"},
	{"hospitalCourse", "Hospital course", "8648-8", "Hospital course Narrative"},
	{"dischargeInstructions", "Discharge instructions", "8653-8", "Hospital Discharge instructions"},
}

func sectionNamed(name string) (section, bool) {
	for _, s := range sections {
		if s.name == name {
			return s, true
		}
	}
	return section{}, false
}

// nameOfSection is the product API's name of a section, "" for one that it has no name for.
func nameOfSection(n *fhir.Node) string {
	code := flat.Code(n.Get("code"), loinc)
	for _, s := range sections {
		if s.code == code && code != "" {
			return s.name
		}
	}
	return ""
}

// xhtml is text as the safe XHTML of FHIR's narrative. Nothing in text is markup.
func xhtml(text string) string {
	return `<div xmlns="http://www.w3.org/1999/xhtml">` + strings.ReplaceAll(html.EscapeString(text), "\n", "<br/>") + `</div>`
}

var (
	breaks = regexp.MustCompile(`(?i)<br\s*/?>\n?|</(p|div|li|tr|h[1-6])\s*>`)
	tags   = regexp.MustCompile(`<[^>]*>`)
)

// plain is the text of a narrative: that of [xhtml] comes back as it was; of others' markup the text remains.
func plain(div string) string {
	if text, ok := strings.CutPrefix(div, `<div xmlns="http://www.w3.org/1999/xhtml">`); ok {
		div = strings.TrimSuffix(text, "</div>")
	}
	return html.UnescapeString(tags.ReplaceAllString(breaks.ReplaceAllString(div, "\n"), ""))
}

// sectionIn is a section of a request.
type sectionIn struct {
	Name  string `json:"name"`  // subjective, objective …; or
	Title string `json:"title"` // any other
	Text  string `json:"text"`
}

// sectionNode is a section of a Composition.
func sectionNode(in sectionIn) (*fhir.Node, error) {
	known, ok := sectionNamed(in.Name)
	if in.Name != "" && !ok {
		var names []string
		for _, s := range sections {
			names = append(names, s.name)
		}
		return nil, oneOf("sections.name", in.Name, names...)
	}
	title, err := plainText("sections.title", strings.TrimSpace(in.Title), 200)
	if err != nil {
		return nil, err
	}
	if title == "" {
		title = known.title
	}
	if title == "" {
		return nil, missing("sections.title")
	}
	field := in.Name
	if field == "" {
		field = "sections.text"
	}
	text, err := plainText(field, in.Text, maxText)
	if err != nil {
		return nil, err
	}
	if strings.TrimSpace(text) == "" {
		return nil, fault.At(fault.Invalid, field, "is empty").WithCode("required")
	}
	n := fhir.NewObject()
	members := obj{"title": title, "text": obj{"status": "additional", "div": xhtml(text)}}
	if ok {
		members["code"] = concept(loinc, known.code, known.display, "")
	}
	for _, name := range []string{"title", "code", "text"} {
		if members[name] != nil {
			if err := flat.Set(n, name, members[name]); err != nil {
				return nil, err
			}
		}
	}
	return n, nil
}
