package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"time"

	"github.com/nilecare/nilecare/internal/app/config"
	ledger "github.com/nilecare/nilecare/internal/audit"
)

type auditFlags struct{ anchors string }

func buildAudit(p *Program) ([]config.Setting, func(context.Context, []string) error) {
	f := &auditFlags{}
	own := []config.Setting{{Name: "anchors", Value: config.Text(&f.anchors), Help: "file of signed checkpoints that was kept elsewhere; empty is audit.anchors in the data folder"}}
	return own, func(ctx context.Context, args []string) error {
		switch {
		case args[0] == "verify" && len(args) == 2:
			return p.verifyAuditFile(ctx, f, args[1])
		case args[0] == "verify":
			return p.operate(ctx, "audit-verify", url.Values{"anchors": {f.anchors}}, p.Out)
		case args[0] == "export" && len(args) == 2 && args[1] != "-":
			n, err := writeWhole(args[1], func(w io.Writer) error { return p.operate(ctx, "audit-export", nil, w) })
			if err == nil {
				fmt.Fprintf(p.Out, "wrote %s (%d bytes); `nilecare audit verify %s` proves it anywhere\n", args[1], n, args[1])
			}
			return err
		case args[0] == "export":
			return p.operate(ctx, "audit-export", nil, p.Out)
		}
		return &config.UsageError{Text: "usage: nilecare audit verify|export [FILE]"}
	}
}

// errTampered says that the audit is not as it was sealed.
var errTampered = errors.New("audit: something was changed")

// verifyAuditFile verifies an exported audit, which needs no database.
func (p *Program) verifyAuditFile(ctx context.Context, f *auditFlags, path string) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	var anchors []ledger.Anchor
	if f.anchors != "" {
		if anchors, _, err = ledger.ReadAnchors(f.anchors, int32(p.cfg.Tenant)); err != nil {
			return err
		}
	}
	report, err := ledger.VerifyFile(ctx, in, anchors)
	if err != nil {
		return err
	}
	if err := report.Print(p.Out); err != nil {
		return err
	}
	if !report.OK() {
		return errTampered
	}
	return nil
}

func auditVerifyTo(ctx context.Context, store *opened, params url.Values, out io.Writer) error {
	anchors := params.Get("anchors")
	if anchors == "" {
		anchors = store.program.anchorsFile()
	}
	if err := store.log.Flush(ctx); err != nil {
		return err
	}
	ok, err := ledger.VerifyTo(ctx, store.Ledger(), tenantOf(ctx), anchors, out)
	if err == nil && !ok {
		err = errFindings
	}
	return err
}

func auditExportTo(ctx context.Context, store *opened, _ url.Values, out io.Writer) error {
	if err := store.log.Flush(ctx); err != nil {
		return err
	}
	anchors, _, err := ledger.ReadAnchors(store.program.anchorsFile(), tenantOf(ctx))
	if err != nil {
		return err
	}
	return ledger.ExportTo(ctx, store.Ledger(), tenantOf(ctx), anchors, time.Now(), out)
}
