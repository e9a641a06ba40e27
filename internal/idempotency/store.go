package idempotency

import (
	"bytes"
	"context"
	"embed"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/audit"
	"github.com/nilecare/nilecare/internal/clock"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/web"
	"github.com/nilecare/nilecare/internal/web/api"
)

//go:embed migration
var migrations embed.FS

// Module is the name that the table's migrations are kept under.
const Module = "idempotency"

// Migrations are the table, by engine, for [record.Ledger.Migrate].
func Migrations() fs.FS { return sqldb.Migrations(migrations) }

// Kept is how long an answer is kept.
const Kept = 24 * time.Hour

// Slack is how long after a request's time limit its attempt is taken for lost.
const Slack = 30 * time.Second

// Codes of conflicts, for programs to tell them apart.
const (
	codeRunning = "IDEMPOTENCY_IN_PROGRESS"
	codeReused  = "IDEMPOTENCY_KEY_REUSED"
	codeNotKept = "IDEMPOTENCY_ANSWER_NOT_KEPT"
	codeLost    = "IDEMPOTENCY_OUTCOME_UNKNOWN"
)

// Options says what a store works with.
type Options struct {
	Ledger  *record.Ledger
	Timeout time.Duration // of a request; 0: the edge's default
	Clock   clock.Clock   // nil: the system's
}

// Store remembers the uses of keys in the database, for all processes on it.
type Store struct {
	ledger *record.Ledger
	lease  time.Duration
	clock  clock.Clock
}

// New returns a store, whose table must be there.
func New(o Options) *Store {
	if o.Clock == nil {
		o.Clock = clock.System
	}
	if o.Timeout <= 0 {
		o.Timeout = web.DefaultTimeout
	}
	return &Store{o.Ledger, o.Timeout + Slack, o.Clock}
}

var _ api.Uses = (*Store)(nil)

// row is a key's row.
type row struct {
	digest  []byte
	attempt int64
	who     string
	request []byte
	state   string
	status  int64
	answer  []byte
	until   int64
	updated int64
}

const (
	running = "running"
	done    = "done"
)

// place names what is sealed, so that it opens nowhere else.
func place(what string, name []byte) string {
	return "idempotency." + what + "/" + hex.EncodeToString(name)
}

// names are the blind indexes of a use.
func (s *Store) names(ctx context.Context, u api.Use) (name, digest []byte, err error) {
	t := u.Caller.Tenant
	if name, err = s.ledger.Blind(ctx, t, "idempotency.name", strings.Join([]string{u.Caller.Who, u.Caller.Client, u.Method, u.Path, u.Key}, "\x00")); err != nil {
		return nil, nil, err
	}
	digest, err = s.ledger.Blind(ctx, t, "idempotency.digest", string(u.Digest[:]))
	return name, digest, err
}

// Begin implements [api.Uses].
func (s *Store) Begin(ctx context.Context, u api.Use) (int64, *api.KeptAnswer, error) {
	name, digest, err := s.names(ctx, u)
	if err != nil {
		return 0, nil, err
	}
	request, err := s.ledger.Seal(ctx, u.Caller.Tenant, place("request", name), []byte(u.Caller.RequestID))
	if err != nil {
		return 0, nil, err
	}
	mine := s.ledger.Next()
	stands, err := s.take(ctx, u, name, digest, request, mine)
	if err != nil || stands == nil {
		return mine, nil, err
	}
	switch {
	case !bytes.Equal(stands.digest, digest):
		return 0, nil, fault.At(fault.Unprocessable, "Idempotency-Key", "was used for another request: a key is for one request and its repetitions").WithCode(codeReused)
	case stands.state == done && len(stands.answer) > 0:
		answer, err := s.open(ctx, u.Caller.Tenant, name, stands)
		return 0, answer, err
	case stands.state == done && stands.status == 0:
		return 0, nil, errLost()
	case stands.state == done:
		return 0, nil, fault.New(fault.Conflict, "the request with this Idempotency-Key has been done; its answer is not kept").WithCode(codeNotKept)
	case stands.until > s.clock().UnixMicro():
		return 0, nil, errRunning()
	}
	return s.takeOver(ctx, u, name, stands, request, mine)
}

func errRunning() error {
	return web.Later(fault.New(fault.Conflict, "the request with this Idempotency-Key is being done: try again").WithCode(codeRunning), 2*time.Second)
}

func errLost() error {
	return fault.New(fault.Conflict, "an earlier request with this Idempotency-Key changed records, and its answer was lost: look at what there is before asking again, with another key").WithCode(codeLost)
}

// take enters the attempt where no other stands, or one whose time is over; else it returns the row that stands.
func (s *Store) take(ctx context.Context, u api.Use, name, digest, request []byte, mine int64) (stands *row, err error) {
	tenant, now := u.Caller.Tenant, s.clock()
	err = s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		stands = nil
		n, err := tx.Exec(ctx, `INSERT INTO idempotency_use (tenant, name, digest, attempt, who, request, state, status, answer, until, created_by, created_at, updated_by, updated_at, deleted_at)
			VALUES ($1, $2, $3, $4, $5, $6, 'running', 0, $7, $8, $5, $9, $5, $9, 0)
			ON CONFLICT (tenant, name) DO UPDATE SET digest = excluded.digest, attempt = excluded.attempt, who = excluded.who, request = excluded.request, state = 'running',
				status = 0, answer = excluded.answer, until = excluded.until, created_at = excluded.created_at, updated_at = excluded.updated_at
			WHERE idempotency_use.state = 'done' AND idempotency_use.until <= $9`,
			tenant, name, digest, mine, u.Caller.Who, request, []byte{}, now.Add(s.lease).UnixMicro(), now.UnixMicro())
		if err != nil || n == 1 {
			return err
		}
		var r row
		found, err := sqldb.QueryRow(ctx, tx, []any{&r.digest, &r.attempt, &r.who, &r.request, &r.state, &r.status, &r.answer, &r.until, &r.updated},
			"SELECT digest, attempt, who, request, state, status, answer, until, updated_at FROM idempotency_use WHERE tenant = $1 AND name = $2", tenant, name)
		switch {
		case err != nil:
			return err
		case !found: // it was dropped at this moment
			return errRunning()
		}
		stands = &r
		return nil
	})
	return stands, err
}

// takeOver takes a key whose attempt was lost, unless that had changed records.
func (s *Store) takeOver(ctx context.Context, u api.Use, name []byte, lost *row, request []byte, mine int64) (int64, *api.KeptAnswer, error) {
	changed, err := s.changed(ctx, u.Caller.Tenant, name, lost)
	if err != nil {
		return 0, nil, err
	}
	now, state, until := s.clock(), running, s.clock().Add(s.lease)
	if changed {
		state, until = done, now.Add(Kept)
	}
	var n int64
	err = s.ledger.Update(ctx, u.Caller.Tenant, func(tx sqldb.Tx) (err error) {
		n, err = tx.Exec(ctx, `UPDATE idempotency_use SET attempt = $4, who = $5, request = $6, state = $7, status = 0, until = $8, updated_by = $5, updated_at = $9
			WHERE tenant = $1 AND name = $2 AND attempt = $3 AND state = 'running'`,
			u.Caller.Tenant, name, lost.attempt, mine, u.Caller.Who, request, state, until.UnixMicro(), now.UnixMicro())
		return err
	})
	switch {
	case err != nil:
		return 0, nil, err
	case n == 0: // another was faster
		return 0, nil, errRunning()
	case changed:
		return 0, nil, errLost()
	}
	return mine, nil, nil
}

// reads are the acts that change nothing.
var reads = []string{"read", "vread", "search", "history", "everything", "export", "refuse"}

// changed asks the audit whether a lost attempt had changed anything.
func (s *Store) changed(ctx context.Context, tenant int32, name []byte, lost *row) (bool, error) {
	request, err := s.ledger.Open(ctx, tenant, place("request", name), lost.request)
	if err != nil {
		return false, err
	}
	f := audit.Filter{Who: []string{lost.who}, Without: reads, Outcomes: []audit.Outcome{audit.Success}, Oldest: true, Limit: 500,
		From: time.UnixMicro(lost.updated).Truncate(time.Millisecond), To: time.UnixMicro(lost.until)}
	for {
		var rows []audit.Row
		if err := s.ledger.View(ctx, tenant, func(q sqldb.Querier) (err error) {
			rows, err = audit.Find(ctx, q, tenant, f)
			return err
		}); err != nil {
			return false, err
		}
		for i := range rows {
			e, err := rows[i].Decode(func(what string, sealed []byte) ([]byte, error) { return s.ledger.Open(ctx, tenant, what, sealed) })
			if err != nil {
				return false, err
			}
			if e.Request == string(request) {
				return true, nil
			}
		}
		if len(rows) < f.Limit {
			return false, nil
		}
		f.After = rows[len(rows)-1].ID
	}
}

// End implements [api.Uses].
func (s *Store) End(ctx context.Context, u api.Use, attempt int64, answer *api.KeptAnswer) error {
	name, _, err := s.names(ctx, u)
	if err != nil {
		return err
	}
	sealed, status := []byte{}, int64(http.StatusOK)
	if answer != nil {
		status = int64(answer.Status)
		if sealed, err = s.seal(ctx, u.Caller.Tenant, name, answer); err != nil {
			return err
		}
	}
	now := s.clock()
	var n int64
	err = s.ledger.Update(ctx, u.Caller.Tenant, func(tx sqldb.Tx) (err error) {
		n, err = tx.Exec(ctx, "UPDATE idempotency_use SET state = 'done', status = $4, answer = $5, until = $6, updated_at = $7 WHERE tenant = $1 AND name = $2 AND attempt = $3 AND state = 'running'",
			u.Caller.Tenant, name, attempt, status, sealed, now.Add(Kept).UnixMicro(), now.UnixMicro())
		return err
	})
	if err == nil && n == 0 {
		err = errors.New("idempotency: the attempt took longer than its time, and its key was given to another")
	}
	return err
}

// Drop implements [api.Uses].
func (s *Store) Drop(ctx context.Context, u api.Use, attempt int64) error {
	name, _, err := s.names(ctx, u)
	if err != nil {
		return err
	}
	return s.ledger.Update(ctx, u.Caller.Tenant, func(tx sqldb.Tx) error {
		_, err := tx.Exec(ctx, "DELETE FROM idempotency_use WHERE tenant = $1 AND name = $2 AND attempt = $3 AND state = 'running'", u.Caller.Tenant, name, attempt)
		return err
	})
}

// Sweep forgets what a tenant's keys have been kept long enough for, and returns how many those were.
func (s *Store) Sweep(ctx context.Context, tenant int32) (n int64, err error) {
	now := s.clock()
	err = s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) (err error) {
		// A lost attempt is kept as long as an answer: whoever repeats it must be told.
		n, err = tx.Exec(ctx, "DELETE FROM idempotency_use WHERE tenant = $1 AND (state = 'done' AND until <= $2 OR until <= $3)", tenant, now.UnixMicro(), now.Add(-Kept).UnixMicro())
		return err
	})
	return n, err
}

// seal seals an answer: the length of its headers' JSON, that, and the body.
func (s *Store) seal(ctx context.Context, tenant int32, name []byte, a *api.KeptAnswer) ([]byte, error) {
	headers, err := json.Marshal(a.Header)
	if err != nil {
		return nil, err
	}
	plain := binary.AppendUvarint(make([]byte, 0, len(headers)+len(a.Body)+4), uint64(len(headers)))
	return s.ledger.Seal(ctx, tenant, place("answer", name), append(append(plain, headers...), a.Body...))
}

// open is seal's inverse.
func (s *Store) open(ctx context.Context, tenant int32, name []byte, r *row) (*api.KeptAnswer, error) {
	plain, err := s.ledger.Open(ctx, tenant, place("answer", name), r.answer)
	if err != nil {
		return nil, err
	}
	size, n := binary.Uvarint(plain)
	if n <= 0 || size > uint64(len(plain)-n) {
		return nil, errors.New("idempotency: a kept answer is damaged")
	}
	rest := plain[n:]
	a := &api.KeptAnswer{Status: int(r.status), Header: http.Header{}, Body: rest[size:]}
	return a, json.Unmarshal(rest[:size], &a.Header)
}
