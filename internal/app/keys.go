package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/nilecare/nilecare/internal/app/config"
	"github.com/nilecare/nilecare/internal/seal"
)

type keysFlags struct{ reseal bool }

func buildKeys(p *Program) ([]config.Setting, func(context.Context, []string) error) {
	f := &keysFlags{}
	own := []config.Setting{
		{Name: "reseal", Default: "false", Value: config.Bool(&f.reseal), Help: "rotate tenant: also seal anew what the older versions sealed and no patient's key does"},
	}
	return own, func(ctx context.Context, args []string) error {
		switch {
		case len(args) == 0:
			return p.operate(ctx, "keys", nil, p.Out)
		case len(args) == 2 && args[0] == "rotate":
			params := url.Values{"what": {args[1]}}
			if f.reseal {
				params.Set("reseal", "true")
			}
			return p.operate(ctx, "rotate", params, p.Out)
		case len(args) == 1 && args[0] == "retire":
			return p.operate(ctx, "retire", nil, p.Out)
		}
		return &config.UsageError{Text: "usage: nilecare keys [rotate root|tenant|signing] or nilecare keys retire"}
	}
}

// keysTo shows every key and its state, never a key itself.
func keysTo(ctx context.Context, store *opened, _ url.Values, out io.Writer) error {
	x, err := store.services(ctx)
	if err != nil {
		return err
	}
	states, err := store.KeyStates(ctx)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "key\tid\tstate\tmade\twraps")
	for _, k := range states {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\n", k.Kind, k.ID, k.State, when(k.Made), k.Wraps)
	}
	signing, err := x.ring.States(ctx, tenantOf(ctx))
	if err != nil {
		return err
	}
	for _, k := range signing {
		fmt.Fprintf(w, "signing %s\t%s\t%s\t%s\t\n", k.Alg, k.Kid, k.State, when(k.Made))
	}
	return w.Flush()
}

func rotateTo(ctx context.Context, store *opened, params url.Values, out io.Writer) error {
	x, err := store.services(ctx)
	if err != nil {
		return err
	}
	progress := func(n int) { fmt.Fprintf(out, "%d keys are wrapped anew\n", n) }
	switch params.Get("what") {
	case "signing":
		if err := x.ring.Rotate(ctx, tenantOf(ctx)); err != nil {
			return err
		}
		_, err = fmt.Fprintln(out, "the next signing keys sign from now on; the ones before are published until their tokens have expired")
		return err
	case "tenant":
		n, err := store.RotateTenant(ctx, progress)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "a new version of the tenant's key seals from now on; %d patients' keys are wrapped by it\n", n)
		if params.Get("reseal") == "true" {
			return resealTo(ctx, x, out)
		}
		return nil
	case "root":
		return store.rotateRoot(ctx, progress, out)
	}
	return errors.New("keys rotate: root, tenant or signing")
}

func resealTo(ctx context.Context, x *platform, out io.Writer) error {
	n, err := x.store.ResealTenant(ctx, nil)
	if err != nil {
		return err
	}
	m, err := x.ring.Reseal(ctx, tenantOf(ctx))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%d bodies and %d signing keys are sealed anew\n", n, m)
	return err
}

// rotateRoot has a fresh root key wrap the tenants' keys, and the key of the embedded file where that is sealed.
func (o *opened) rotateRoot(ctx context.Context, progress func(int), out io.Writer) error {
	n, err := o.RotateRoot(ctx, progress)
	if err != nil {
		return err
	}
	path := filepath.Join(o.program.cfg.Data, fileKeyName)
	if _, err := os.Stat(path); err == nil {
		root, err := seal.FileRoot(o.program.rootKeyFile(), false)
		if err != nil {
			return err
		}
		if err := seal.RewrapFile(path, root, []byte(fileKeyData)); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(out, "a new root key wraps %d keys; keep a copy of %s apart from the backups, as it is now; `nilecare keys retire` takes the older ones out of it\n", n, o.program.rootKeyFile())
	return err
}

// retireTo takes root keys that wrap nothing any more out of the file.
func retireTo(ctx context.Context, store *opened, _ url.Values, out io.Writer) error {
	var others [][]byte
	wrapped, err := os.ReadFile(filepath.Join(store.program.cfg.Data, fileKeyName))
	if err == nil {
		others = append(others, wrapped)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	gone, err := store.RetireRoot(ctx, others...)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%d older root keys are out of the file: backups that were made before need a copy of them\n", len(gone))
	return err
}
