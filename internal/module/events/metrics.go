package events

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/event"
)

// metrics are figures of the readers, asked when somebody scrapes them. They name readers alone: tenants are added up.
type metrics struct {
	hub     *event.Hub
	tenants func(context.Context) ([]int32, error)
	behind  *prometheus.Desc
	dead    *prometheus.Desc
	failing *prometheus.Desc
}

// Metrics are figures of the readers over all tenants: how many changes they are behind (at most 100,000 counted a tenant), their dead letters, and how long the one that
// is stuck longest has been. Every process on a database tells the same ones.
func (s *Service) Metrics() prometheus.Collector {
	labels := []string{"reader"}
	return &metrics{
		hub: s.hub, tenants: s.store.KeyedTenants,
		behind:  prometheus.NewDesc("nilecare_event_reader_behind", "Changes that a reader of events has not looked at.", labels, nil),
		dead:    prometheus.NewDesc("nilecare_event_dead_letters", "Events that a reader could not handle and that wait for an operator.", labels, nil),
		failing: prometheus.NewDesc("nilecare_event_reader_failing_seconds", "How long a reader has been trying an event in vain; 0: it is not.", labels, nil),
	}
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(c chan<- *prometheus.Desc) {
	c <- m.behind
	c <- m.dead
	c <- m.failing
}

// sum is the figures of one reader.
type sum struct{ behind, dead, failing float64 }

// Collect implements prometheus.Collector.
func (m *metrics) Collect(c chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	tenants, err := m.tenants(ctx)
	if err != nil {
		return // the database is away: the figures that need none are told all the same
	}
	sums := map[string]sum{}
	for _, t := range tenants {
		found, _, err := m.hub.Readers(access.With(ctx, access.System(t)))
		if err != nil {
			continue // a tenant whose keys are destroyed has nothing to read
		}
		for _, x := range found {
			s := sums[x.Name]
			s.behind += float64(x.Behind)
			s.dead += float64(x.Letters)
			if !x.Failing.IsZero() {
				s.failing = max(s.failing, time.Since(x.Failing).Seconds())
			}
			sums[x.Name] = s
		}
	}
	for name, s := range sums {
		c <- prometheus.MustNewConstMetric(m.behind, prometheus.GaugeValue, s.behind, name)
		c <- prometheus.MustNewConstMetric(m.dead, prometheus.GaugeValue, s.dead, name)
		c <- prometheus.MustNewConstMetric(m.failing, prometheus.GaugeValue, s.failing, name)
	}
}
