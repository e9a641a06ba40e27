package app

import (
	"context"
	"log/slog"
	"net/http"
	"sync"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/event"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/job"
	"github.com/nilecare/nilecare/internal/module/billing"
	"github.com/nilecare/nilecare/internal/module/clinical"
	"github.com/nilecare/nilecare/internal/module/events"
	"github.com/nilecare/nilecare/internal/module/facility"
	"github.com/nilecare/nilecare/internal/module/gateway"
	"github.com/nilecare/nilecare/internal/module/identity"
	"github.com/nilecare/nilecare/internal/module/lab"
	"github.com/nilecare/nilecare/internal/module/live"
	"github.com/nilecare/nilecare/internal/module/medication"
	"github.com/nilecare/nilecare/internal/module/notification"
	"github.com/nilecare/nilecare/internal/module/scheduling"
	"github.com/nilecare/nilecare/internal/module/webhook"
	"github.com/nilecare/nilecare/internal/web/api"
)

// care is the services of a clinic's day, and what carries facts between them.
type care struct {
	records    *flat.Records
	hub        *event.Hub
	jobs       *job.Runner
	clinical   *clinical.Service
	facility   *facility.Service
	scheduling *scheduling.Service
	notify     *notification.Service
	webhooks   *webhook.Service
	live       *live.Service
	gateway    *gateway.Service
	events     *events.Service
	lab        *lab.Service
	medication *medication.Service
	billing    *billing.Service
	peers      *inProcess
}

// sources say what changes mean. New ones stand at the end: the facts of a change are numbered through all of them.
func sources() []event.Source {
	return []event.Source{clinical.Source(), facility.Source(), scheduling.Source()}
}

// newCare makes the services on an open store.
func (p *Program) newCare(ctx context.Context, store *opened, x *platform, log *slog.Logger) (*care, error) {
	l := store.Ledger()
	base := ""
	if p.cfg.BaseURL != "" {
		base = p.cfg.BaseURL + fhirPath
	}
	c := &care{records: flat.New(store.Store, nil, base), peers: &inProcess{}}
	var err error
	if c.hub, err = event.New(ctx, event.Options{Store: store.Store, Log: log, Base: base, Instance: p.cfg.BaseURL, Sources: sources()}); err != nil {
		return nil, err
	}
	c.jobs = job.New(job.Options{Ledger: l, Tenants: store.KeyedTenants, Log: log})
	if c.clinical, err = clinical.New(ctx, clinical.Options{Records: c.records, Ledger: l, Log: log}); err != nil {
		return nil, err
	}
	if c.facility, err = facility.New(ctx, facility.Options{Records: c.records, Ledger: l, Log: log}); err != nil {
		return nil, err
	}
	notify := notification.Options{Records: c.records, Ledger: l, Jobs: c.jobs, Hub: c.hub, People: reached{x.people}, Log: log, Tenants: store.KeyedTenants}
	if err := p.carriers(&notify); err != nil {
		return nil, err
	}
	if c.notify, err = notification.New(ctx, notify); err != nil {
		return nil, err
	}
	if c.scheduling, err = scheduling.New(ctx, scheduling.Options{Records: c.records, Ledger: l, Jobs: c.jobs, Log: log}); err != nil {
		return nil, err
	}
	if c.webhooks, err = webhook.New(ctx, webhook.Options{Ledger: l, Jobs: c.jobs, Hub: c.hub, Log: log}); err != nil {
		return nil, err
	}
	c.live, err = live.New(ctx, live.Options{Hub: c.hub, Records: c.records, Log: log, Origins: p.cfg.CORSOrigins,
		Authenticate: func(ctx context.Context, r *http.Request, token string) (access.Caller, error) {
			return x.people.Authenticate(ctx, identity.Credentials{Tenant: access.From(ctx).Tenant, Bearer: token, Agent: r.UserAgent()})
		}})
	if err != nil {
		return nil, err
	}
	if c.gateway, err = gateway.New(ctx, gateway.Options{Peers: c.peers, Log: log, Services: map[string]func(context.Context) error{"nilecare": store.Ready}}); err != nil {
		return nil, err
	}
	c.events = events.New(c.hub)
	c.lab, c.medication, c.billing = lab.New(lab.Options{Records: c.records}), medication.New(medication.Options{Records: c.records}), billing.New(billing.Options{Records: c.records})
	return c, nil
}

// routes are the services' lines of the product API.
func (c *care) routes() []api.Route {
	var all []api.Route
	for _, list := range [][]api.Route{c.clinical.Routes(), c.facility.Routes(), c.scheduling.Routes(), c.notify.Routes(), c.webhooks.Routes(), c.live.Routes(), c.gateway.Routes(),
		c.events.Routes(), c.lab.Routes(), c.medication.Routes(), c.billing.Routes()} {
		all = append(all, list...)
	}
	return all
}

// tend reads events and does jobs until ctx ends.
func (c *care) tend(ctx context.Context, wg *sync.WaitGroup) {
	wg.Go(func() { c.hub.Run(ctx) })
	wg.Go(func() { c.jobs.Run(ctx) })
	wg.Go(func() { c.notify.Run(ctx) })
}
