package recordtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/seal"
	"github.com/nilecare/nilecare/internal/sqldb"
)

func testRotation(t *testing.T, h Harness) {
	for name, f := range map[string]func(*testing.T, Harness){
		"tenant": tenantRotation, "root": rootRotation, "erase": erasedWhileRotating, "states": keyStates,
		"under load": rotationUnderLoad, "ledger": ledgerSeals, "page marks": pageMarks, "rivals": rivalRotations, "modules in backups": moduleBackups, "older backups": olderBackups,
	} {
		t.Run(name, func(t *testing.T) { f(t, h) })
	}
}

// as system of a tenant.
func system(tenant int32) context.Context {
	return access.With(context.Background(), access.System(tenant))
}

// number asks the database past the store for one number.
func (b *bench) number(tenant int32, sql string) (n int64) {
	b.Helper()
	err := b.engine.View(b.ctx, tenant, func(q sqldb.Querier) error {
		_, err := sqldb.QueryRow(b.ctx, q, []any{&n}, sql)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return n
}

func (b *bench) rotateTenant(atLeast int) {
	b.Helper()
	if n, err := b.store.RotateTenant(b.ctx, nil); err != nil || n < atLeast {
		b.Fatalf("%d keys were wrapped anew, want %d at least; %v", n, atLeast, err)
	}
}

// tenantRotation demands that a new version wraps and seals at once, that what older ones sealed stays readable and is sealed anew on
// demand, and that all of it outlives a restart.
func tenantRotation(t *testing.T, h Harness) {
	b := setUp(t, h, record.Options{})
	some(b)
	b.write(update("ro-1", res(t, `{"resourceType":"Organization","name":"Before"}`)))
	b.rotateTenant(3) // two patients, and the blind indexes'
	if n, err := b.store.RewrapTenant(b.ctx, nil); err != nil || n != 0 {
		t.Errorf("again: %d, %v", n, err)
	}
	b.write(update("ro-2", res(t, `{"resourceType":"Organization","name":"Between"}`)))
	b.write(update("ro-p", patient(t, "Between")))
	b.rotateTenant(4)
	b.write(update("ro-3", res(t, `{"resourceType":"Organization","name":"After"}`)))
	b.write(update("u-p", patient(t, "Changed")))
	for num, want := range map[int64]int64{0: 1, -2: 1, -3: 1} {
		if n := b.number(1, fmt.Sprint("SELECT count(*) FROM version WHERE tenant = 1 AND keynum = ", num)); n != want {
			t.Errorf("key %d seals %d bodies, want %d", num, n, want)
		}
	}
	if n := b.number(1, "SELECT count(*) FROM seal_key WHERE tenant = 1 AND num <> 0 AND num >= -1 AND parent <> -3"); n != 0 {
		t.Errorf("%d keys are wrapped by an older version", n)
	}
	whole := func(b *bench) {
		b.Helper()
		b.sound()
		for _, id := range []string{"ro-1", "ro-2", "ro-3"} {
			b.read("Organization", id)
		}
		b.finds([]string{"u-p"}, "Patient", "family", "Changed")
		b.finds([]string{"ro-p"}, "Patient", "family", "Between")
		if _, err := b.store.ReadVersion(b.ctx, "Patient", "u-p", 1); err != nil {
			b.Error(err)
		}
	}
	whole(b)
	if n, err := b.store.ResealTenant(b.ctx, nil); err != nil || n != 2 {
		t.Errorf("%d bodies were sealed anew, %v", n, err)
	}
	if n := b.number(1, "SELECT count(*) FROM version WHERE tenant = 1 AND keynum <= 0 AND keynum <> -3"); n != 0 {
		t.Errorf("%d bodies are sealed by older versions", n)
	}
	whole(b)
	if err := b.store.Close(); err != nil {
		t.Fatal(err)
	}
	c := openBench(t, b.place, record.Options{})
	whole(c)
	c.write(update("ro-4", res(t, `{"resourceType":"Organization","name":"Reopened"}`)))
	if n := c.number(1, "SELECT count(*) FROM version WHERE tenant = 1 AND keynum = -3"); n != 4 {
		t.Errorf("the newest version seals %d bodies", n)
	}
	c.rotateTenant(4)
}

// root is the root key of the bench's file.
func (b *bench) root() seal.Root {
	b.Helper()
	r, err := seal.FileRoot(rootFileOf(b), false)
	if err != nil {
		b.Fatal(err)
	}
	return r
}

func rootFileOf(b *bench) string { return filepath.Join(b.place.Dir, "root.key") }

// aged makes the key file look as if its last rotation was a while ago.
func (b *bench) aged() {
	b.Helper()
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(rootFileOf(b), old, old); err != nil {
		b.Fatal(err)
	}
}

// rootRotation demands that the keys of all tenants are wrapped by the new root key, that the older one goes only when it wraps
// nothing any more, and that the database then opens with the new file alone.
func rootRotation(t *testing.T, h Harness) {
	b := setUp(t, h, record.Options{})
	some(b)
	b.as(2).write(update("rr-2", patient(t, "Second")))
	b.rotateTenant(1)
	before, err := os.ReadFile(rootFileOf(b))
	if err != nil {
		t.Fatal(err)
	}
	var told []int
	n, err := b.store.RotateRoot(b.ctx, func(n int) { told = append(told, n) })
	if err != nil || n != 3 || len(told) != 2 || told[1] != 3 { // two versions of tenant 1, one of tenant 2
		t.Fatalf("%d keys were wrapped anew, told %v, %v", n, told, err)
	}
	if n, err := b.store.RewrapRoot(b.ctx, nil); err != nil || n != 0 {
		t.Errorf("again: %d, %v", n, err)
	}
	if _, err := b.store.RetireRoot(b.ctx); !fault.Is(err, fault.Conflict) {
		t.Errorf("right after a rotation: %v", err)
	}
	b.aged()
	root := b.root().(*seal.RootFile)
	for _, id := range root.Keys()[1:] { // what the caller knows of counts too
		other := append(binary.BigEndian.AppendUint32([]byte{1}, id), "wrapped"...)
		if _, err := b.store.RetireRoot(b.ctx, other); !fault.Is(err, fault.Conflict) {
			t.Errorf("a key that wraps something else: %v", err)
		}
	}
	states, err := b.store.KeyStates(b.ctx)
	if err != nil || states[0].State != "current" || states[0].Wraps != 3 || states[1].Wraps != 0 {
		t.Fatalf("%+v, %v", states, err)
	}
	gone, err := b.store.RetireRoot(b.ctx)
	if err != nil || len(gone) != 1 {
		t.Fatalf("%v went, %v", gone, err)
	}
	if err := b.store.Close(); err != nil {
		t.Fatal(err)
	}
	c := openBench(t, b.place, record.Options{})
	c.sound()
	c.as(2).read("Patient", "rr-2")
	// The file as it was before opens nothing any more.
	if err := c.store.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(rootFileOf(b), before, 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := b.place.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	if _, err := record.New(b.ctx, e, record.Options{Root: c.root()}); err == nil {
		t.Error("the older root key still opens it")
	}
}

// erasedWhileRotating demands that a destroyed key is not brought back by a rotation that read it before.
func erasedWhileRotating(t *testing.T, h Harness) {
	b := setUp(t, h, record.Options{})
	for i := range 40 {
		b.write(update(fmt.Sprint("ew-", i), patient(t, fmt.Sprint("F", i))))
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range 40 {
			if _, err := b.store.Erase(b.ctx, fmt.Sprint("ew-", i)); err != nil {
				t.Error(err)
			}
		}
	})
	for range 6 {
		b.rotateTenant(0)
	}
	wg.Wait()
	if n := b.number(1, "SELECT count(*) FROM seal_key WHERE tenant = 1 AND num > 0 AND wrapped IS NOT NULL"); n != 0 {
		t.Errorf("%d keys stand", n)
	}
	for i := range 40 {
		b.unreadable(fault.Gone, "Patient", fmt.Sprint("ew-", i))
	}
	b.sound()
}

func keyStates(t *testing.T, h Harness) {
	b := setUp(t, h, record.Options{})
	b.write(update("ks-1", patient(t, "One")))
	b.write(update("ks-2", patient(t, "Two")))
	if _, err := b.store.Erase(b.ctx, "ks-2"); err != nil {
		t.Fatal(err)
	}
	b.rotateTenant(2)
	states, err := b.store.KeyStates(b.ctx)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range states {
		id := s.ID
		if s.Kind == "root" {
			id = ""
		} else if s.Made.IsZero() && s.Kind != "patients" {
			t.Errorf("%+v has no time", s)
		}
		got = append(got, fmt.Sprintf("%s %s %s %d", s.Kind, id, s.State, s.Wraps))
	}
	want := []string{"root  current 2", "tenant version 2 current 1", "tenant version 1 standing 0", "blind  current 0", "patients  destroyed 1"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if states[3].Parent != "version 2" || states[1].Parent != states[0].ID {
		t.Errorf("%+v", states)
	}
}

// rotationUnderLoad demands that nobody who reads, writes or searches fails while all keys are rotated, on a shared database with two
// processes that do not tell each other.
func rotationUnderLoad(t *testing.T, h Harness) {
	b := setUp(t, h, record.Options{})
	stores := []*record.Store{b.store}
	if b.place.Shared {
		stores = append(stores, openBench(t, b.place, record.Options{}).store)
	}
	b.write(update("rl", patient(t, "Start")))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var acts atomic.Int64
	for w := range 8 {
		s := stores[w%len(stores)]
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := act(b.ctx, t, s, w, i); err != nil {
					t.Errorf("worker %d, round %d: %v", w, i, err)
					return
				}
				acts.Add(1)
			}
		})
	}
	for i := range 6 {
		s := stores[i%len(stores)]
		if _, err := s.RotateTenant(b.ctx, nil); err != nil {
			t.Error(err)
		}
		if _, err := s.RotateRoot(b.ctx, nil); err != nil {
			t.Error(err)
		}
		if _, err := s.ResealTenant(b.ctx, nil); err != nil {
			t.Error(err)
		}
		if i%2 == 1 {
			if err := stores[len(stores)-1].ReloadKeys(b.ctx); err != nil {
				t.Error(err)
			}
		}
	}
	close(stop)
	wg.Wait()
	if acts.Load() < 16 {
		t.Errorf("only %d rounds", acts.Load())
	}
	for _, s := range stores {
		if err := s.ReloadKeys(b.ctx); err != nil {
			t.Error(err)
		}
	}
	if err := b.store.TendKeys(b.ctx); err != nil {
		t.Error(err)
	}
	if n := b.number(1, "SELECT count(DISTINCT parent) FROM seal_key WHERE tenant = 1 AND (num > 0 OR num = -1)"); n != 1 {
		t.Errorf("keys are wrapped by %d versions", n)
	}
	b.aged()
	if gone, err := b.store.RetireRoot(b.ctx); err != nil || len(gone) != 6 {
		t.Errorf("%v went, %v", gone, err)
	}
	b.sound()
}

// act is one round of a worker: a new patient, what is theirs, what is nobody's, and all of it read, searched and sealed.
func act(ctx context.Context, t testing.TB, s *record.Store, w, i int) error {
	id := fmt.Sprintf("rl-%d-%d", w, i)
	for _, c := range []record.Change{
		update(id, patient(t, "Load")), update(id+"-o", observation(t, "Patient/"+id)), update(id+"-z", res(t, `{"resourceType":"Organization","name":%q}`, id)),
		update(fmt.Sprint("rl-", w), patient(t, fmt.Sprint("F", i))), update("rl", patient(t, fmt.Sprint("F", w, "-", i))),
	} {
		if _, err := s.Write(ctx, []record.Change{c}); err != nil {
			return fmt.Errorf("write %s/%s: %w", c.Type, c.ID, err)
		}
	}
	for _, r := range [][2]string{{"Patient", id}, {"Observation", id + "-o"}, {"Organization", id + "-z"}, {"Patient", "rl"}} {
		if _, err := s.Read(ctx, r[0], r[1]); err != nil {
			return fmt.Errorf("read %s/%s: %w", r[0], r[1], err)
		}
	}
	if page, err := s.Search(ctx, query(t, "Organization", "_id", id+"-z")); err != nil || len(page.Matches) != 1 {
		return fmt.Errorf("search: %d, %w", len(page.Matches), err)
	}
	sealed, err := s.Ledger().Seal(ctx, 1, "test/"+id, []byte("secret"))
	if err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	plain, err := s.Ledger().Open(ctx, 1, "test/"+id, sealed)
	if err != nil || string(plain) != "secret" {
		return fmt.Errorf("open: %q, %w", plain, err)
	}
	return nil
}

// ledgerSeals demands that what modules sealed opens after rotations, in this process and another, at its own place alone.
func ledgerSeals(t *testing.T, h Harness) {
	b := setUp(t, h, record.Options{})
	l := b.store.Ledger()
	var all [][]byte
	for i := range 3 {
		sealed, err := l.Seal(b.ctx, 1, "user.email/12", []byte("someone@example.org"))
		if err != nil || bytes.Contains(sealed, []byte("someone")) {
			t.Fatal(sealed, err)
		}
		all = append(all, sealed)
		if i < 2 {
			b.rotateTenant(1)
		}
	}
	check := func(l *record.Ledger) {
		t.Helper()
		for i, sealed := range all {
			if plain, err := l.Open(b.ctx, 1, "user.email/12", sealed); err != nil || string(plain) != "someone@example.org" {
				t.Errorf("version %d: %q, %v", i+1, plain, err)
			}
			if stale, err := l.Stale(b.ctx, 1, sealed); err != nil || stale != (i < 2) {
				t.Errorf("version %d is stale: %v, %v", i+1, stale, err)
			}
			for name, c := range map[string]struct {
				tenant int32
				what   string
				sealed []byte
			}{
				"elsewhere": {1, "user.email/13", sealed}, "another tenant": {2, "user.email/12", sealed}, "cut": {1, "user.email/12", sealed[:len(sealed)-1]},
				"another version": {1, "user.email/12", append([]byte("NK\x01\x07"), sealed[4:]...)}, "no version": {1, "user.email/12", sealed[4:]}, "nothing": {1, "user.email/12", nil},
			} {
				if plain, err := l.Open(system(c.tenant), c.tenant, c.what, c.sealed); err == nil {
					t.Errorf("%s opens: %q", name, plain)
				}
			}
		}
	}
	check(l)
	if err := b.store.Close(); err != nil {
		t.Fatal(err)
	}
	c := openBench(t, b.place, record.Options{})
	check(c.store.Ledger())
}

// rivalRotations demands that of several who rotate at once each makes a version of its own or is told that another does.
func rivalRotations(t *testing.T, h Harness) {
	b := setUp(t, h, record.Options{})
	stores := []*record.Store{b.store}
	if b.place.Shared {
		stores = append(stores, openBench(t, b.place, record.Options{}).store)
	}
	b.write(update("rv", patient(t, "Rival")))
	var made atomic.Int64
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			_, err := stores[i%len(stores)].RotateTenant(b.ctx, nil)
			if err == nil {
				made.Add(1)
			} else if !fault.Is(err, fault.Conflict) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	n, low := b.number(1, "SELECT count(*) FROM seal_key WHERE tenant = 1 AND num < -1"), b.number(1, "SELECT min(num) FROM seal_key WHERE tenant = 1")
	if n != made.Load() || n < 1 || low != -n-1 {
		t.Errorf("%d were made, %d stand, the newest is %d", made.Load(), n, low)
	}
	if err := b.store.TendKeys(b.ctx); err != nil {
		t.Error(err)
	}
	b.sound()
}

// pageMarks demands that whoever turns pages is not stopped by a rotation.
func pageMarks(t *testing.T, h Harness) {
	b := setUp(t, h, record.Options{})
	for i := range 5 {
		b.write(update(fmt.Sprint("pm-", i), patient(t, "Page")))
	}
	q := query(t, "Patient", "_count", "2")
	page, err := b.store.Search(b.ctx, q)
	if err != nil || page.Next == "" {
		t.Fatal(page, err)
	}
	b.rotateTenant(6)
	q.Cursor = page.Next
	if page, err = b.store.Search(b.ctx, q); err != nil || len(page.Matches) != 2 {
		t.Errorf("the second page: %v", err)
	}
}

// shelf is a module's table for the tests.
func shelf(columns ...string) record.Table {
	return record.Table{Name: "shelf", Columns: append([]string{"tenant"}, columns...)}
}

func makeShelf(t testing.TB, e record.Engine, more string) {
	t.Helper()
	file := &fstest.MapFile{Data: []byte("-- +goose Up\nCREATE TABLE shelf (tenant integer NOT NULL, id bigint NOT NULL, title text, pages integer NOT NULL DEFAULT 7" + more + ", PRIMARY KEY (tenant, id));\n")}
	err := e.Migrate(context.Background(), "shelf", fstest.MapFS{"sqlite/00001_shelf.sql": file, "postgres/00001_shelf.sql": file})
	if err != nil {
		t.Fatal(err)
	}
}

// moduleBackups demands that the rows of modules' tables are in a backup, and come back; that a module which came later starts empty;
// and that a table or column that nobody knows is refused by its name.
func moduleBackups(t *testing.T, h Harness) {
	full := shelf("id", "title", "pages")
	b := setUp(t, h, record.Options{Tables: []record.Table{full}})
	some(b)
	makeShelf(t, b.engine, "")
	b.exec("INSERT INTO shelf (tenant, id, title) VALUES (1, 4503599627370497, 'eins')", "INSERT INTO shelf (tenant, id, title, pages) VALUES (1, 2, NULL, 3)", "INSERT INTO shelf (tenant, id, title) VALUES (2, 9, 'of another')")
	var file, without bytes.Buffer
	if _, err := b.store.Backup(b.ctx, &file); err != nil {
		t.Fatal(err)
	}
	b.rotateTenant(1)
	restore := func(backup []byte, made func(record.Engine), modules ...record.Table) (*bench, error) {
		t.Helper()
		p := b.beside(t, h)
		e, err := p.Open()
		if err != nil {
			t.Fatal(err)
		}
		if made != nil {
			made(e)
		}
		_, err = record.Restore(b.ctx, e, bytes.NewReader(backup), modules...)
		if e := e.Close(); e != nil {
			t.Error(e)
		}
		if err != nil {
			return nil, err
		}
		c := openBench(t, p, record.Options{Tables: modules})
		c.sound()
		return c, nil
	}
	plain := func(e record.Engine) { makeShelf(t, e, "") }
	c, err := restore(file.Bytes(), plain, full)
	if err != nil {
		t.Fatal(err)
	}
	if n := c.number(1, "SELECT count(*) FROM shelf"); n != 2 {
		t.Errorf("%d rows came back", n)
	}
	if n := c.number(1, "SELECT count(*) FROM shelf WHERE id = 4503599627370497 AND title = 'eins' AND pages = 7 OR id = 2 AND title IS NULL AND pages = 3"); n != 2 {
		t.Errorf("%d rows came back as they were", n)
	}
	// A column that came later gets its default.
	wider := func(e record.Engine) { makeShelf(t, e, ", place text DEFAULT 'here'") }
	if c, err = restore(file.Bytes(), wider, shelf("id", "title", "pages", "place")); err != nil {
		t.Fatal(err)
	}
	if n := c.number(1, "SELECT count(*) FROM shelf WHERE place = 'here'"); n != 2 {
		t.Errorf("%d rows have the default", n)
	}
	for name, err := range map[string]error{
		"shelf": second(restore(file.Bytes(), nil)),
		"title": second(restore(file.Bytes(), plain, shelf("id", "pages"))),
		"rows":  second(restore(file.Bytes(), func(e record.Engine) { makeShelf(t, e, ""); insertShelf(t, e) }, full)),
	} {
		if err == nil || !bytes.Contains([]byte(err.Error()), []byte(name)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Before there was such a module.
	d := openBench(t, h.New(t), record.Options{})
	some(d)
	if _, err := d.store.Backup(d.ctx, &without); err != nil {
		t.Fatal(err)
	}
	b = d
	if c, err = restore(without.Bytes(), plain, full); err != nil {
		t.Fatal(err)
	}
	if n := c.number(1, "SELECT count(*) FROM shelf"); n != 0 {
		t.Errorf("%d rows from nowhere", n)
	}
	for name, tables := range map[string][]record.Table{"the record's": {{Name: "record", Columns: []string{"tenant"}}}, "twice": {full, full}, "no tenant": {{Name: "x", Columns: []string{"id"}}}} {
		if _, err := record.New(d.ctx, d.engine, record.Options{Root: d.root(), Tables: tables}); err == nil {
			t.Errorf("tables were taken: %s", name)
		}
	}
}

func second(_ *bench, err error) error { return err }

func insertShelf(t testing.TB, e record.Engine) {
	t.Helper()
	err := e.Commit(context.Background(), 1, &record.Job{Solo: true, Run: func(ctx context.Context, tx record.Tx) (*record.Rows, error) {
		_, err := tx.Exec(ctx, "INSERT INTO shelf (tenant, id) VALUES (1, 1)")
		return nil, err
	}})
	if err != nil {
		t.Fatal(err)
	}
}

// older turns a backup into one that was made before keys had versions: seal_key, which comes first, had no column parent.
func older(t testing.TB, backup []byte) []byte {
	t.Helper()
	z, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	all, err := z.DecodeAll(backup, nil)
	if err != nil {
		t.Fatal(err)
	}
	magic, rest, _ := bytes.Cut(all[:len(all)-sha256.Size], []byte("\n"))
	line, rest, _ := bytes.Cut(rest, []byte("\n"))
	var head struct {
		Created time.Time      `json:"created"`
		Tenant  int32          `json:"tenant"`
		Tables  []record.Table `json:"tables"`
	}
	if err := json.Unmarshal(line, &head); err != nil || head.Tables[0].Name != "seal_key" {
		t.Fatal(head, err)
	}
	keys := &head.Tables[0]
	parent := slices.Index(keys.Columns, "parent")
	columns := len(keys.Columns)
	keys.Columns = slices.Delete(keys.Columns, parent, parent+1)
	if line, err = json.Marshal(head); err != nil {
		t.Fatal(err)
	}
	out := slices.Concat(magic, []byte("\n"), line, []byte("\n"))
	for rest[0] == 1 {
		out, rest = append(out, 1), rest[1:]
		for i := range columns {
			n := valueSize(rest)
			if i != parent {
				out = append(out, rest[:n]...)
			}
			rest = rest[n:]
		}
	}
	out = append(out, rest...)
	sum := sha256.Sum256(out)
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(append(out, sum[:]...), nil)
}

// valueSize is how many bytes the first value takes.
func valueSize(b []byte) int {
	switch b[0] {
	case 'i':
		_, n := binary.Varint(b[1:])
		return 1 + n
	case 's', 'b':
		size, n := binary.Uvarint(b[1:])
		return 1 + n + int(size)
	case 'f':
		return 9
	}
	return 1
}

// olderBackups demands that a backup of a program without versions of keys comes back whole, and that its keys rotate.
func olderBackups(t *testing.T, h Harness) {
	b := setUp(t, h, record.Options{})
	some(b)
	var file bytes.Buffer
	if _, err := b.store.Backup(b.ctx, &file); err != nil {
		t.Fatal(err)
	}
	p := b.beside(t, h)
	if _, err := restored(t, p, older(t, file.Bytes())); err != nil {
		t.Fatal(err)
	}
	c := openBench(t, p, record.Options{})
	c.sound()
	c.rotateTenant(3)
	c.sound()
	if n, err := c.store.RotateRoot(c.ctx, nil); err != nil || n != 2 {
		t.Errorf("%d standing keys, %v", n, err)
	}
}

// UpgradeKeys demands that a database from before keys had versions goes on with the keys that it has, once the migration's
// statements ran, and that all its tenants are known by then.
func UpgradeKeys(t *testing.T, p Place, migration string) {
	b := openBench(t, p, record.Options{})
	some(b)
	b.as(2).write(update("up-2", patient(t, "Second")))
	b.exec("DELETE FROM setting WHERE name LIKE 'tenant.%'")
	e := b.engine
	run := func(statements ...string) {
		t.Helper()
		if p.Shared { // a server, whose serving role owns no table
			statements = append([]string{"RESET ROLE"}, statements...)
		}
		err := e.Commit(b.ctx, 1, &record.Job{Solo: true, Run: func(ctx context.Context, tx record.Tx) (*record.Rows, error) {
			for _, sql := range statements {
				if _, err := tx.Exec(ctx, sql); err != nil {
					return nil, err
				}
			}
			return nil, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	run("ALTER TABLE seal_key DROP COLUMN parent")
	var statements []string
	for line := range strings.Lines(migration) {
		if line, _, _ = strings.Cut(line, "--"); strings.TrimSpace(line) != "" {
			statements = append(statements, strings.TrimSpace(line))
		}
	}
	run(statements...)
	if tenants, err := b.store.KeyedTenants(b.ctx); err != nil || !slices.Equal(tenants, []int32{1, 2}) {
		t.Errorf("tenants %v, %v", tenants, err)
	}
	if err := b.store.Close(); err != nil {
		t.Fatal(err)
	}
	c := openBench(t, p, record.Options{})
	c.sound()
	c.rotateTenant(3)
	if n, err := c.store.RotateRoot(c.ctx, nil); err != nil || n != 3 {
		t.Errorf("%d standing keys, %v", n, err)
	}
	c.as(2).read("Patient", "up-2")
}
