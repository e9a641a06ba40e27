package app

import (
	"context"
	"fmt"
)

// migrate brings the database's schema forward, which opening it does, and says what was done.
func (p *Program) migrate(ctx context.Context, _ []string) error {
	store, err := p.open(ctx)
	if err != nil {
		return err
	}
	if store.migrated == 0 {
		fmt.Fprintln(p.Out, "the schema is up to date")
	} else {
		fmt.Fprintf(p.Out, "%d migrations were run\n", store.migrated)
	}
	return store.Close()
}
