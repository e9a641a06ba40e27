package api

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/web"
)

// MaxExport is how many entries one export may have.
const MaxExport = 100_000

// Format is a form that a listing can be had in.
type Format string

// The formats of listings.
const (
	JSON   Format = "json"   // a page, in the envelope
	CSV    Format = "csv"    // the whole listing, RFC 4180
	NDJSON Format = "ndjson" // the whole listing, an object a line
)

// FormatOf is the format that the request asks for: by the parameter format, else by Accept (text/csv, application/x-ndjson), else [JSON]. The
// error is Invalid where format names none.
func FormatOf(r *http.Request) (Format, error) {
	if r.URL.RawQuery != "" {
		switch f := Format(r.URL.Query().Get("format")); f {
		case JSON, CSV, NDJSON:
			return f, nil
		case "":
		default:
			return JSON, fault.At(fault.Invalid, "format", "must be one of json, csv, ndjson").WithCode("value")
		}
	}
	for _, line := range r.Header["Accept"] {
		for part := range strings.SplitSeq(line, ",") {
			kind, _, _ := strings.Cut(part, ";")
			switch strings.ToLower(strings.TrimSpace(kind)) {
			case "text/csv":
				return CSV, nil
			case "application/x-ndjson", "application/ndjson", "application/jsonl":
				return NDJSON, nil
			case "application/json", "*/*", "application/*":
				return JSON, nil
			}
		}
	}
	return JSON, nil
}

// Exports reports that the request wants the whole listing as a file, which [Export] writes.
func Exports(r *http.Request) (bool, error) {
	f, err := FormatOf(r)
	return f != JSON, err
}

// Exportable refuses an export of so many entries as there may not be in one: TooCostly. Where the number is known before the export begins, this is said
// better than by an answer that is cut off.
func Exportable(total int) error {
	if total <= MaxExport {
		return nil
	}
	return fault.New(fault.TooCostly, "these are %d entries, and an export has at most %d: narrow it by filters", total, MaxExport)
}

// Export writes a whole listing as the file that the request asks for (see [FormatOf]), entry by entry, as each yields them: all pages of
// what the filters find, up to [MaxExport] entries. name is the file's name without its ending.
//
// columns are those of CSV, with dots into objects ("address.city"); nil: the members of the first entry's type, objects flattened. The parameter
// fields chooses among them. Lists of plain values stand in one cell with "; " between them, other lists as JSON. A text that a
// spreadsheet would take for a formula gets an apostrophe before it. An entry of NDJSON is the JSON of what is yielded.
//
// What each returns before the first 64 KiB are written is answered as a failure; after that, the connection is cut, so that nobody takes half a
// listing for a whole one. So it is with more entries than the bound: see [Exportable]. The handler checks permissions and filters before it
// calls Export, and reads as the caller in each.
//
//	if file, err := api.Exports(r); err != nil || file {
//		if err != nil {
//			return err
//		}
//		return api.Export(w, r, "patients", nil, func(yield func(any) error) error {
//			return s.Records.Each(ctx, q, func(p *flat.Record) error { return yield(s.view(p)) })
//		})
//	}
//
// The route says Exports: true, so that its description tells of format.
func Export(w http.ResponseWriter, r *http.Request, name string, columns []string, each func(yield func(item any) error) error) error {
	format, err := FormatOf(r)
	if err != nil {
		return err
	}
	chosen, err := fieldsOf(r)
	if err != nil {
		return err
	}
	file := &export{to: &counted{w: w}, fields: chosen, columns: columns}
	file.out = bufio.NewWriterSize(file.to, 1<<16)
	h := w.Header()
	h["Content-Disposition"] = []string{`attachment; filename="` + fileName(name) + "." + string(format) + `"`}
	h["Cache-Control"] = noStore
	var one func(any) error
	if format == CSV {
		h["Content-Type"] = []string{"text/csv; charset=utf-8; header=present"}
		file.csv = csv.NewWriter(file.out)
		file.csv.UseCRLF = true
		if r.URL.Query().Get("bom") == "true" {
			_, err = file.out.WriteString("\ufeff")
		}
		one = file.row
	} else {
		h["Content-Type"] = []string{"application/x-ndjson; charset=utf-8"}
		one = file.line
	}
	if err == nil {
		err = each(func(item any) error {
			if file.entries++; file.entries > MaxExport {
				return fault.New(fault.TooCostly, "an export has at most %d entries: narrow it by filters", MaxExport)
			}
			return one(item)
		})
	}
	if err == nil {
		err = file.end()
	}
	if err != nil {
		if !file.to.begun {
			delete(h, "Content-Disposition")
			return err
		}
		web.CutOff(w, err)
	}
	return nil
}

// counted knows whether anything has been written.
type counted struct {
	w     io.Writer
	begun bool
}

func (c *counted) Write(p []byte) (int, error) {
	c.begun = true
	return c.w.Write(p)
}

type export struct {
	to      *counted
	out     *bufio.Writer
	csv     *csv.Writer
	fields  *selection
	columns []string
	paths   [][]string
	cells   []string
	headed  bool
	entries int
}

func (e *export) line(item any) error {
	_, err := encode(item, func(body []byte) error {
		if e.fields != nil {
			picked, err := e.fields.pick(body)
			if err != nil {
				return err
			}
			body = picked
		}
		if _, err := e.out.Write(body); err != nil {
			return err
		}
		return e.out.WriteByte('\n')
	})
	return err
}

// head settles the columns, at the first entry, and writes their names.
func (e *export) head(item any) error {
	e.headed = true
	if e.columns == nil && item != nil {
		e.columns = columnsOf(reflect.TypeOf(item), "", 0)
	}
	if e.fields != nil {
		var kept []string
		for _, c := range e.columns {
			if e.fields.wants(strings.Split(c, ".")) {
				kept = append(kept, c)
			}
		}
		if e.columns = kept; len(kept) == 0 {
			return fault.At(fault.Invalid, "fields", "names no column").WithCode("value")
		}
	}
	e.paths = make([][]string, len(e.columns))
	for i, c := range e.columns {
		e.paths[i] = strings.Split(c, ".")
	}
	if len(e.columns) == 0 {
		if item == nil {
			return nil // nothing was found, and nobody said which columns there are
		}
		return fmt.Errorf("api: an export of %T has no columns", item)
	}
	return e.csv.Write(e.columns)
}

func (e *export) row(item any) error {
	if !e.headed {
		if err := e.head(item); err != nil {
			return err
		}
	}
	text, err := json.Marshal(item)
	if err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var tree any
	if err := dec.Decode(&tree); err != nil {
		return err
	}
	e.cells = e.cells[:0]
	for _, p := range e.paths {
		e.cells = append(e.cells, cell(follow(tree, p)))
	}
	return e.csv.Write(e.cells)
}

func (e *export) end() error {
	if e.csv != nil {
		if !e.headed {
			if err := e.head(nil); err != nil {
				return err
			}
		}
		if e.csv.Flush(); e.csv.Error() != nil {
			return e.csv.Error()
		}
	}
	return e.out.Flush()
}

func follow(v any, path []string) any {
	for _, name := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[name]
	}
	return v
}

// cell is a value as a CSV file says it.
func cell(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return harmless(v)
	case json.Number:
		return v.String()
	case bool:
		if v {
			return "true"
		}
		return "false"
	case []any:
		parts := make([]string, len(v))
		for i, one := range v {
			switch one.(type) {
			case map[string]any, []any:
				return jsonCell(v)
			}
			parts[i] = strings.TrimPrefix(cell(one), "'")
		}
		return harmless(strings.Join(parts, "; "))
	}
	return jsonCell(v)
}

func jsonCell(v any) string {
	text, err := json.Marshal(v) // it was JSON before
	if err != nil {
		return ""
	}
	return string(text)
}

// harmless is a text that no spreadsheet takes for a formula.
func harmless(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r\n", rune(s[0])) || strings.HasPrefix(s, "＝") || strings.HasPrefix(s, "＋") || strings.HasPrefix(s, "－") || strings.HasPrefix(s, "＠") {
		return "'" + s
	}
	return s
}

// columnsOf are the members of a type, as encoding/json writes them, with objects flattened three levels deep.
func columnsOf(t reflect.Type, prefix string, depth int) []string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || t == timeType || depth > 0 && (t.Implements(selfType) || t.Implements(textType)) {
		return nil
	}
	var out []string
	for _, m := range membersOf(t) {
		inner := m.typ
		for inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if depth < 3 && inner != t {
			if deeper := columnsOf(inner, prefix+m.name+".", depth+1); len(deeper) > 0 {
				out = append(out, deeper...)
				continue
			}
		}
		out = append(out, prefix+m.name)
	}
	return out
}

// member is a member of a struct, as encoding/json names it.
type member struct {
	name string
	typ  reflect.Type
}

// membersOf are the members that encoding/json writes of a struct.
func membersOf(t reflect.Type) []member {
	var out []member
	for _, f := range reflect.VisibleFields(t) {
		tag := f.Tag.Get("json")
		name, _, _ := strings.Cut(tag, ",")
		if !f.IsExported() || tag == "-" || f.Anonymous && name == "" || hiddenBy(t, f) {
			continue
		}
		if name == "" {
			name = f.Name
		}
		out = append(out, member{name, f.Type})
	}
	return out
}

// fileName keeps of a name what every system takes.
func fileName(s string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' {
			return c
		}
		return '-'
	}, s)
}
