package identity

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/audit"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/web/api"
)

// exportWithin is how long an export may take: longer than other answers.
const exportWithin = 2 * time.Hour

// exporter is a [Records] that gives all that it has; *record.Store is one.
type exporter interface {
	Export(ctx context.Context, types []string, f func(*record.Version) error) error
}

// ExportTenant writes all current resources of a tenant as one moment had them, each on a line (NDJSON). Accounts are not part of it. A tenant that is
// suspended, or is to be deleted, can be exported; one whose keys are destroyed cannot.
func (s *Service) ExportTenant(ctx context.Context, id int32, w io.Writer) error {
	from, err := s.mayExport(ctx, id)
	if err != nil {
		return err
	}
	n := 0
	out := bufio.NewWriterSize(w, 1<<16)
	err = from.Export(access.With(ctx, systemFor(ctx, id)), nil, func(v *record.Version) error {
		n++
		if _, err := out.Write(v.JSON()); err != nil {
			return err
		}
		return out.WriteByte('\n')
	})
	if err == nil {
		err = out.Flush()
	}
	// Both the first tenant and the one that it is about see that it left, even in part.
	for _, tenant := range []int32{firstTenant, id} {
		e := entry(ctx, tenant, audit.Export, "export", "Tenant", int64(id), "by an administrator of the first tenant")
		e.Count = n
		if err != nil {
			e.Outcome = audit.Serious
		}
		s.ledger.Note(e)
	}
	return err
}

// mayExport says what a tenant can be exported from.
func (s *Service) mayExport(ctx context.Context, id int32) (exporter, error) {
	t, err := s.oneTenant(ctx, id)
	if err != nil {
		return nil, err
	}
	if t.Status == TenantDeleted {
		return nil, fault.New(fault.Conflict, "the tenant is deleted: what it had cannot be read any more")
	}
	from, ok := s.o.Records.(exporter)
	if !ok {
		return nil, fault.New(fault.Unavailable, "the record is not at hand")
	}
	return from, nil
}

type tenantIn struct {
	Name string `json:"name"`
}

type tenantChangeIn struct {
	Name  *string   `json:"name,omitempty"`
	Hosts *[]string `json:"hosts,omitempty" doc:"all host names by which requests are the tenant's"`
}

func (s *Service) tenantRoutes() []api.Route {
	need := api.Permission("tenants:manage")
	return []api.Route{
		{Method: "GET", Path: "/api/v1/tenants", Need: need, Summary: "The tenants beside the first", Serve: s.getTenants},
		{Method: "POST", Path: "/api/v1/tenants", Need: need, Summary: "Make a tenant; answers with the token that its first administrator sets it up with", In: tenantIn{}, Once: api.Secret, Serve: s.postTenant},
		{Method: "GET", Path: "/api/v1/tenants/{id}", Need: need, Summary: "One tenant", Serve: s.tenantDo(s.oneTenant)},
		{Method: "PATCH", Path: "/api/v1/tenants/{id}", Need: need, Summary: "Change a tenant's name or host names", In: tenantChangeIn{}, Serve: s.patchTenant},
		{Method: "POST", Path: "/api/v1/tenants/{id}/suspend", Need: need, Summary: "Serve nobody of a tenant", Serve: s.tenantDo(s.SuspendTenant)},
		{Method: "POST", Path: "/api/v1/tenants/{id}/resume", Need: need, Summary: "Serve a tenant again", Serve: s.tenantDo(s.ResumeTenant)},
		{Method: "POST", Path: "/api/v1/tenants/{id}/export", Need: need, Summary: "All current resources of a tenant, as NDJSON", Once: api.Unkeyed, Serve: s.exportTenant},
		{Method: "DELETE", Path: "/api/v1/tenants/{id}", Need: need, Summary: "Suspend a tenant, and delete it after thirty days", Serve: s.tenantDo(s.DeleteTenant)},
	}
}

func (s *Service) oneTenant(ctx context.Context, id int32) (*Tenant, error) {
	if err := mayKeepTenants(ctx); err != nil {
		return nil, err
	}
	t, err := s.readTenant(ctx, id)
	if err == nil && t == nil {
		err = errNoTenant()
	}
	return t, err
}

func tenantJSON(t *Tenant) map[string]any {
	return map[string]any{"id": strconv.Itoa(int(t.ID)), "name": t.Name, "status": t.Status, "hosts": list(t.Hosts), "deleteAt": when(t.DeleteAt),
		"createdAt": when(t.CreatedAt), "updatedAt": when(t.Updated)}
}

func (s *Service) getTenants(w http.ResponseWriter, r *http.Request) error {
	all, err := s.Tenants(r.Context())
	if err != nil {
		return err
	}
	out := make([]map[string]any, len(all))
	for i := range all {
		out[i] = tenantJSON(&all[i])
	}
	return named(w, http.StatusOK, "tenants", out)
}

func (s *Service) postTenant(w http.ResponseWriter, r *http.Request) error {
	var in tenantIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	t, token, err := s.CreateTenant(r.Context(), in.Name)
	if err != nil {
		return err
	}
	out := tenantJSON(t)
	out["setupToken"] = token
	return named(w, http.StatusCreated, "tenant", out)
}

func tenantID(r *http.Request) (int32, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 32)
	if err != nil || id < 1 {
		return 0, errNoTenant()
	}
	return int32(id), nil
}

// tenantDo serves a route that does something to the tenant of its path.
func (s *Service) tenantDo(do func(context.Context, int32) (*Tenant, error)) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		id, err := tenantID(r)
		if err != nil {
			return err
		}
		t, err := do(r.Context(), id)
		if err != nil {
			return err
		}
		return named(w, http.StatusOK, "tenant", tenantJSON(t))
	}
}

func (s *Service) patchTenant(w http.ResponseWriter, r *http.Request) error {
	var in tenantChangeIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	return s.tenantDo(func(ctx context.Context, id int32) (*Tenant, error) {
		return s.ChangeTenant(ctx, id, TenantChange(in))
	})(w, r)
}

func (s *Service) exportTenant(w http.ResponseWriter, r *http.Request) error {
	id, err := tenantID(r)
	if err != nil {
		return err
	}
	if _, err := s.mayExport(r.Context(), id); err != nil {
		return err
	}
	// It goes on beyond the deadline of other requests; a client that has gone ends it by the first line that cannot be written.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), exportWithin)
	defer cancel()
	_ = http.NewResponseController(w).SetWriteDeadline(s.now().Add(exportWithin)) // where it cannot be set, there is none
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Content-Disposition", `attachment; filename="tenant-`+strconv.Itoa(int(id))+`.ndjson"`)
	w.Header().Set("Cache-Control", "no-store")
	if err := s.ExportTenant(ctx, id, w); err != nil {
		// The connection is cut, so that nobody takes half a file for a whole one.
		s.log.ErrorContext(ctx, "an export of a tenant broke off", "tenant", id, "kind", fault.KindOf(err).String())
		panic(http.ErrAbortHandler)
	}
	return nil
}
