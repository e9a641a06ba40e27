package app

import (
	"context"
	"fmt"
	"net"
	"time"
)

// welcome says where to look, how to sign in, and what to try. What it tells once it never tells again.
func (p *Program) welcome(ctx context.Context, x *platform, made *demoAccounts, listeners []net.Listener, took time.Duration) error {
	base := x.root + fhirPath
	if p.shape.split() {
		p.sayShape(listeners, took)
		if !p.shape.runs("auth") {
			return nil
		}
		return p.setUp(ctx, x)
	}
	fmt.Fprintf(p.Out, `nilecare %s serves FHIR R4 on %s (ready after %d ms)

  what it can do         %s/metadata
  the product's API      %s/api/v1/openapi.json
  health and figures     %s/healthz  /readyz  /metrics
`, p.Version, base, took.Milliseconds(), base, x.root, x.root)
	if p.cfg.InsecureNoAuth {
		fmt.Fprint(p.Out, "\nNobody has to sign in: everybody on this machine may do everything (insecure-no-auth).\n")
		p.questions(base, "")
		return nil
	}
	if made != nil {
		made.show(p)
		fmt.Fprintf(p.Out, "\nTry, in another terminal:\n\n  export NILECARE_KEY=%s\n", made.key)
		p.questions(base, ` -H "Authorization: Bearer $NILECARE_KEY"`)
		return nil
	}
	if err := p.setUp(ctx, x); err != nil {
		return err
	}
	fmt.Fprint(p.Out, "\nCtrl-C stops it.\n")
	return nil
}

// sayShape says which services the process is, and where.
func (p *Program) sayShape(listeners []net.Listener, took time.Duration) {
	for i, name := range p.shape.names {
		fmt.Fprintf(p.Out, "nilecare %s serves %s on %s (ready after %d ms)\n", p.Version, name, listeners[i].Addr(), took.Milliseconds())
	}
}

// setUp tells how the first administrator is made, where there is none.
func (p *Program) setUp(ctx context.Context, x *platform) error {
	if p.cfg.InsecureNoAuth {
		return nil
	}
	has, err := x.people.HasAdmin(ctx, 1)
	if err != nil {
		return err
	}
	if !has {
		setup, err := x.people.SetupToken(ctx, 1)
		if err != nil {
			return err
		}
		fmt.Fprintf(p.Out, `
Nobody can sign in yet. Make the first administrator with this token, which works once:

  curl -X POST %s/api/v1/auth/setup -H 'Content-Type: application/json' \
       -d '{"token":"%s","email":"you@example.org","password":"…","firstName":"…","lastName":"…"}'

or, on this machine: nilecare user create --email you@example.org --role admin --password-file FILE
`, x.root, setup)
	}
	return nil
}

func (p *Program) questions(base, with string) {
	fmt.Fprintln(p.Out)
	for _, line := range tryThese {
		fmt.Fprintf(p.Out, "  curl%s '%s%s'\n", with, base, line)
	}
	fmt.Fprint(p.Out, "\nCtrl-C stops it.\n")
}

// tryThese are questions that the synthetic hospital has an answer to.
var tryThese = [...]string{
	"/Patient?name=ahmed&_elements=name,birthDate&_pretty=true",
	"/Patient?_has:Condition:patient:code=http://hl7.org/fhir/sid/icd-10|E11.9&_summary=count",
	"/Observation?code=http://loinc.org|4548-4&value-quantity=gt8&_include=Observation:patient&_pretty=true",
	"/Appointment?status=booked&_sort=date&_count=3&_pretty=true",
}
