package fhirrest

import (
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/web"
)

// The bounds that hold where Config does not say otherwise.
const (
	DefaultMaxEntries = 10_000 // entries of a batch or transaction
	DefaultCount      = 20     // resources a page where _count is not given
	DefaultMaxCount   = 1_000  // resources a page at most: a larger _count is cut to it
)

// Config says how a Handler works. Records is required; all else has a default.
type Config struct {
	Records Records
	// Path is where the handler is mounted; "/fhir/R4" where empty. No slash at its end.
	Path string
	// Base is the server's public base URL, such as https://ehr.example.org/fhir/R4. Empty: each request's own Host with Path.
	Base string
	// Prefix is what stands before Path in the addresses of a tenant; nil: nothing.
	Prefix func(tenant int32) string
	// Version is the software's version, and Released when it was built, for the CapabilityStatement.
	Version  string
	Released time.Time
	// Log takes what goes wrong within a batch's entry without the client's fault; nil: nothing is logged.
	Log *slog.Logger
	// MaxEntries bounds a batch or transaction; the edge bounds its bytes.
	MaxEntries int
	// Count and MaxCount are the page size without _count, and the largest.
	Count, MaxCount int
	// DeleteAll lets a conditional delete remove every match, up to the store's bound; else more than one match is refused.
	DeleteAll bool
	// Audit answers for AuditEvent, which the program writes itself; nil: AuditEvents are records like others.
	Audit Audit
	// OAuth is what the CapabilityStatement says of signing in, for a base URL of this API; nil: nothing.
	OAuth func(base string) OAuth
	// Operations are served beside those of this package.
	Operations []Operation
}

// OAuth is where apps get their tokens (SMART App Launch 2.2, "Conformance").
type OAuth struct{ Authorize, Token, Register, Manage, Introspect, Revoke string }

// Handler serves the FHIR R4 API. It is safe for concurrent use.
type Handler struct {
	Config
	patterns   [places]string
	table      table
	operations []operation
	capability func() *capability
	maxAnswer  int64 // see maxAnswer
}

// New returns a handler.
func New(c Config) *Handler {
	if c.Path == "" {
		c.Path = "/fhir/R4"
	}
	c.Base = strings.TrimSuffix(c.Base, "/")
	if c.MaxEntries <= 0 {
		c.MaxEntries = DefaultMaxEntries
	}
	if c.MaxCount <= 0 {
		c.MaxCount = DefaultMaxCount
	}
	if c.Count <= 0 {
		c.Count = DefaultCount
	}
	h := &Handler{Config: c, table: endpoints(), operations: append(operations(), served(c.Operations)...), maxAnswer: maxAnswer}
	for i, p := range patterns {
		h.patterns[i] = c.Path + p
	}
	h.capability = sync.OnceValue(h.buildCapability)
	return h
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var a answer
	if err := h.handle(w, r, &a); err != nil {
		web.Fail(w, err)
	}
	a.free()
}

func (h *Handler) handle(w http.ResponseWriter, r *http.Request, a *answer) error {
	path, ok := strings.CutPrefix(r.URL.Path, h.Path)
	if !ok || path != "" && path[0] != '/' {
		return noPlace()
	}
	to, err := parseRoute(path)
	if err != nil {
		return err
	}
	web.SetRoute(w, h.patterns[to.place])
	if err := admit(r, to); err != nil {
		return err
	}
	if r.Method == http.MethodOptions {
		w.Header()["Allow"] = []string{h.table.allowed(to.place)}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	at, err := h.table.find(to.place, r.Method)
	if err != nil {
		w.Header()["Allow"] = []string{h.table.allowed(to.place)}
		return err
	}
	q := request{ctx: r.Context(), method: r.Method, route: to, wire: r, base: h.base(r)}
	if err := q.readHeaders(r); err != nil {
		return err
	}
	if err := at.run(h, &q, a); err != nil {
		return err
	}
	a.send(w, &q)
	return nil
}

// admit lets those in who are known; anybody may read what the server can do.
func admit(r *http.Request, to route) error {
	if to.place == atMetadata || r.Method == http.MethodOptions {
		return nil
	}
	if c := access.From(r.Context()); !c.Known() {
		return fault.New(fault.Unauthenticated, "sign in first: the request has no credentials")
	}
	return nil
}

// readHeaders takes from a wire request what interactions look at.
func (q *request) readHeaders(r *http.Request) error {
	if err := q.setQuery(r.URL.RawQuery); err != nil {
		return err
	}
	var err error
	if q.media, err = answerMedia(r.Header["Accept"], q.format); err != nil {
		return err
	}
	if lines := r.Header["Prefer"]; len(lines) > 0 {
		q.prefer = parsePrefer(lines)
	}
	for _, name := range [...]string{"If-Match", "If-None-Match", "If-None-Exist"} {
		if lines, ok := r.Header[name]; ok && (len(lines) != 1 || strings.TrimSpace(lines[0]) == "") && step(r.Method) != 3 {
			return fault.New(fault.Invalid, "%s stands once, and is not empty", name).WithCode("required")
		}
	}
	q.ifMatch = r.Header.Get("If-Match")
	q.ifNoneMatch = r.Header.Get("If-None-Match")
	q.ifModifiedSince = r.Header.Get("If-Modified-Since")
	q.ifNoneExist = r.Header.Get("If-None-Exist")
	_, q.onlyIfNone = r.Header["If-None-Exist"]
	return nil
}

// base is the server's base URL as this client sees it.
func (h *Handler) base(r *http.Request) string {
	prefix := ""
	if h.Prefix != nil {
		prefix = h.Prefix(access.From(r.Context()).Tenant)
	}
	if h.Base != "" {
		return strings.TrimSuffix(h.Base, h.Path) + prefix + h.Path
	}
	if r.TLS != nil {
		return "https://" + r.Host + prefix + h.Path
	}
	return "http://" + r.Host + prefix + h.Path
}

// unknownOperation refuses what no operation of this server answers to.
func (h *Handler) unknownOperation(q *request, _ *answer) error {
	return fault.New(fault.NotFound, "the operation $%.64s is not known here", q.route.operation).WithCode("not-supported")
}
