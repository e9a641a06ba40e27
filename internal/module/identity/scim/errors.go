package scim

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/web"
)

// failure is an error in SCIM's own form (RFC 7644 section 3.12).
type failure struct {
	status int
	typ    string // scimType, "" for none
	detail string
}

// Error implements error.
func (f *failure) Error() string { return f.detail }

func failed(status int, typ, format string, args ...any) *failure {
	return &failure{status, typ, fmt.Sprintf(format, args...)}
}

// failureOf puts any error into SCIM's form. What has no kind tells nothing.
func failureOf(err error) *failure {
	var own *failure
	if errors.As(err, &own) {
		return own
	}
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind == fault.Internal {
		return failed(http.StatusInternalServerError, "", "an internal error; the log tells more")
	}
	out := failed(web.StatusOf(f.Kind), "", "%s", f.Error())
	switch f.Kind {
	case fault.Invalid, fault.Unprocessable:
		out.status, out.typ = http.StatusBadRequest, "invalidValue"
	case fault.Conflict:
		out.typ = "uniqueness"
	case fault.TooCostly:
		out.typ = "tooMany"
	}
	return out
}

func (f *failure) body() map[string]any {
	m := map[string]any{"schemas": []string{errorURN}, "status": strconv.Itoa(f.status), "detail": f.detail}
	if f.typ != "" {
		m["scimType"] = f.typ
	}
	return m
}

// send answers in SCIM's media type.
func send(w http.ResponseWriter, status int, v any) {
	h := w.Header()
	h.Set("Content-Type", "application/scim+json; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	if v == nil {
		w.WriteHeader(status)
		return
	}
	body, err := json.Marshal(v)
	if err != nil {
		f := failureOf(err)
		status, body = f.status, []byte(`{"schemas":["`+errorURN+`"],"status":"500"}`)
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that has gone away cannot be told so
}
