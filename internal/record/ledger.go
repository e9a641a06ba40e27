package record

import (
	"bytes"
	"context"
	"encoding/binary"
	"io/fs"
	"math"

	"github.com/nilecare/nilecare/internal/audit"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// Ledger is how a module keeps rows of its own beside the record: in the same database, sealed by the same keys.
//
// A module's tables bear tenant, created_by, created_at, updated_by, updated_at, deleted_at; its migrations come once for each engine.
type Ledger struct{ s *Store }

// Ledger returns the store's ledger.
func (s *Store) Ledger() *Ledger { return &Ledger{s} }

// View runs f on one consistent snapshot, within the tenant.
func (l *Ledger) View(ctx context.Context, tenant int32, f func(sqldb.Querier) error) error {
	return l.s.engine.View(ctx, tenant, f)
}

// Read runs f, which asks a single statement, on the last commit.
func (l *Ledger) Read(ctx context.Context, tenant int32, f func(sqldb.Querier) error) error {
	return l.s.engine.Read(ctx, tenant, f)
}

// Update runs f in a transaction and returns once that is durable. f may run more than once, each time in a transaction that has seen
// nothing of the time before; what it returns ends it without a trace. f must not call the store or the ledger.
func (l *Ledger) Update(ctx context.Context, tenant int32, f func(sqldb.Tx) error) error {
	return l.s.engine.Commit(ctx, tenant, &Job{Solo: true, Run: func(_ context.Context, tx Tx) (*Rows, error) { return nil, f(tx) }})
}

// Migrate brings a module's tables forward: the numbered goose files of fsys below "sqlite" or "postgres", as the engine is. name is
// the module's; its versions are kept apart from others'.
func (l *Ledger) Migrate(ctx context.Context, name string, fsys fs.FS) error {
	return l.s.engine.Migrate(ctx, name, fsys)
}

// Next returns a new number, larger than any before.
func (l *Ledger) Next() int64 { return l.s.numbers.Next() }

// sealMark begins what Seal returns; the version of the tenant's key follows as a uvarint.
const sealMark = "NK\x01"

// ledgerData keeps what the ledger seals apart from all else that the tenant's key seals.
func ledgerData(what string) []byte { return []byte("ledger\x00" + what) }

// Seal seals bytes by the newest version of the tenant's key; what names the place that they stand in ("user.email/12"): opened
// elsewhere, they fail. What is sealed is about 35 bytes longer, and says which version sealed it.
func (l *Ledger) Seal(ctx context.Context, tenant int32, what string, plain []byte) ([]byte, error) {
	keys, err := l.s.forTenant(ctx, tenant)
	if err != nil {
		return nil, err
	}
	num, key := keys.newest()
	return key.Seal(binary.AppendUvarint([]byte(sealMark), uint64(keyVersion(num))), plain, ledgerData(what)), nil
}

// Open opens what Seal sealed, now or by an older version of the tenant's key. A version that this process has not met yet is read
// from the database: do not call it while holding a connection.
func (l *Ledger) Open(ctx context.Context, tenant int32, what string, sealed []byte) ([]byte, error) {
	keys, err := l.s.forTenant(ctx, tenant)
	if err != nil {
		return nil, err
	}
	version, body, ok := cutVersion(sealed)
	if !ok {
		return l.openUnversioned(ctx, keys, what, sealed)
	}
	key, err := l.s.topKey(ctx, nil, keys, topNum(version))
	if err != nil {
		return nil, err
	}
	return key.Open(nil, body, ledgerData(what))
}

// openUnversioned opens what was sealed before the tenant's key had versions: by the first.
func (l *Ledger) openUnversioned(ctx context.Context, keys *tenantKeys, what string, sealed []byte) ([]byte, error) {
	key, err := l.s.topKey(ctx, nil, keys, tenantKey)
	if err != nil {
		return nil, err
	}
	return key.Open(nil, sealed, []byte(what))
}

// Stale reports whether what Seal returned was sealed by an older version of the tenant's key than the newest: sealing it
// again is the module's.
func (l *Ledger) Stale(ctx context.Context, tenant int32, sealed []byte) (bool, error) {
	keys, err := l.s.forTenant(ctx, tenant)
	if err != nil {
		return false, err
	}
	num, _ := keys.newest()
	version, _, ok := cutVersion(sealed)
	return !ok || version != keyVersion(num), nil
}

// cutVersion reads the version that sealed the bytes.
func cutVersion(sealed []byte) (version int64, body []byte, ok bool) {
	rest, ok := bytes.CutPrefix(sealed, []byte(sealMark))
	if !ok {
		return 0, nil, false
	}
	v, n := binary.Uvarint(rest)
	if n <= 0 || v == 0 || v > math.MaxInt32 {
		return 0, nil, false
	}
	return int64(v), rest[n:], true
}

// Blind returns the keyed hash of a value, for finding it without its standing in clear. what keeps hashes of different fields apart.
func (l *Ledger) Blind(ctx context.Context, tenant int32, what, value string) ([]byte, error) {
	keys, err := l.s.forTenant(ctx, tenant)
	if err != nil {
		return nil, err
	}
	return keys.blind.Named(what, value), nil
}

// Note has an entry audited, in a batch with others. In a transaction use Audit.
func (l *Ledger) Note(e audit.Entry) { l.s.note(e) }
