package scenario

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/klauspost/compress/zstd"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/nilecare/nilecare/internal/app"
	"github.com/nilecare/nilecare/internal/testfind"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"nilecare": func() { os.Exit(app.Main(os.Args[1:], "scenario")) }})
}

func TestSQLite(t *testing.T) { run(t, "", false) }

func TestPostgres(t *testing.T) { run(t, postgres(t), false) }

// TestSplit runs the same scripts with the services in several processes on one PostgreSQL, behind the gateway.
func TestSplit(t *testing.T) { run(t, postgres(t), true) }

func postgres(t *testing.T) string {
	t.Helper()
	server := os.Getenv("NILECARE_TEST_POSTGRES")
	if server == "" {
		t.Skip("NILECARE_TEST_POSTGRES is not set (scripts/with-postgres sets it)")
	}
	return server
}

// run runs the scripts. Each finds in NILECARE_DATABASE a fresh database of the engine ("" is the embedded one, in the
// script's own folder). The conditions [sqlite], [postgres] and [split] tell the shapes apart; a script that is about one process says
// [split] skip, and why.
func run(t *testing.T, server string, split bool) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join(testfind.Root(), "testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "sqlite":
				return server == "", nil
			case "postgres":
				return server != "", nil
			case "split":
				return split, nil
			}
			return false, fmt.Errorf("unknown condition %s", cond)
		},
		Setup: func(env *testscript.Env) error {
			s := &script{server: server, split: split}
			env.Values[scriptKey{}] = s
			env.Defer(s.stopAll)
			env.Setenv("NILECARE_DATA", filepath.Join(env.WorkDir, "data"))
			env.Setenv("NILECARE_LISTEN", "127.0.0.1:0")
			env.Setenv("NILECARE_LOG_LEVEL", "warn")
			// Scripts about signing in say otherwise.
			env.Setenv("NILECARE_INSECURE_NO_AUTH", "true")
			database, err := freshDatabase(server)
			env.Setenv("NILECARE_DATABASE", database)
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			// The server is ended by halt: testscript has a stop of its own, which ends the script.
			"serve": serve, "stop": stop, "halt": stop, "http": request, "fresh": fresh, "absent": absent, "take": take, "api": product, "fhir": clinical, "is": is, "lose": lose,
		},
	})
}

var databases atomic.Int64

// freshDatabase makes a database on the server and returns its URL; "" for the embedded one.
func freshDatabase(server string) (string, error) {
	if server == "" {
		return "", nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, server)
	if err != nil {
		return "", err
	}
	defer c.Close(ctx)
	name := fmt.Sprintf("scenario_%d_%d", os.Getpid(), databases.Add(1))
	if _, err := c.Exec(ctx, "CREATE DATABASE "+name); err != nil {
		return "", err
	}
	u, err := url.Parse(server)
	if err != nil {
		return "", err
	}
	u.Path = "/" + name
	return u.String(), nil
}

// fresh is `fresh`: from here on the script's programs have an empty database and an empty data folder; what stood in
// $NILECARE_DATA and $NILECARE_DATABASE is in $OLD_DATA and $OLD_DATABASE.
func fresh(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: fresh")
	}
	s := ts.Value(scriptKey{}).(*script)
	database, err := freshDatabase(s.server)
	ts.Check(err)
	ts.Setenv("OLD_DATA", ts.Getenv("NILECARE_DATA"))
	ts.Setenv("OLD_DATABASE", ts.Getenv("NILECARE_DATABASE"))
	ts.Setenv("NILECARE_DATABASE", database)
	ts.Setenv("NILECARE_DATA", ts.MkAbs(fmt.Sprintf("data%d", databases.Add(1))))
}

// absent is `absent FOLDER TEXT…`: none of the files below the folder (or the file itself) holds any of the texts, opened
// where it is compressed.
func absent(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: absent PATH TEXT…")
	}
	files := 0
	ts.Check(filepath.WalkDir(ts.MkAbs(args[0]), func(p string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		files++
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		if opened, err := unzstd(text); err == nil {
			text = opened // what a compression hides is not sealed
		}
		for _, secret := range args[1:] {
			if strings.Contains(strings.ToLower(string(text)), strings.ToLower(secret)) {
				return fmt.Errorf("%s holds %q", p, secret)
			}
		}
		return nil
	}))
	if files == 0 {
		ts.Fatalf("no file below %s", args[0])
	}
}

func unzstd(text []byte) ([]byte, error) {
	z, err := zstd.NewReader(nil)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	return z.DecodeAll(text, nil)
}
