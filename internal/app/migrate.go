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
	fmt.Fprintf(p.Out, "%d migrations were run, %d records were indexed anew\n", store.migrated, store.indexed)
	return store.Close()
}
