package api

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/web"
)

// MaxBulk is how many items one bulk request may have.
const MaxBulk = 500

// Outcome is what became of one item, where the usual status does not fit: 201 for POST, 200 for other methods.
type Outcome struct {
	Status int
	Data   any
}

// bulkBody is the description of a bulk request's body.
type bulkBody struct {
	Items []json.RawMessage `json:"items" doc:"what to do, at most 500 items; the body may also be the bare list"`
}

// BulkOut is the description of a bulk answer's data.
type BulkOut struct {
	Results   []BulkResult `json:"results" doc:"one a item, in their order"`
	Succeeded int          `json:"succeeded"`
	Failed    int          `json:"failed"`
}

// BulkResult is what became of one item.
type BulkResult struct {
	Index  int             `json:"index" doc:"the item's place, from 0"`
	Status int             `json:"status" doc:"the HTTP status that the item would have had alone"`
	Data   json.RawMessage `json:"data,omitempty"`
	Error  *BulkError      `json:"error,omitempty"`
}

// BulkError is why an item was not done.
type BulkError struct {
	Code       string `json:"code"`
	Message    string `json:"message"`
	StatusCode int    `json:"statusCode"`
	Details    []struct {
		Field   string `json:"field,omitempty"`
		Message string `json:"message"`
	} `json:"details"`
}

// Bulk serves a request that does the same thing to many items, each by itself: what fails on one leaves the others done. The body is
// {"items": […]}, or the bare list, of 1 to [MaxBulk] items. each is called for one item after the other, with its place and its JSON; what it
// returns is the item's data, its error the item's error. An item that must have another status than the usual one is returned as an [Outcome].
//
// The answer is 200 where all items were done and 207 where any failed, with data {"results": [{"index", "status", "data" or "error": {"code",
// "message", "statusCode", "details"}}], "succeeded", "failed"}. Where the request's time is over, the items that were not tried say so with 503.
//
// How a module offers it, here for creating and changing many patients:
//
//	{Method: "POST", Path: "/api/v1/patients/bulk", Need: api.Permission("patients:create"), Summary: "Register many patients",
//		In: api.BulkIn, Out: api.BulkOut{}, Serve: s.createPatients},
//	{Method: "PUT", Path: "/api/v1/patients/bulk", Need: api.Permission("patients:update"), Summary: "Change many patients",
//		In: api.BulkIn, Out: api.BulkOut{}, Serve: s.updatePatients},
//
//	func (s *Service) createPatients(w http.ResponseWriter, r *http.Request) error {
//		return api.Bulk(w, r, func(ctx context.Context, i int, item json.RawMessage) (any, error) {
//			var in patientIn
//			if err := api.Item(item, &in); err != nil {
//				return nil, err
//			}
//			return s.create(ctx, &in) // the same verb that the single route calls
//		})
//	}
//
// The items of a bulk update bear their id: {"id": "12", …}. A POST may come with an Idempotency-Key, which stands for the whole request.
func Bulk(w http.ResponseWriter, r *http.Request, each func(ctx context.Context, i int, item json.RawMessage) (any, error)) error {
	items, err := bulkItems(r)
	if err != nil {
		return err
	}
	usual := http.StatusOK
	if r.Method == http.MethodPost {
		usual = http.StatusCreated
	}
	ctx, failed := r.Context(), 0
	out := append(make([]byte, 0, 64*len(items)), `{"results":[`...)
	for i, item := range items {
		var data any
		if err = ctx.Err(); err == nil {
			data, err = each(ctx, i, item)
		}
		if i > 0 {
			out = append(out, ',')
		}
		var ok bool
		if out, ok = appendResult(out, w, i, usual, data, err); !ok {
			failed++
		}
	}
	out = append(out, `],"succeeded":`...)
	out = strconv.AppendInt(out, int64(len(items)-failed), 10)
	out = append(out, `,"failed":`...)
	out = strconv.AppendInt(out, int64(failed), 10)
	out = append(out, '}')
	status := http.StatusOK
	if failed > 0 {
		status = http.StatusMultiStatus
	}
	return send(w, r, status, out, nil)
}

// BulkIn is what a route's In is for [Bulk].
var BulkIn = bulkBody{}

// appendResult appends one item's outcome. Data that cannot be said in JSON is a failure of the program's own.
func appendResult(b []byte, w http.ResponseWriter, i, status int, data any, failure error) (out []byte, ok bool) {
	begun := len(b)
	b = append(b, `{"index":`...)
	b = strconv.AppendInt(b, int64(i), 10)
	if failure == nil {
		if o, is := data.(Outcome); is {
			status, data = o.Status, o.Data
		}
		_, failure = encode(data, func(body []byte) error {
			b = append(b, `,"status":`...)
			b = strconv.AppendInt(b, int64(status), 10)
			b = append(b, `,"data":`...)
			b = append(b, body...)
			return nil
		})
		if failure == nil {
			return append(b, '}'), true
		}
		return appendResult(b[:begun], w, i, status, nil, failure)
	}
	said, status := web.AppendAPIError(nil, w, failure)
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, `,"error":`...)
	b = append(b, said...)
	return append(b, '}'), false
}

// bulkItems reads the items of a bulk request.
func bulkItems(r *http.Request) ([]json.RawMessage, error) {
	var body json.RawMessage
	if err := Decode(r, &body); err != nil {
		return nil, err
	}
	var items []json.RawMessage
	switch body = bytes.TrimSpace(body); body[0] {
	case '[':
		if err := json.Unmarshal(body, &items); err != nil {
			return nil, told(err)
		}
	case '{':
		var in struct {
			Items *[]json.RawMessage `json:"items"`
		}
		if err := json.Unmarshal(body, &in); err != nil {
			return nil, told(err)
		}
		if in.Items == nil {
			return nil, fault.At(fault.Invalid, "items", "is needed: the list of what to do").WithCode("required")
		}
		items = *in.Items
	default:
		return nil, fault.New(fault.Invalid, "the body: a list, or an object with items, is expected").WithCode("structure")
	}
	switch {
	case len(items) == 0:
		return nil, fault.At(fault.Invalid, "items", "is empty").WithCode("required")
	case len(items) > MaxBulk:
		return nil, fault.At(fault.Invalid, "items", "holds %d items, and at most %d are done at once", len(items), MaxBulk).WithCode("too-costly")
	}
	return items, nil
}

// Item reads one item of a bulk request, a JSON object, into v, as [Decode] reads a body.
func Item(item json.RawMessage, v any) error {
	if item = bytes.TrimSpace(item); len(item) == 0 || item[0] != '{' {
		return fault.New(fault.Invalid, "the item: an object is expected").WithCode("structure")
	}
	if err := json.Unmarshal(item, v); err != nil {
		return told(err)
	}
	return nil
}
