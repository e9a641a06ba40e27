package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"text/tabwriter"

	"github.com/nilecare/nilecare/internal/app/config"
	"github.com/nilecare/nilecare/internal/module/identity"
)

func (p *Program) tenant(ctx context.Context, args []string) error {
	verb, of := args[0], ""
	if len(args) == 2 {
		of = args[1]
	}
	if (verb == "list") != (of == "") {
		return &config.UsageError{Text: "usage: nilecare tenant create NAME|list|suspend N|resume N|delete N"}
	}
	operate := p.operate
	if verb == "create" {
		operate = p.operateMaking
	}
	return operate(ctx, "tenant", url.Values{"do": {verb}, "of": {of}}, p.Out)
}

func tenantTo(ctx context.Context, store *opened, params url.Values, out io.Writer) error {
	x, err := store.services(ctx)
	if err != nil {
		return err
	}
	of := params.Get("of")
	switch params.Get("do") {
	case "list":
		all, err := x.people.Tenants(ctx)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
		fmt.Fprintln(w, "number\tstatus\tname\tdeleted at")
		for _, t := range all {
			fmt.Fprintf(w, "%d\t%s\t%s\t%s\n", t.ID, t.Status, t.Name, when(t.DeleteAt))
		}
		return w.Flush()
	case "create":
		t, setup, err := x.people.CreateTenant(ctx, of)
		if err != nil {
			return err
		}
		if err := x.ring.Start(ctx, t.ID); err != nil {
			return err
		}
		_, err = fmt.Fprintf(out, "made tenant %d; its addresses begin with %s, and this token sets its first administrator up, once:\n%s\n", t.ID, x.issuer(t.ID), setup)
		return err
	}
	do, ok := map[string]func(context.Context, int32) (*identity.Tenant, error){
		"suspend": x.people.SuspendTenant, "resume": x.people.ResumeTenant, "delete": x.people.DeleteTenant,
	}[params.Get("do")]
	id, err := strconv.ParseInt(of, 10, 32)
	if !ok || err != nil {
		return errors.New("tenant: create NAME, list, suspend N, resume N or delete N")
	}
	t, err := do(ctx, int32(id))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "tenant %d is %s\n", t.ID, t.Status)
	return err
}
