package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nilecare/nilecare/internal/app/importer"
	"github.com/nilecare/nilecare/internal/hospital"
)

// The synthetic hospital that is loaded: of which seed, and how many patients.
const (
	demoSeed     = 7000
	demoPatients = 60
)

// demo loads the synthetic hospital where the settings ask for it and the database is empty.
//
// It returns the accounts that it made, nil where the hospital stood already.
func (p *Program) demo(ctx context.Context, store *opened, x *platform, h http.Handler) (*demoAccounts, error) {
	if p.cfg.Demo == "off" {
		return nil, nil
	}
	fresh, err := p.loadDemo(ctx, store, h)
	if err != nil || !fresh || p.cfg.InsecureNoAuth {
		return nil, err
	}
	made, err := makeDemoAccounts(ctx, x)
	if err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	return made, nil
}

// loadDemo loads the hospital; fresh says that it did.
func (p *Program) loadDemo(ctx context.Context, store *opened, h http.Handler) (fresh bool, err error) {
	mark := filepath.Join(p.cfg.Data, "demo.loading")
	if _, err := os.Stat(mark); err == nil {
		return false, fmt.Errorf("demo: loading the synthetic hospital was cut off before; start again with an empty data folder, or remove %s to keep what there is", mark)
	}
	empty, err := store.empty(ctx)
	if err != nil {
		return false, err
	}
	if !empty {
		if p.cfg.Demo == "on" {
			return false, errors.New("demo: the database is not empty; --demo=auto leaves such a one as it is")
		}
		return false, nil
	}
	if err := writeDurably(mark, []byte("the synthetic hospital is being loaded\n")); err != nil && !errors.Is(err, fs.ErrExist) {
		return false, fmt.Errorf("demo: %w", err)
	}
	fmt.Fprintf(p.Err, "loading a synthetic hospital of %d patients …\n", demoPatients)
	if err := loadHospital(ctx, importer.InProcess(h)); err != nil {
		return false, fmt.Errorf("demo: %w", err)
	}
	return true, os.Remove(mark)
}

// loadHospital sends the house first, since the patients' Bundles refer to it, then the patients side by side.
func loadHospital(ctx context.Context, d importer.Doer) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	first := true
	for b := range hospital.Living(demoSeed, demoPatients, time.Now()) {
		if ctx.Err() != nil || gctx.Err() != nil {
			break
		}
		if first {
			first = false
			if err := post(ctx, d, b); err != nil {
				return err
			}
			continue
		}
		g.Go(func() error { return post(gctx, d, b) })
	}
	return errors.Join(g.Wait(), ctx.Err())
}

func post(ctx context.Context, d importer.Doer, bundle []byte) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://localhost"+fhirPath, bytes.NewReader(bundle))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/fhir+json")
	r.Header.Set("Prefer", "return=minimal")
	resp, err := d.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	return errors.Join(fmt.Errorf("status %d: %s", resp.StatusCode, text), err)
}
