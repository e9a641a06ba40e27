package scim

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/nilecare/nilecare/internal/access"
)

// bulkOperation is one of a bulk request (RFC 7644 section 3.7).
type bulkOperation struct {
	Method  string          `json:"method"`
	BulkID  string          `json:"bulkId"`
	Version string          `json:"version"`
	Path    string          `json:"path"`
	Data    json.RawMessage `json:"data"`
}

// bulk runs operations one after the other, each for itself, until more than failOnErrors have failed. "bulkId:…" in a later operation
// stands for the id of what an earlier one made.
func (s *Service) bulk(w http.ResponseWriter, r *http.Request, _ int32) error {
	in, err := body(r)
	if err != nil {
		return err
	}
	if err := mustBe(in, bulkURN); err != nil {
		return err
	}
	var request struct {
		FailOnErrors int             `json:"failOnErrors"`
		Operations   []bulkOperation `json:"Operations"`
	}
	if err := convert(in, &request); err != nil {
		return failed(http.StatusBadRequest, "invalidSyntax", "the operations cannot be read")
	}
	if len(request.Operations) > maxBulk {
		return failed(http.StatusRequestEntityTooLarge, "", "a bulk request has at most %d operations", maxBulk)
	}
	ids := map[string]string{}
	out := []any{}
	failures := 0
	for _, op := range request.Operations {
		answer, ok := s.bulkOne(r, op, ids)
		out = append(out, answer)
		if !ok {
			if failures++; request.FailOnErrors > 0 && failures >= request.FailOnErrors {
				break
			}
		}
	}
	send(w, http.StatusOK, object{"schemas": []string{bulkAnswerURN}, "Operations": out})
	return nil
}

func (s *Service) bulkOne(r *http.Request, op bulkOperation, ids map[string]string) (object, bool) {
	method := strings.ToUpper(op.Method)
	out := object{"method": method}
	if op.BulkID != "" {
		out["bulkId"] = op.BulkID
	}
	refuse := func(f *failure) (object, bool) {
		out["status"], out["response"] = strconv.Itoa(f.status), f.body()
		return out, false
	}
	if f := op.check(method, s); f != nil {
		return refuse(f)
	}
	path, data := op.Path, op.Data
	for name, id := range ids {
		path = strings.ReplaceAll(path, "/bulkId:"+name, "/"+id)
		quoted, _ := json.Marshal("bulkId:" + name)
		value, _ := json.Marshal(id)
		data = bytes.ReplaceAll(data, quoted, value)
	}
	if bytes.Contains(data, []byte(`"bulkId:`)) || strings.Contains(path, "bulkId:") {
		return refuse(failed(http.StatusConflict, "invalidValue", "a bulkId names nothing that was made before"))
	}
	inner, err := http.NewRequestWithContext(r.Context(), method, "/scim/v2"+path, io.NopCloser(bytes.NewReader(data)))
	if err != nil {
		return refuse(failed(http.StatusBadRequest, "invalidPath", "the path cannot be read"))
	}
	if op.Version != "" {
		inner.Header.Set("If-Match", op.Version)
	}
	got := &recorder{header: http.Header{}, status: http.StatusOK}
	s.mux.ServeHTTP(got, inner)
	out["status"] = strconv.Itoa(got.status)
	if v := got.header.Get("ETag"); v != "" {
		out["version"] = v
	}
	if at := got.header.Get("Location"); at != "" {
		out["location"] = at
	} else if method != http.MethodPost {
		out["location"] = s.base(access.From(r.Context()).Tenant) + path
	}
	if got.status >= http.StatusBadRequest {
		out["response"] = json.RawMessage(got.body.Bytes())
		return out, false
	}
	if method == http.MethodPost {
		var made struct {
			ID string `json:"id"`
		}
		if json.Unmarshal(got.body.Bytes(), &made) == nil && op.BulkID != "" {
			ids[op.BulkID] = made.ID
		}
	}
	return out, true
}

// check says what of an operation cannot be.
func (op *bulkOperation) check(method string, s *Service) *failure {
	if !slices.Contains([]string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}, method) {
		return failed(http.StatusBadRequest, "invalidSyntax", "method must be POST, PUT, PATCH or DELETE")
	}
	if method == http.MethodPost && op.BulkID == "" {
		return failed(http.StatusBadRequest, "invalidSyntax", "a POST has a bulkId")
	}
	resource, id, one := strings.Cut(strings.TrimPrefix(op.Path, "/"), "/")
	if resource != s.users.name+"s" && resource != s.groups.name+"s" || one == (method == http.MethodPost) || one && id == "" || strings.ContainsAny(op.Path, "?#") {
		return failed(http.StatusBadRequest, "invalidPath", "path must be /Users or /Groups, with an id but for a POST")
	}
	return nil
}

// recorder keeps an answer.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (r *recorder) Header() http.Header { return r.header }

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) { r.status = status }

// Write implements http.ResponseWriter.
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }
