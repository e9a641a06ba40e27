package importer

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/nilecare/nilecare/internal/fhir"
)

// worker writes tasks one after the other.
type worker struct {
	im   *Importer
	last bool // there is no later pass
	ills int  // broken answers (5xx) without a good one between them
}

// tooIll is how many broken answers in a row end an import.
const tooIll = 10

// task writes units: a Bundle as it is, the others gathered in transactions. The error says that going on makes no sense.
func (w *worker) task(ctx context.Context, items []item) error {
	var group []item
	var wishes []wish
	urls := map[string]bool{}
	flush := func() error {
		g, ws := group, wishes
		group, wishes = nil, nil
		clear(urls)
		if len(g) == 0 {
			return nil
		}
		return w.group(ctx, g, ws)
	}
	for _, it := range items {
		r, found, sent, err := understand(it)
		switch {
		case err != nil:
			err = w.refuseUnit(it, Refusal{Reason: err.Error()})
		case sent:
			if err = flush(); err == nil {
				err = w.bundle(ctx, it, r)
			}
		case len(found) != 1:
			err = w.apart(ctx, it, found)
		default:
			if found[0].method == http.MethodPut && urls[found[0].url] {
				err = flush()
			}
			urls[found[0].url] = true
			group, wishes = append(group, it), append(wishes, found[0])
		}
		if err != nil {
			return err
		}
	}
	return flush()
}

func understand(it item) (*fhir.Resource, []wish, bool, error) {
	if it.Err != nil {
		return nil, nil, false, it.Err
	}
	r, err := fhir.ParseResource(it.Data)
	if err != nil {
		return nil, nil, false, err
	}
	wishes, sent, err := asWishes(r, it.Data)
	return r, wishes, sent, err
}

func (w *worker) refuseUnit(it item, r Refusal) error {
	r.Source, r.Line = it.Source, it.Line
	w.im.refuse(r)
	return w.im.settle(nil, []item{it})
}

// post sends a Bundle; too many broken answers in a row are an error.
func (w *worker) post(ctx context.Context, body []byte) (reply, []byte, error) {
	r, text, err := w.im.door.post(ctx, body)
	if err != nil {
		return r, nil, err
	}
	if r.status < 500 {
		w.ills = 0
		return r, text, nil
	}
	if w.ills++; w.ills >= tooIll {
		return r, nil, fmt.Errorf("%w: it answered %d times in a row with an error of its own, %d %s", errUnreachable, w.ills, r.status, r.reason)
	}
	return r, text, nil
}

// bundle sends a transaction or batch as it is.
func (w *worker) bundle(ctx context.Context, it item, b *fhir.Resource) error {
	r, text, err := w.post(ctx, it.Data)
	if err != nil {
		return err
	}
	entries := b.Get("entry").Len()
	if !r.ok() {
		if !w.last && mayFollow(r, b) {
			w.im.putOff(place{it.path, it.N})
			return w.im.settle(nil, []item{it})
		}
		return w.refuseUnit(it, Refusal{Status: r.status, Reason: r.reason})
	}
	if b.Str("type") == "batch" {
		for i, e := range w.each(text, entries) {
			if !e.ok() {
				entries--
				w.im.refuse(Refusal{Source: it.Source, Line: it.Line, Entry: fmt.Sprintf("Bundle.entry[%d]", i), Status: e.status, Reason: e.reason})
			}
		}
	}
	w.im.resources.Add(int64(entries))
	return w.im.settle([]item{it}, nil)
}

// mayFollow reports whether a refused Bundle may be taken later: it refers to something by a condition that another file
// may fulfil.
func mayFollow(r reply, b *fhir.Resource) bool {
	if r.status < 400 || r.status >= 500 {
		return false
	}
	found := false
	b.Walk(func(n *fhir.Node) bool {
		if n.Name == "reference" && n.Kind == fhir.String && strings.Contains(n.Text, "?") {
			found = true
		}
		return !found
	})
	return found
}

// apart sends the wishes of a Bundle that was taken apart, as one transaction.
func (w *worker) apart(ctx context.Context, it item, wishes []wish) error {
	if len(wishes) > 0 {
		r, _, err := w.post(ctx, bundle("transaction", wishes))
		if err != nil {
			return err
		}
		if !r.ok() {
			return w.refuseUnit(it, Refusal{Status: r.status, Reason: r.reason})
		}
	}
	w.im.resources.Add(int64(len(wishes)))
	return w.im.settle([]item{it}, nil)
}

// group sends single resources together, and each for itself where the whole is refused.
func (w *worker) group(ctx context.Context, items []item, wishes []wish) error {
	r, _, err := w.post(ctx, bundle("transaction", wishes))
	if err != nil {
		return err
	}
	if r.ok() {
		w.im.resources.Add(int64(len(items)))
		return w.im.settle(items, nil)
	}
	if len(items) == 1 {
		return w.refuseUnit(items[0], wishes[0].refusal(r, 0))
	}
	r, text, err := w.post(ctx, bundle("batch", wishes))
	if err != nil {
		return err
	}
	answers := make([]reply, len(items))
	for i := range answers {
		answers[i] = r
	}
	if r.ok() {
		answers = w.each(text, len(items))
	}
	var written, others []item
	for i, a := range answers {
		if a.ok() {
			written = append(written, items[i])
			continue
		}
		others = append(others, items[i])
		no := wishes[i].refusal(a, i)
		no.Source, no.Line = items[i].Source, items[i].Line
		w.im.refuse(no)
	}
	w.im.resources.Add(int64(len(written)))
	return w.im.settle(written, others)
}

// refusal says what became of a single resource that was sent as the i-th entry of a Bundle, which its file knows nothing of.
func (wi wish) refusal(r reply, i int) Refusal {
	typ, _, _ := strings.Cut(wi.url, "/")
	entry := fmt.Sprintf("Bundle.entry[%d]", i)
	reason := strings.ReplaceAll(r.reason, entry+".resource", typ)
	return Refusal{Entry: wi.url, Status: r.status, Reason: strings.TrimPrefix(reason, entry+": ")}
}

// each reads what was said of every entry of a batch.
func (w *worker) each(text []byte, want int) []reply {
	answers, ok := replies(text, want)
	if ok {
		return answers
	}
	answers = make([]reply, want)
	for i := range answers {
		answers[i] = reply{status: http.StatusBadGateway, reason: "the answer is no Bundle with an entry for each"}
	}
	return answers
}
