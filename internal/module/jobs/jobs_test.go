package jobs_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/job"
	"github.com/nilecare/nilecare/internal/module/jobs"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/storetest"
	"github.com/nilecare/nilecare/internal/web"
	"github.com/nilecare/nilecare/internal/web/api"
)

func TestOperatorsSeeJobsAndHaveFailedOnesDoneAgain(t *testing.T) {
	storetest.Each(t, record.Options{}, func(t *testing.T, store *record.Store) {
		ctx, cancel := context.WithCancel(context.Background())
		l := store.Ledger()
		if err := l.Migrate(ctx, job.Module, job.Migrations()); err != nil {
			t.Fatal(err)
		}
		r := job.New(job.Options{Ledger: l, Log: slog.New(slog.DiscardHandler), Poll: 5 * time.Millisecond, Tenants: func(context.Context) ([]int32, error) { return []int32{1}, nil }})
		good := make(chan struct{})
		r.Handle("test", job.Handler{Before: func(context.Context, job.Job) (any, error) {
			select {
			case <-good:
				return nil, nil
			default:
				return nil, job.Never(errors.New("a secret"))
			}
		}})
		done := make(chan struct{})
		go func() { defer close(done); r.Run(ctx) }()
		t.Cleanup(func() { cancel(); <-done })
		h, err := api.New(jobs.New(r, l).Routes())
		if err != nil {
			t.Fatal(err)
		}
		edge, err := web.NewEdge(web.Options{Authenticate: func(_ context.Context, r *http.Request) (access.Caller, error) {
			if web.Bearer(r) == "operator" {
				return access.System(1), nil
			}
			return access.Anonymous(), nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		serve := edge.Wrap(h)
		do := func(who, method, path string) (int, map[string]any, string) {
			q := httptest.NewRequest(method, path, nil)
			q.Header.Set("Authorization", "Bearer "+who)
			w := httptest.NewRecorder()
			serve.ServeHTTP(w, q)
			var body map[string]any
			_ = json.Unmarshal(w.Body.Bytes(), &body)
			return w.Code, body, w.Body.String()
		}
		until := func(what, path string) map[string]any {
			t.Helper()
			for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
				_, body, _ := do("operator", "GET", path)
				if list := body["data"].(map[string]any)["jobs"].([]any); len(list) == 1 {
					return list[0].(map[string]any)
				}
			}
			t.Fatalf("waited in vain: %s", what)
			return nil
		}
		if err := l.Update(ctx, 1, func(tx sqldb.Tx) error { return job.Put(ctx, tx, 1, job.Job{ID: l.Next(), Kind: "test", Key: "a"}) }); err != nil {
			t.Fatal(err)
		}
		j := until("it fails", "/api/v1/jobs?state=failed&kind=test")
		if j["attempts"] != 1.0 || strings.Contains(j["error"].(string), "secret") {
			t.Errorf("%v", j)
		}
		id := j["id"].(string)
		for path, want := range map[string]int{"GET /api/v1/jobs": 401, "POST /api/v1/jobs/" + id + "/retry": 401} {
			method, p, _ := strings.Cut(path, " ")
			if got, _, raw := do("", method, p); got != want {
				t.Errorf("%s: %d %s", path, got, raw)
			}
		}
		if got, _, raw := do("operator", "GET", "/api/v1/jobs?state=lost"); got != 400 {
			t.Errorf("%d %s", got, raw)
		}
		close(good)
		if got, _, raw := do("operator", "POST", "/api/v1/jobs/"+id+"/retry"); got != 200 {
			t.Errorf("%d %s", got, raw)
		}
		until("it is done", "/api/v1/jobs?state=done")
		if got, _, _ := do("operator", "POST", "/api/v1/jobs/"+id+"/retry"); got != 409 {
			t.Errorf("a job that is done: %d", got)
		}
		if got, _, _ := do("operator", "POST", "/api/v1/jobs/1/retry"); got != 404 {
			t.Errorf("no job: %d", got)
		}
	})
}
