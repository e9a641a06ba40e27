package fhirrest_test

import (
	"testing"

	"github.com/nilecare/nilecare/internal/fhirrest/resttest"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/storetest"
)

func TestOnSQLite(t *testing.T) {
	resttest.Run(t, func(t *testing.T) string { return resttest.Serve(t, storetest.SQLite(t, record.Options{})) })
}

func TestOnPostgres(t *testing.T) {
	resttest.Run(t, func(t *testing.T) string { return resttest.Serve(t, storetest.Postgres(t, record.Options{})) })
}
