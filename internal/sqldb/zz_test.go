package sqldb_test

import (
	"context"
	"testing"

	"github.com/nilecare/nilecare/internal/sqldb"
)

func TestZZ(t *testing.T) {
	db := open(t, 2)
	ctx0 := context.Background()
	ctx, cancel := context.WithCancel(ctx0)
	errs := together(db,
		func() error { return put(db, "before", 1) },
		func() error {
			return db.Update(ctx, func(tx sqldb.Tx) error {
				t.Log("committed before:", keys(t, db))
				cancel()
				_, err := tx.Exec(ctx, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) INSERT INTO kept SELECT 'bad' || i, i FROM n")
				t.Log(err)
				m := map[string]int{}
				t.Log(readKeys(tx, m), m)
				return err
			})
		},
		func() error { return put(db, "after", 2) },
	)
	t.Log(errs, keys(t, db))
}
