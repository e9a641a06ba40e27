package peer

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/web"
)

// mostFailure is how many bytes of a failure's answer are read.
const mostFailure = 64 << 10

// failure is what the two APIs, and what stands beside them, answer where they fail.
type failure struct {
	Error json.RawMessage `json:"error"`
	// of an OperationOutcome
	Issue []struct {
		Severity, Code, Diagnostics string
		Expression                  []string
	} `json:"issue"`
	Message string `json:"message"`
}

// Fault reads an answer of 400 and above back into the failure that the other service had: its kind, its issues with their fields, its code, and when to try again. nil
// for other answers, whose body it leaves alone. It reads the body of a failure, and closes it.
func Fault(res *http.Response) error {
	if res.StatusCode < http.StatusBadRequest {
		return nil
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, mostFailure))
	var f failure
	if err != nil || json.Unmarshal(text, &f) != nil {
		f = failure{} // the status is all there is
	}
	out := f.told(res.StatusCode)
	if after, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && after > 0 {
		return web.Later(out, time.Duration(after)*time.Second)
	}
	return out
}

func (f *failure) told(status int) *fault.Error {
	var said struct {
		Code, Message string
		Details       []struct{ Field, Message string }
	}
	_ = json.Unmarshal(f.Error, &said) // outside of the two APIs it is a word
	code := ""
	if len(f.Issue) > 0 {
		code = f.Issue[0].Code
	}
	out := fault.New(web.KindOf(status, code), "%s", first(said.Message, f.Message, http.StatusText(status)))
	switch {
	case len(f.Issue) > 0:
		out.Issues = out.Issues[:0]
		for _, i := range f.Issue {
			one := fault.Issue{Severity: i.Severity, Code: i.Code, Diagnostics: i.Diagnostics}
			if len(i.Expression) > 0 {
				one.Expression = i.Expression[0]
			}
			out.Issues = append(out.Issues, one)
		}
	case len(said.Details) > 0:
		usual := out.Issues[0]
		out.Issues = out.Issues[:0]
		for _, d := range said.Details {
			usual.Expression, usual.Diagnostics = d.Field, d.Message
			out.Issues = append(out.Issues, usual)
		}
	}
	switch {
	case status == http.StatusLocked:
		out.Issues[0].Code = web.Locked
	case said.Code != "" && !web.UsualCode(out.Kind, said.Code):
		out.Issues[0].Code = said.Code
	}
	return out
}

func first(list ...string) string {
	for _, s := range list {
		if s != "" {
			return s
		}
	}
	return ""
}
