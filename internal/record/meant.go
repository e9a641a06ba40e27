package record

import (
	"context"

	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/def"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// Meant returns the type and the number of the record that a literal reference means ("Patient/12", relative or below the server's own base URL), for rules
// and others who hold a transaction or a snapshot of the tenant. One record can be meant by two ids, its own and its number: a ledger that must not be
// deceived keeps numbers. ok is false for a reference to elsewhere, a fragment, and an id that nothing ever bore or was referred to by.
func (l *Ledger) Meant(ctx context.Context, q sqldb.Querier, tenant int32, ref string) (typ string, num int64, ok bool, err error) {
	typ, id, ok := fhir.SplitReference(ref, l.s.base)
	if !ok {
		return "", 0, false, nil
	}
	t := def.Lookup(typ)
	if t == nil || t.Num == 0 {
		return "", 0, false, nil
	}
	num, ok, err = l.s.numOf(ctx, q, false, tenant, t.Num, id)
	return typ, num, ok, err
}
