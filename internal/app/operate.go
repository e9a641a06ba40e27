package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/record"
)

// operation is what an operator does to a database as a whole. It writes its result to out. It runs in the command's own process or, where
// a server has the embedded database open, in that: see control.go.
type operation func(ctx context.Context, store *opened, params url.Values, out io.Writer) error

// operations is the table of what can be run either way.
func operations() map[string]operation {
	return map[string]operation{
		"backup": backupTo, "verify": verifyTo, "export": exportTo, "erase": eraseTo,
		"user": userTo, "apikey": apiKeyTo, "keys": keysTo, "rotate": rotateTo, "retire": retireTo, "audit-verify": auditVerifyTo, "audit-export": auditExportTo, "tenant": tenantTo, "events": eventsTo,
	}
}

// operate runs an operation: in the server that has the embedded database open, else here.
func (p *Program) operate(ctx context.Context, name string, params url.Values, out io.Writer) error {
	params = p.inTenant(params)
	if p.cfg.Database == "" {
		asked, err := askServer(ctx, p.cfg.Data, name, params, out)
		if asked {
			return err
		}
	}
	store, err := p.openExisting(ctx)
	if err != nil {
		return err
	}
	return errors.Join(runOperation(ctx, name, store, params, out), store.Close())
}

// inTenant adds the tenant that the command works on.
func (p *Program) inTenant(params url.Values) url.Values {
	out := url.Values{"tenant": {strconv.Itoa(p.cfg.Tenant)}}
	for name, values := range params {
		out[name] = values
	}
	return out
}

// runOperation runs an operation as the operator, in the tenant that the parameters name.
func runOperation(ctx context.Context, name string, store *opened, params url.Values, out io.Writer) error {
	ctx, err := asOperator(ctx, params)
	if err != nil {
		return err
	}
	return operations()[name](ctx, store, params, out)
}

func backupTo(ctx context.Context, store *opened, _ url.Values, out io.Writer) error {
	_, err := store.Backup(ctx, out)
	return err
}

// errFindings says that verify found something.
var errFindings = errors.New("verify: the database is not as it must be")

func verifyTo(ctx context.Context, store *opened, _ url.Values, out io.Writer) error {
	v, err := store.Verify(ctx, func(f record.Finding) {
		what := strings.TrimSuffix(f.Type+"/"+f.ID, "/")
		if what != "" {
			what += ": "
		}
		fmt.Fprintf(out, "%s%s\n", what, f.Problem)
	})
	if err != nil {
		return err
	}
	erased := ""
	if v.Erased > 0 {
		erased = fmt.Sprintf(", %d versions of erased patients left out", v.Erased)
	}
	fmt.Fprintf(out, "verified %d records in %d versions, %d index rows%s: %d findings\n", v.Records, v.Versions, v.IndexRows, erased, v.Findings)
	if v.Findings > 0 {
		return errFindings
	}
	return nil
}

// exportTo writes the current resources of the types, or of all, a line each.
func exportTo(ctx context.Context, store *opened, params url.Values, out io.Writer) error {
	var line []byte
	return store.Export(ctx, params["type"], func(v *record.Version) error {
		line = append(append(line[:0], v.JSON()...), '\n')
		_, err := out.Write(line)
		return err
	})
}

func eraseTo(ctx context.Context, store *opened, params url.Values, out io.Writer) error {
	n, err := store.Erase(ctx, params.Get("patient"))
	if err != nil && !fault.Is(err, fault.Gone) {
		return err
	}
	// What was told of the patient is sealed by the tenant's key. One who was erased before is asked for again, in case the program stopped here then.
	if err := errors.Join(err, forget(ctx, store.Ledger(), "Patient/"+params.Get("patient"))); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(map[string]int{"erased": n})
}
