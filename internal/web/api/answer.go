package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"reflect"
	"strconv"

	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/web"
)

// Page says which part of a listing an answer is.
type Page struct {
	Page  int    // from 1
	Limit int    // entries of a page
	Total int    // entries of the whole listing
	Next  string // an opaque cursor of the next page; "": none is offered
}

// Pages is how many pages the listing has.
func (p Page) Pages() int {
	if p.Limit <= 0 {
		return 0
	}
	return (p.Total + p.Limit - 1) / p.Limit
}

// append writes the page as the JSON that the front ends read: pages and totalPages are the same under two names.
func (p Page) append(b []byte) []byte {
	pages := int64(p.Pages())
	b = append(b, `"pagination":{"page":`...)
	b = strconv.AppendInt(b, int64(p.Page), 10)
	b = append(b, `,"limit":`...)
	b = strconv.AppendInt(b, int64(p.Limit), 10)
	b = append(b, `,"total":`...)
	b = strconv.AppendInt(b, int64(p.Total), 10)
	b = append(b, `,"pages":`...)
	b = strconv.AppendInt(b, pages, 10)
	b = append(b, `,"totalPages":`...)
	b = strconv.AppendInt(b, pages, 10)
	b = append(b, `,"hasNext":`...)
	b = strconv.AppendBool(b, int64(p.Page) < pages || p.Next != "")
	b = append(b, `,"hasPrevious":`...)
	b = strconv.AppendBool(b, p.Page > 1)
	if p.Next != "" {
		b = append(b, `,"next":`...)
		b = fhir.AppendQuoted(b, p.Next)
	}
	return append(b, '}')
}

// Answer sends data in the product API's envelope. A nil slice is sent as an empty list. Of a GET only those members are sent that the
// parameter fields names. It fails, before anything is sent, where data cannot be said in JSON, or where fields names what there is not.
func Answer(w http.ResponseWriter, r *http.Request, status int, data any) error {
	_, err := encode(data, func(body []byte) error { return send(w, r, status, body, nil) })
	return err
}

// List sends one page of a listing with status 200: the pagination stands beside data and, where data is an object, inside it too, since
// the front ends differ in where they look. The parameter fields works as with [Answer].
func List(w http.ResponseWriter, r *http.Request, data any, p Page) error {
	_, err := encode(data, func(body []byte) error { return send(w, r, http.StatusOK, body, &p) })
	return err
}

// Bare sends v as it is, without an envelope: what sign-in and refresh answer.
func Bare(w http.ResponseWriter, status int, v any) error {
	_, err := encode(v, func(body []byte) error {
		write(w, status, body)
		return nil
	})
	return err
}

// encode says v in JSON, in lent memory, and hands it on.
func encode(v any, use func([]byte) error) (int, error) {
	if rv := reflect.ValueOf(v); rv.Kind() == reflect.Slice && rv.IsNil() && rv.Type() != reflect.TypeFor[json.RawMessage]() {
		v = []struct{}{}
	}
	buf := web.GetBuffer()
	defer web.PutBuffer(buf)
	out := bytes.NewBuffer((*buf)[:0])
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return 0, err
	}
	*buf = out.Bytes()
	return len(*buf), use(bytes.TrimSuffix(*buf, []byte("\n")))
}

func send(w http.ResponseWriter, r *http.Request, status int, data []byte, p *Page) error {
	if status < http.StatusBadRequest && r.Method == http.MethodGet {
		var err error
		if data, err = sparse(r, data); err != nil {
			return err
		}
	}
	buf := web.GetBuffer()
	defer web.PutBuffer(buf)
	b := append((*buf)[:0], `{"success":`...)
	b = strconv.AppendBool(b, status < http.StatusBadRequest)
	b = append(b, `,"data":`...)
	b = appendData(b, data, p)
	if p != nil {
		b = append(b, ',')
		b = p.append(b)
	}
	b = append(b, ',')
	b = web.AppendMetadata(b, w.Header())
	b = append(b, '}')
	*buf = b
	write(w, status, b)
	return nil
}

// appendData appends data, with the page inside where it is an object that does not tell one itself.
func appendData(b, data []byte, p *Page) []byte {
	if p == nil || data[0] != '{' || tells(data, "pagination") {
		return append(b, data...)
	}
	b = append(b, data[:len(data)-1]...)
	if len(data) > 2 {
		b = append(b, ',')
	}
	b = p.append(b)
	return append(b, '}')
}

// tells reports that the object has a member of its own of this name.
func tells(object []byte, name string) bool {
	if !bytes.Contains(object, []byte(`"`+name+`":`)) {
		return false
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(object, &members); err != nil {
		return false
	}
	_, ok := members[name]
	return ok
}

// write sends a whole body. What the API tells is of persons: no cache keeps it unless the handler said so.
func write(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h["Content-Type"] = jsonType
	if len(h["Cache-Control"]) == 0 {
		h["Cache-Control"] = noStore
	}
	w.WriteHeader(status)
	if status == http.StatusNoContent || status == http.StatusNotModified {
		return
	}
	// A client that has gone away cannot be told so.
	_, _ = w.Write(body)
}

// Header values that answers share; nothing changes them.
var (
	jsonType = []string{"application/json; charset=utf-8"}
	noStore  = []string{"no-store"}
)

// Fail answers with err in the product API's envelope: [web.FailAPI].
func Fail(w http.ResponseWriter, _ *http.Request, err error) { web.FailAPI(w, err) }
