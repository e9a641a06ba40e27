package audit_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	ledger "github.com/nilecare/nilecare/internal/audit"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/record/postgres"
	"github.com/nilecare/nilecare/internal/record/sqlite"
	"github.com/nilecare/nilecare/internal/seal"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/storetest"
)

// The environment of the process that is killed: its folder, and the URL of its database where that is PostgreSQL.
const (
	childDir = "NILECARE_AUDITTEST_DIR"
	childURL = "NILECARE_AUDITTEST_URL"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := actForever(dir, os.Getenv(childURL)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// openAt opens the store of a folder and its log.
func openAt(dir, url string) (*record.Store, *ledger.Log, error) {
	root, err := seal.FileRoot(filepath.Join(dir, "root.key"), true)
	if err != nil {
		return nil, nil, err
	}
	var e record.Engine
	if url != "" {
		e, err = postgres.Open(ctx, url)
	} else {
		e, err = sqlite.Open(ctx, sqlite.Options{Dir: dir})
	}
	if err != nil {
		return nil, nil, err
	}
	log := ledger.NewLog(ledger.Options{Every: 20 * time.Millisecond, SealTic: 10 * time.Millisecond, AnchorBlocks: 1, Anchors: filepath.Join(dir, "audit.anchors")})
	s, err := record.New(ctx, e, record.Options{Root: root, Audit: log})
	if err != nil {
		return nil, nil, err
	}
	log.Start(s.Ledger())
	return s, log, nil
}

// actForever writes records and notes reads, and says, a line each, what is acknowledged: "w" and the number of a record that is written,
// "n" and the id of an entry that was noted half a second ago.
func actForever(dir, url string) error {
	s, log, err := openAt(dir, url)
	if err != nil {
		return err
	}
	failed := make(chan error)
	lines := make(chan string, 1024)
	go func() {
		for {
			r, err := fhir.ParseResource([]byte(`{"resourceType":"Patient","active":true}`))
			if err == nil {
				var out []record.Outcome
				if out, err = s.Write(ctx, []record.Change{{Op: record.Create, Type: "Patient", Resource: r}}); err == nil {
					lines <- fmt.Sprintf("w %d", out[0].Version.Seq)
				}
			}
			if err != nil {
				failed <- err
			}
		}
	}()
	go func() {
		for {
			id := s.Ledger().Next()
			log.Note(ledger.Entry{ID: id, Tenant: 1, Kind: ledger.Rest, Action: "read", Who: "User/1", Type: "Patient", Num: 5, Patients: []int64{5, 6}})
			time.AfterFunc(500*time.Millisecond, func() { lines <- fmt.Sprintf("n %d", id) })
			time.Sleep(100 * time.Microsecond)
		}
	}()
	for {
		select {
		case l := <-lines:
			if _, err := fmt.Println(l); err != nil {
				return err
			}
		case err := <-failed:
			return err
		}
	}
}

// TestKilled kills a process that writes and reads, again and again: what it was told is written, and what it noted half a second before, is in the
// ledger, and the chain is whole, against the anchors too.
func TestKilled(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { killed(t, "") })
	t.Run("postgres", func(t *testing.T) { killed(t, storetest.Database(t)) })
}

func killed(t *testing.T, url string) {
	dir := t.TempDir()
	rounds := 6
	if n, err := strconv.Atoi(os.Getenv("NILECARE_KILL_ROUNDS")); err == nil {
		rounds = n
	}
	var blocks int64
	for range rounds {
		told := killOne(t, dir, url)
		s, log, err := openAt(dir, url)
		if err != nil {
			t.Fatal(err)
		}
		(&world{t: t, ledger: s.Ledger(), log: log}).flush()
		lost := 0
		if err := s.Ledger().View(ctx, 1, func(q sqldb.Querier) error {
			for _, id := range told {
				row, err := ledger.Get(ctx, q, 1, id)
				if err != nil {
					return err
				}
				if row == nil {
					lost++
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if lost > 0 {
			t.Errorf("%d of %d acknowledged entries are lost", lost, len(told))
		}
		report, err := log.Verify(ctx, 1)
		if err != nil || !report.OK() || report.Unsealed != 0 || report.Anchors == 0 {
			t.Errorf("%v %+v", err, report)
		}
		if report.Blocks <= blocks {
			t.Errorf("no block was made: %d", report.Blocks)
		}
		blocks = report.Blocks
		if err := log.Close(); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// killOne starts a process, kills it some time after it began to tell, and returns the ids that it told.
func killOne(t *testing.T, dir, url string) (told []int64) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childDir+"="+dir, childURL+"="+url)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timeout := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
	defer timeout.Stop()
	noted := false
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var kind string
		var id int64
		if n, _ := fmt.Sscanf(lines.Text(), "%s %d", &kind, &id); n != 2 {
			continue // cut by the kill
		}
		if told = append(told, id); kind == "n" && !noted {
			noted = true
			time.AfterFunc(time.Duration(rand.IntN(300))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		}
	}
	_ = cmd.Wait()
	if !noted {
		t.Fatal("the process told nothing")
	}
	return told
}
