package app

import (
	"context"
	"log/slog"
	"slices"
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
	"github.com/nilecare/nilecare/internal/module/jobs"
	"github.com/nilecare/nilecare/internal/module/lab"
	"github.com/nilecare/nilecare/internal/module/live"
	"github.com/nilecare/nilecare/internal/module/medication"
	"github.com/nilecare/nilecare/internal/module/notification"
	"github.com/nilecare/nilecare/internal/module/scheduling"
	"github.com/nilecare/nilecare/internal/module/webhook"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/web/api"
)

// care is the services of a clinic's day, and what carries facts between them.
type care struct {
	records    *flat.Records
	runs       func(service string) bool // in this process
	hub, idle  *event.Hub                // idle is that of services which are served elsewhere: nothing is read for it
	jobs, rest *job.Runner               // as hub and idle
	clinical   *clinical.Service
	facility   *facility.Service
	scheduling *scheduling.Service
	notify     *notification.Service
	webhooks   *webhook.Service
	live       *live.Service
	gateway    *gateway.Service
	events     *events.Service
	operations *jobs.Service
	endKafka   func()
	lab        *lab.Service
	medication *medication.Service
	billing    *billing.Service
	peers      *inProcess
}

// sources say what changes mean. New ones stand at the end: the facts of a change are numbered through all of them.
func sources(l *record.Ledger) []event.Source {
	return []event.Source{clinical.Source(), facility.Source(l), scheduling.Source(), live.Source()}
}

// newCare makes the services on an open store.
func (p *Program) newCare(ctx context.Context, store *opened, x *platform, log *slog.Logger) (*care, error) {
	l := store.Ledger()
	base := ""
	if p.cfg.BaseURL != "" {
		base = p.cfg.BaseURL + fhirPath
	}
	c := &care{records: flat.New(store.Store, nil, base), peers: &inProcess{}, runs: p.shape.runs}
	var err error
	facts := event.Options{Store: store.Store, Log: log, Base: base, Instance: p.cfg.BaseURL, Sources: sources(l)}
	if c.hub, err = event.New(ctx, facts); err != nil {
		return nil, err
	}
	if c.idle, err = event.New(ctx, facts); err != nil {
		return nil, err
	}
	if c.endKafka, err = p.kafka(c.hubOf("notification")); err != nil {
		return nil, err
	}
	later := job.Options{Ledger: l, Tenants: store.KeyedTenants, Log: log}
	c.jobs, c.rest = job.New(later), job.New(later)
	if c.clinical, err = clinical.New(ctx, clinical.Options{Records: c.records, Ledger: l, Log: log}); err != nil {
		return nil, err
	}
	if c.facility, err = facility.New(ctx, facility.Options{Records: c.records, Ledger: l, Jobs: c.jobsOf("facility"), Log: log}); err != nil {
		return nil, err
	}
	notify := notification.Options{Records: c.records, Ledger: l, Jobs: c.jobsOf("notification"), Hub: c.hubOf("notification"), People: reached{x.people}, Log: log, Tenants: store.KeyedTenants}
	if err := p.carriers(&notify); err != nil {
		return nil, err
	}
	if c.notify, err = notification.New(ctx, notify); err != nil {
		return nil, err
	}
	if c.scheduling, err = scheduling.New(ctx, scheduling.Options{Records: c.records, Ledger: l, Jobs: c.jobsOf("scheduling"), Messages: carrying{c.notify}, Log: log, Maker: x.people.Standing}); err != nil {
		return nil, err
	}
	private, err := networks("webhook-networks", p.cfg.Private)
	if err != nil {
		return nil, err
	}
	if c.webhooks, err = webhook.New(ctx, webhook.Options{Ledger: l, Jobs: c.jobsOf("notification"), Hub: c.hubOf("notification"), Log: log, Networks: private, Tenants: store.KeyedTenants,
		Agent: "nilecare-webhook/" + p.Version, Source: p.cfg.BaseURL, Disabled: c.webhookDisabled(log)}); err != nil {
		return nil, err
	}
	c.operations = jobs.New(c.jobs, l)
	c.live, err = live.New(ctx, live.Options{Hub: c.hubOf("notification"), Records: c.records, Log: log, SameOrigin: x.csrf.SameOrigin, Tenant: x.tenantOf,
		Authenticate: func(ctx context.Context, cred live.Credential) (access.Caller, error) {
			return x.people.Authenticate(ctx, identity.Credentials{Tenant: cred.Tenant, Bearer: cred.Token, APIKey: cred.APIKey, Cookie: cred.Cookie, CertFingerprint: cred.Certificate,
				Address: cred.Address, Agent: cred.Agent, Quiet: cred.Quiet})
		}})
	if err != nil {
		return nil, err
	}
	c.notify.OnNew(func(tenant int32, user int64, n notification.Told) { c.live.Notify(tenant, user, n.Event, n) })
	if c.gateway, err = gateway.New(ctx, gateway.Options{Peers: c.peers, Log: log, Services: map[string]func(context.Context) error{"nilecare": store.Ready}}); err != nil {
		return nil, err
	}
	c.events = events.New(c.hub, store.Store)
	c.lab, c.medication, c.billing = lab.New(lab.Options{Records: c.records}), medication.New(medication.Options{Records: c.records}), billing.New(billing.Options{Records: c.records})
	return c, nil
}

// hubOf is the hub for a service's readers of events: they read where the service is served.
func (c *care) hubOf(service string) *event.Hub {
	if c.runs(service) {
		return c.hub
	}
	return c.idle
}

// jobsOf is the runner for a service's jobs: they are done where the service is served. Jobs are put for it anywhere.
func (c *care) jobsOf(service string) *job.Runner {
	if c.runs(service) {
		return c.jobs
	}
	return c.rest
}

// messageRoutes are the lines of what tells people and other programs.
func (c *care) messageRoutes() []api.Route {
	return slices.Concat(c.notify.Routes(), c.webhooks.Routes(), c.live.Routes(), c.events.Routes(), c.operations.Routes())
}

// tend reads events and does jobs until ctx ends: those of the services that this process is.
func (c *care) tend(ctx context.Context, wg *sync.WaitGroup) {
	wg.Go(func() {
		c.hub.Run(ctx)
		c.endKafka()
	})
	wg.Go(func() { c.jobs.Run(ctx) })
}
