// Package jobs lets operators look at what the program does later (internal/job) and have what failed done again. It owns no types, ledgers or events; a job
// names things and holds no data of patients.
package jobs

import (
	"net/http"
	"strconv"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/audit"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/job"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/web/api"
)

// Service is the module's verbs.
type Service struct {
	runner *job.Runner
	ledger *record.Ledger
}

// New returns the service.
func New(r *job.Runner, l *record.Ledger) *Service { return &Service{r, l} }

// Routes are the module's lines of the product API.
func (s *Service) Routes() []api.Route {
	need := api.Permission("system:admin")
	return []api.Route{
		{Method: "GET", Path: "/api/v1/jobs", Need: need, Summary: "What the program does later, the newest first", Out: listOut{}, Serve: s.serveList, Params: []api.Param{
			{Name: "page", Type: api.Whole, Least: 1}, {Name: "limit", Type: api.Whole, Least: 1, Most: api.MaxLimit},
			{Name: "state", Enum: []string{job.Waiting, job.Done, job.Failed}}, {Name: "kind", Help: "such as webhook.deliver"}}},
		{Method: "POST", Path: "/api/v1/jobs/{id}/retry", Need: need, Summary: "Have a job that failed done again, at once", Serve: s.serveRetry},
	}
}

type listOut struct {
	Jobs []jobJSON `json:"jobs"`
}

type jobJSON struct {
	ID        string `json:"id"`
	Kind      string `json:"kind"`
	Key       string `json:"key"`
	State     string `json:"state" doc:"waiting, done, failed"`
	Running   bool   `json:"running" doc:"somebody is at it, or was when the program stopped"`
	At        string `json:"at" doc:"when it is meant to be done"`
	DueAt     string `json:"dueAt,omitempty" doc:"when it is begun next"`
	Attempts  int    `json:"attempts"`
	Error     string `json:"error,omitempty" doc:"why the last attempt failed"`
	CreatedBy string `json:"createdBy"`
	CreatedAt string `json:"createdAt"`
	EndedAt   string `json:"endedAt,omitempty"`
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

func (s *Service) serveList(w http.ResponseWriter, r *http.Request) error {
	page, limit, err := api.PageOf(r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	found, total, err := s.runner.List(r.Context(), job.Filter{State: q.Get("state"), Kind: q.Get("kind"), Limit: limit, Offset: (page - 1) * limit})
	if err != nil {
		return err
	}
	out := listOut{Jobs: []jobJSON{}}
	for i := range found {
		j := &found[i]
		one := jobJSON{ID: strconv.FormatInt(j.ID, 10), Kind: j.Kind, Key: j.Key, State: j.State, Running: j.Running, At: stamp(j.At), Attempts: j.Attempt, Error: j.Error,
			CreatedBy: j.CreatedBy, CreatedAt: stamp(j.Created), EndedAt: stamp(j.Ended)}
		if j.State == job.Waiting {
			one.DueAt = stamp(j.Due)
		}
		out.Jobs = append(out.Jobs, one)
	}
	return api.List(w, r, out, api.Page{Page: page, Limit: limit, Total: total})
}

func (s *Service) serveRetry(w http.ResponseWriter, r *http.Request) error {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return fault.New(fault.NotFound, "there is no job with this id")
	}
	if err := s.runner.Again(r.Context(), id); err != nil {
		return err
	}
	c := access.From(r.Context())
	s.ledger.Note(audit.Entry{Tenant: c.Tenant, Kind: audit.Admin, Action: "retry", Who: c.Who, Name: c.Name, Client: c.Client, Session: c.Session, Purpose: c.Purpose, Address: c.Address,
		Request: c.RequestID, Type: "Job", Num: id})
	return api.Answer(w, r, http.StatusOK, map[string]any{"id": r.PathValue("id"), "state": job.Waiting})
}
