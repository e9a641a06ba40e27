package peer

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts and times what is asked of services. A nil *metrics counts nothing.
type metrics struct {
	requests *prometheus.CounterVec
	repeats  *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

func newMetrics(reg prometheus.Registerer, c *Client) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "nilecare_peer_requests_total", Help: "Requests to other services, by service and outcome: a status, or failed."},
			[]string{"service", "outcome"}),
		repeats: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "nilecare_peer_retries_total", Help: "Attempts that repeated a failed one, by service."}, []string{"service"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "nilecare_peer_request_duration_seconds", Help: "Time until another service's answer began, all attempts together, by service.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}}, []string{"service"}),
	}
	for _, one := range []prometheus.Collector{m.requests, m.repeats, m.duration, &addresses{c}} {
		if err := reg.Register(one); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) asked(service string, res *http.Response, err error, took time.Duration) {
	if m == nil {
		return
	}
	outcome := "failed"
	if err == nil {
		outcome = strconv.Itoa(res.StatusCode)
	}
	m.requests.WithLabelValues(service, outcome).Inc()
	m.duration.WithLabelValues(service).Observe(took.Seconds())
}

func (m *metrics) repeated(service string) {
	if m != nil {
		m.repeats.WithLabelValues(service).Inc()
	}
}

// addresses tells of each address when it is asked.
type addresses struct{ c *Client }

var (
	readyDesc   = prometheus.NewDesc("nilecare_peer_ready", "1 where an address said at last that it is ready.", []string{"service", "address"}, nil)
	breakerDesc = prometheus.NewDesc("nilecare_peer_breaker", "An address's breaker: 0 closed, 1 half open, 2 open.", []string{"service", "address"}, nil)
	busyDesc    = prometheus.NewDesc("nilecare_peer_requests_in_flight", "Requests that an address has not answered to the end.", []string{"service", "address"}, nil)
)

// Describe implements prometheus.Collector.
func (a *addresses) Describe(ch chan<- *prometheus.Desc) {
	ch <- readyDesc
	ch <- breakerDesc
	ch <- busyDesc
}

// Collect implements prometheus.Collector.
func (a *addresses) Collect(ch chan<- prometheus.Metric) {
	now := a.c.clock()
	for name, s := range a.c.services {
		for _, one := range s.all {
			is := 0.0
			if one.health.Load() == ready {
				is = 1
			}
			gauge := func(d *prometheus.Desc, v float64) {
				ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, name, one.at.Host)
			}
			gauge(readyDesc, is)
			gauge(breakerDesc, float64(one.state(now)))
			gauge(busyDesc, float64(one.busy.Load()))
		}
	}
}
