package importer

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/nilecare/nilecare/internal/fhir"
)

// wish is one request that an entry stands for.
type wish struct {
	method, url, fullURL string
	body                 []byte // JSON of the resource
}

// asWishes says how a resource is sent: as the Bundle that it is (sent), or as wishes.
func asWishes(r *fhir.Resource, raw []byte) (wishes []wish, sent bool, err error) {
	if r.Type() != "Bundle" {
		return []wish{single(r, raw, "")}, false, nil
	}
	switch typ := r.Str("type"); typ {
	case "transaction", "batch":
		return nil, true, nil
	case "collection", "searchset":
		wishes, err = takenApart(r)
		return wishes, false, err
	case "document", "message":
		return []wish{single(r, raw, "")}, false, nil
	case "history", "transaction-response", "batch-response":
		return nil, false, fmt.Errorf("a Bundle of type %s cannot be imported", typ)
	default:
		return nil, false, errors.New("the type of a Bundle must be transaction, batch, collection, searchset, document or message")
	}
}

// takenApart makes a wish of each entry; what a searchset says about the search is left out.
func takenApart(bundle *fhir.Resource) ([]wish, error) {
	var wishes []wish
	for i, e := range bundle.Get("entry").Items() {
		if e.Get("search").Str("mode") == "outcome" {
			continue
		}
		n := e.Get("resource")
		if n == nil || n.Str("resourceType") == "" {
			return nil, fmt.Errorf("the resource of Bundle.entry[%d] is missing", i)
		}
		wishes = append(wishes, single(&fhir.Resource{Node: n}, n.AppendJSON(nil), e.Str("fullUrl")))
	}
	return wishes, nil
}

func single(r *fhir.Resource, raw []byte, fullURL string) wish {
	if id := r.ID(); id != "" {
		return wish{http.MethodPut, r.Type() + "/" + id, fullURL, raw}
	}
	return wish{http.MethodPost, r.Type(), fullURL, raw}
}

// bundle returns the JSON of a Bundle of the type with the wishes as entries.
func bundle(typ string, wishes []wish) []byte {
	size := 64
	for _, w := range wishes {
		size += len(w.body) + 160
	}
	b := make([]byte, 0, size)
	b = append(b, `{"resourceType":"Bundle","type":"`+typ+`","entry":[`...)
	for i, w := range wishes {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '{')
		if w.fullURL != "" {
			b = append(fhir.AppendQuoted(append(b, `"fullUrl":`...), w.fullURL), ',')
		}
		b = append(append(b, `"resource":`...), w.body...)
		b = append(b, `,"request":{"method":"`+w.method+`","url":`...)
		b = append(fhir.AppendQuoted(b, w.url), "}}"...)
	}
	return append(b, "]}"...)
}

// reply is what a server said about one entry, or about the whole.
type reply struct {
	status int
	reason string // why it was refused
}

func (r reply) ok() bool { return r.status >= 200 && r.status < 300 }

// replies reads a batch's or transaction's response. ok is false where it is none with one entry a wish.
func replies(body []byte, want int) (out []reply, ok bool) {
	r, err := fhir.ParseResource(body)
	if err != nil || r.Type() != "Bundle" {
		return nil, false
	}
	for _, e := range r.Get("entry").Items() {
		resp := e.Get("response")
		digits := resp.Str("status")
		if len(digits) > 3 {
			digits = digits[:3]
		}
		status, err := strconv.Atoi(digits)
		if err != nil {
			return nil, false
		}
		out = append(out, reply{status, outcome(resp.Get("outcome"))})
	}
	return out, len(out) == want
}

// outcome puts an OperationOutcome's errors into one line.
func outcome(n *fhir.Node) string {
	text := ""
	for _, i := range n.Get("issue").Items() {
		if s := i.Str("severity"); s != "error" && s != "fatal" {
			continue
		}
		what := i.Str("diagnostics")
		if what == "" {
			what = i.Get("details").Str("text")
		}
		if what == "" {
			what = i.Str("code")
		}
		if at := i.Get("expression").At(0); at != nil {
			what = at.Text + ": " + what
		}
		if text != "" {
			text += "; "
		}
		text += what
	}
	return text
}
