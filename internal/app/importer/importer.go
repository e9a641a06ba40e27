package importer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nilecare/nilecare/internal/app/source"
)

// Options says how an import works.
type Options struct {
	Doer    Doer
	Base    string        // the FHIR server's base URL
	Workers int           // how many requests are under way at once; below 1: 4
	Journal *Journal      // nil: everything is imported, and nothing noted
	Refused func(Refusal) // told what was refused, one at a time; may be nil
}

// Refusal is one thing that the server did not take.
type Refusal struct {
	Source string `json:"source"`          // file, and behind a ! the archive's member
	Line   int    `json:"line,omitempty"`  // of an .ndjson
	Entry  string `json:"entry,omitempty"` // the resource's Type/id, or the Bundle's entry
	Status int    `json:"status,omitempty"`
	Reason string `json:"reason"`
}

// Progress is how far an import is.
type Progress struct {
	Read, Total int64 // bytes of the files, as they lie on the disk
	Resources   int64 // written
	Refused     int64
	Skipped     int64 // units that a run before wrote
	Elapsed     time.Duration
}

// Importer runs one import.
type Importer struct {
	door    door
	workers int
	journal *Journal
	refused func(Refusal)
	start   time.Time

	read, total, resources, refusals, skipped atomic.Int64

	mu       sync.Mutex
	digests  map[string]string // by path
	deferred map[place]bool    // to be tried once more
}

// place is a unit of a file.
type place struct {
	path string
	unit int
}

// New returns an import that has not begun.
func New(o Options) *Importer {
	if o.Workers < 1 {
		o.Workers = 4
	}
	if o.Refused == nil {
		o.Refused = func(Refusal) {}
	}
	return &Importer{door: door{o.Doer, o.Base}, workers: o.Workers, journal: o.Journal, refused: o.Refused, start: time.Now(),
		digests: map[string]string{}, deferred: map[place]bool{}}
}

// Progress tells how far the import is; it may be asked at any time.
func (im *Importer) Progress() Progress {
	return Progress{Read: im.read.Load(), Total: im.total.Load(), Resources: im.resources.Load(), Refused: im.refusals.Load(),
		Skipped: im.skipped.Load(), Elapsed: time.Since(im.start)}
}

// Run imports the files. What the server refuses is told to Options.Refused and is no error; the error says why the
// import could not go on. When ctx ends, requests under way are finished and noted first.
func (im *Importer) Run(ctx context.Context, files []source.File) error {
	var early, others []source.File
	for _, f := range files {
		im.total.Add(f.Size)
		if f.Early {
			early = append(early, f)
		} else {
			others = append(others, f)
		}
	}
	for _, part := range [][]source.File{early, others} {
		if err := im.pass(ctx, part, false); err != nil {
			return err
		}
	}
	return im.again(ctx, files)
}

// again tries what was refused, and may be taken now, once more.
func (im *Importer) again(ctx context.Context, files []source.File) error {
	var some []source.File
	for _, f := range files {
		if im.isDeferred(f.Path, 0) {
			some = append(some, f)
			im.total.Add(f.Size)
		}
	}
	return im.pass(ctx, some, true)
}

// isDeferred asks for a unit, or with 0 for any unit of the file.
func (im *Importer) isDeferred(path string, unit int) bool {
	im.mu.Lock()
	defer im.mu.Unlock()
	if unit > 0 {
		return im.deferred[place{path, unit}]
	}
	for p := range im.deferred {
		if p.path == path {
			return true
		}
	}
	return false
}

func (im *Importer) putOff(p place) {
	im.mu.Lock()
	defer im.mu.Unlock()
	im.deferred[p] = true
}

// pass reads the files and writes their units: all that are not done, or, the last time, the deferred ones.
func (im *Importer) pass(ctx context.Context, files []source.File, last bool) error {
	if len(files) == 0 {
		return ctx.Err()
	}
	tasks := make(chan []item, 2*im.workers)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(tasks)
		return im.feed(ctx, files, last, tasks)
	})
	for range im.workers {
		g.Go(func() error {
			w := worker{im: im, last: last}
			for t := range tasks {
				if ctx.Err() != nil {
					continue
				}
				// What was begun is finished, or nobody could say whether it was written.
				if err := w.task(context.WithoutCancel(ctx), t); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// item is a unit on its way to a worker.
type item struct {
	path string
	file *fileState
	source.Unit
}

// fileState counts a file's units, to tell when all are written.
type fileState struct {
	mu     sync.Mutex
	digest string
	open   int // units under way, and 1 while the file is read
	failed bool
}

func (f *fileState) add() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open++
}

// leave counts one less; whole is true when that was the last and none failed.
func (f *fileState) leave(ok bool) (whole bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open--
	f.failed = f.failed || !ok
	return f.open == 0 && !f.failed
}

// How many small units, and bytes of them, travel together.
const (
	groupUnits = 100
	groupBytes = 512 << 10
	smallUnit  = 16 << 10
)

// feed reads the files into tasks.
func (im *Importer) feed(ctx context.Context, files []source.File, last bool, tasks chan<- []item) error {
	var group []item
	size := 0
	send := func(t []item) error {
		select {
		case tasks <- t:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	flush := func() error {
		t := group
		group, size = nil, 0
		if len(t) == 0 {
			return nil
		}
		return send(t)
	}
	for _, f := range files {
		state, skip, err := im.begin(f, last)
		if err != nil {
			return err
		}
		if skip {
			continue
		}
		for u := range f.Units(&im.read) {
			if last && !im.isDeferred(f.Path, u.N) || !last && im.has(state, u.N) {
				continue
			}
			state.add()
			it := item{f.Path, state, u}
			if len(u.Data) > smallUnit {
				err = send([]item{it})
			} else {
				group = append(group, it)
				size += len(u.Data)
				if len(group) == groupUnits || size > groupBytes {
					err = flush()
				}
			}
			if err != nil {
				return err
			}
		}
		if state.leave(true) {
			if err := im.finished(state); err != nil {
				return err
			}
		}
	}
	return flush()
}

// begin finds out what the journal knows of the file. The last pass sees a part of the file only, and says nothing of the whole.
func (im *Importer) begin(f source.File, last bool) (state *fileState, skip bool, err error) {
	state = &fileState{open: 1, failed: last}
	if im.journal == nil {
		return state, false, nil
	}
	im.mu.Lock()
	state.digest = im.digests[f.Path]
	im.mu.Unlock()
	if state.digest == "" {
		if state.digest, err = digestOf(f.Path); err != nil {
			return nil, false, fmt.Errorf("import: %w", err)
		}
		im.mu.Lock()
		im.digests[f.Path] = state.digest
		im.mu.Unlock()
	}
	if im.journal.Whole(state.digest) {
		im.skipped.Add(1)
		im.read.Add(f.Size)
		return state, true, nil
	}
	return state, false, nil
}

func (im *Importer) has(f *fileState, unit int) bool {
	if im.journal == nil || !im.journal.Has(f.digest, unit) {
		return false
	}
	im.skipped.Add(1)
	return true
}

func (im *Importer) finished(f *fileState) error {
	if im.journal == nil {
		return nil
	}
	return im.journal.Finished(f.digest)
}

// settle notes which items were written, and counts all of them off their files.
func (im *Importer) settle(written, others []item) error {
	var err error
	byFile := map[*fileState][]int{}
	for _, it := range written {
		byFile[it.file] = append(byFile[it.file], it.N)
	}
	if im.journal != nil {
		for f, numbers := range byFile {
			slices.Sort(numbers)
			err = errors.Join(err, im.journal.Wrote(f.digest, numbers))
		}
	}
	for _, it := range written {
		if it.file.leave(true) {
			err = errors.Join(err, im.finished(it.file))
		}
	}
	for _, it := range others {
		it.file.leave(false)
	}
	if err != nil {
		return fmt.Errorf("import journal: %w", err)
	}
	return nil
}

func (im *Importer) refuse(r Refusal) {
	im.mu.Lock()
	defer im.mu.Unlock()
	im.refusals.Add(1)
	im.refused(r)
}
