package flat

import (
	"net/http"

	"github.com/nilecare/nilecare/internal/web/api"
)

// QueryOf begins the query of a listing with the page, limit and cursor that the request names.
func QueryOf(r *http.Request, typ string) (Query, error) {
	page, limit, err := api.PageOf(r)
	return Query{Type: typ, Page: page, Limit: limit, Cursor: r.URL.Query().Get("cursor")}, err
}

// PageOf is the pagination of what the query found.
func (f *Found) PageOf(q Query) api.Page {
	return api.Page{Page: q.Page, Limit: q.Limit, Total: max(f.Total, 0), Next: f.Next}
}
