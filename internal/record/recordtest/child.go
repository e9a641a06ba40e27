package recordtest

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/seal"
)

// childDir is the environment variable that makes the test binary a writer to be killed: the place's folder.
const childDir = "NILECARE_RECORDTEST_CHILD"

// Main runs the tests, or, in the helper process that the durability test starts, writes until it is killed. open opens the
// engine from what [Place.Env] and the place's folder say.
func Main(m *testing.M, open func(dir string) (record.Engine, error)) {
	dir := os.Getenv(childDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	if err := writeForever(dir, func() (record.Engine, error) { return open(dir) }); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// killWriters is how many goroutines of the helper write at a time.
const killWriters = 4

// writeForever writes sets and says on standard output, a line each, which are acknowledged.
func writeForever(dir string, open Opener) error {
	root, err := seal.FileRoot(filepath.Join(dir, "root.key"), true)
	if err != nil {
		return err
	}
	e, err := open()
	if err != nil {
		return err
	}
	s, err := record.New(context.Background(), e, record.Options{Root: root})
	if err != nil {
		return err
	}
	out := &lines{w: bufio.NewWriter(os.Stdout)}
	failed := make(chan error)
	for w := range killWriters {
		go func() {
			for i := 0; ; i++ {
				if err := writeSet(s, out, w, fmt.Sprintf("%d-%d-%d", os.Getpid(), w, i)); err != nil {
					failed <- err
				}
			}
		}()
	}
	return <-failed
}

type lines struct {
	mu sync.Mutex
	w  *bufio.Writer
}

func (l *lines) print(format string, args ...any) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := fmt.Fprintf(l.w, format+"\n", args...); err != nil {
		return err
	}
	return l.w.Flush()
}

// setSize is how many resources bear a set's name.
const setSize = 5

// writeSet writes a set: a patient, observations of it, and one more step of the writer's counter.
func writeSet(s *record.Store, out *lines, writer int, name string) error {
	const url = "urn:uuid:61ebe359-bfdc-4613-8bf2-c5e300945f0a"
	parse := func(format string, args ...any) (*fhir.Resource, error) {
		return fhir.ParseResource(fmt.Appendf(nil, format, args...))
	}
	p, err := parse(`{"resourceType":"Patient","identifier":[{"system":"urn:kill","value":%q}],"name":[{"family":%q}]}`, name, name)
	if err != nil {
		return err
	}
	set := []record.Change{{Op: record.Update, Type: "Patient", ID: "k-" + name, Resource: p, FullURL: url}}
	for i := 1; i < setSize; i++ {
		o, err := parse(`{"resourceType":"Observation","status":"final","identifier":[{"system":"urn:kill","value":%q}],"code":{"text":"x"},"subject":{"reference":%q},"valueInteger":%d}`, name, url, i)
		if err != nil {
			return err
		}
		c := record.Change{Op: record.Create, Type: "Observation", Resource: o}
		if i%2 == 0 {
			c = record.Change{Op: record.Update, Type: "Observation", ID: fmt.Sprintf("k-%s-%d", name, i), Resource: o}
		}
		set = append(set, c)
	}
	set = append(set, record.Change{Op: record.Patch, Type: "Patient", ID: counterID(writer), Apply: increment})
	done, err := s.Write(context.Background(), set)
	if err != nil {
		return err
	}
	return out.print("%s %d %d", name, writer, done[setSize].Version.VID)
}

func counterID(writer int) string { return fmt.Sprint("counter-", writer) }
