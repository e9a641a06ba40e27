package meter

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestPercentile(t *testing.T) {
	hundred := make([]float64, 100)
	for k := range hundred {
		hundred[k] = float64(k + 1)
	}
	for _, c := range []struct {
		of   []float64
		p    int
		want float64
	}{{hundred, 50, 50}, {hundred, 95, 95}, {hundred, 99, 99}, {[]float64{7}, 99, 7}, {[]float64{1, 2, 3}, 50, 2}, {nil, 50, 0}} {
		if got := Percentile(c.of, c.p); got != c.want {
			t.Errorf("p%d of %d values is %v, want %v", c.p, len(c.of), got, c.want)
		}
	}
}

func TestRunCounts(t *testing.T) {
	var ended atomic.Int32
	r, err := Run(context.Background(), "sleep", Plan{Clients: 4, Warmup: 20 * time.Millisecond, Duration: 200 * time.Millisecond},
		func(client int) (Op, func(), error) {
			return func() (int, int, error) {
				time.Sleep(5 * time.Millisecond)
				if client == 3 {
					return 0, 0, errors.New("refused")
				}
				return 2, 10, nil
			}, func() { ended.Add(1) }, nil
		})
	if err != nil {
		t.Fatal(err)
	}
	if r.Ops < 20 || r.Ops > 130 || r.Units != 2*r.Ops || r.Bytes != 10 || r.P50 < 5000 || r.Errors == 0 || r.FirstError != "refused" || ended.Load() != 4 {
		t.Fatalf("%+v, ended %d", r, ended.Load())
	}
	var out strings.Builder
	if err := Table(&out, []Result{r}); err != nil || !strings.Contains(out.String(), "first error: refused") {
		t.Fatalf("%s, %v", out.String(), err)
	}
}

func TestRunStops(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	began := time.Now()
	_, err := Run(ctx, "x", Plan{Clients: 1, Duration: time.Hour}, func(int) (Op, func(), error) {
		return func() (int, int, error) { return 1, 0, nil }, nil, nil
	})
	if !errors.Is(err, context.Canceled) || time.Since(began) > time.Minute {
		t.Fatalf("%v after %v", err, time.Since(began))
	}
}
