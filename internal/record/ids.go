package record

import (
	"context"
	"strconv"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/ident"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// firstNumber is the smallest id of digits that is read as a record's number. Shorter ones are names like any other.
const firstNumber = 1 << 40

// numberOf reads an id that is a record's number in decimal.
func numberOf(id string) (int64, bool) {
	if len(id) < 13 || len(id) > 16 || id[0] < '1' || id[0] > '9' {
		return 0, false
	}
	n, err := strconv.ParseInt(id, 10, 64)
	return n, err == nil && n >= firstNumber && n <= ident.Max
}

// fhirID returns the FHIR id of a record.
func fhirID(num int64, fid string) string {
	if fid != "" {
		return fid
	}
	return strconv.FormatInt(num, 10)
}

// numOf returns the number that an id of the type stands for; false where nothing bears or was ever referred to by it.
// settled says that q sees only what is committed.
func (s *Store) numOf(ctx context.Context, q sqldb.Querier, settled bool, tenant int32, typ int, id string) (int64, bool, error) {
	if n, ok := numberOf(id); ok {
		return n, true, nil
	}
	k := aliasKey{tenant, typ, id}
	if n, ok := s.aliases.get(k); ok {
		return n, true, nil
	}
	var num int64
	found, err := sqldb.QueryRow(ctx, q, []any{&num}, "SELECT num FROM alias WHERE tenant = $1 AND type = $2 AND fid = $3", tenant, typ, id)
	if err != nil || !found {
		return 0, false, err
	}
	if settled {
		s.aliases.put(k, num)
	}
	return num, true, nil
}

// idsAtATime is how many ids one statement asks for.
const idsAtATime = 200

// numsOf is numOf for many ids of one type, on a snapshot or in a transaction; ids that nothing bears are left out.
func (s *Store) numsOf(ctx context.Context, q sqldb.Querier, tenant int32, typ int, ids []string) (map[string]int64, error) {
	nums := make(map[string]int64, len(ids))
	var ask []string
	for _, id := range ids {
		if n, ok := numberOf(id); ok {
			nums[id] = n
		} else if n, ok := s.aliases.get(aliasKey{tenant, typ, id}); ok {
			nums[id] = n
		} else {
			ask = append(ask, id)
		}
	}
	for len(ask) > 0 {
		n := min(len(ask), idsAtATime)
		if err := s.askNums(ctx, q, tenant, typ, ask[:n], nums); err != nil {
			return nil, err
		}
		ask = ask[n:]
	}
	return nums, nil
}

func (s *Store) askNums(ctx context.Context, q sqldb.Querier, tenant int32, typ int, ids []string, nums map[string]int64) error {
	b := &sqldb.Builder{}
	b.SQL("SELECT fid, num FROM alias WHERE tenant = ").Arg(tenant).SQL(" AND type = ").Int(int64(typ)).SQL(" AND fid IN (")
	for i, id := range ids {
		if i > 0 {
			b.SQL(",")
		}
		b.Arg(id)
	}
	b.SQL(")")
	return sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
		var id string
		var num int64
		err := rows.Scan(&id, &num)
		nums[id] = num
		return err
	}, b.String(), b.Args...)
}

// mayName refuses an id that the server itself may give out one day.
func (s *Store) mayName(id string) error {
	if n, ok := numberOf(id); ok && n >= ident.FirstAt(s.clock()) {
		return fault.At(fault.Unprocessable, "id", "the id is in the range of numbers that the server gives out; choose another").WithCode("business-rule")
	}
	return nil
}
