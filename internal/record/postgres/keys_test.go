package postgres_test

import (
	"os"
	"testing"

	"github.com/nilecare/nilecare/internal/record/recordtest"
)

func TestUpgradeKeys(t *testing.T) {
	sql, err := os.ReadFile("migration/00003_keys.sql")
	if err != nil {
		t.Fatal(err)
	}
	recordtest.UpgradeKeys(t, place(t), string(sql))
}
