package flat

import (
	"context"
	"errors"
	"maps"
	"strings"
	"sync"

	"github.com/nilecare/nilecare/internal/fault"
)

// Unknown is why a figure cannot be told.
type Unknown string

// Error implements error.
func (u Unknown) Error() string { return string(u) }

// figuresAtATime is how many questions of one set of figures are asked of the store at once.
const figuresAtATime = 4

// Figures are a module's statistics: each is counted from what the caller may see, or is not known, and then says why. They are counted side by side.
type Figures struct {
	records *Records
	turn    chan struct{}
	wait    sync.WaitGroup
	mu      sync.Mutex
	values  map[string]any
	why     map[string]string
	err     error
}

// Figures begins a set of figures.
func (r *Records) Figures() *Figures {
	return &Figures{records: r, turn: make(chan struct{}, figuresAtATime), values: map[string]any{}, why: map[string]string{}}
}

// Go finds a figure. An [Unknown] from find, and what the caller may not see or the store will not count, makes it null with a reason; any other error
// fails the whole set.
func (f *Figures) Go(name string, find func() (any, error)) {
	f.wait.Go(func() {
		f.turn <- struct{}{}
		defer func() { <-f.turn }()
		v, err := find()
		f.mu.Lock()
		defer f.mu.Unlock()
		f.set(name, v, err)
	})
}

// Count is Go for how many resources of the type the parameters find: name, value, name, value …
func (f *Figures) Count(ctx context.Context, name, typ string, params ...string) {
	f.Go(name, func() (any, error) { return f.records.Count(ctx, typ, params...) })
}

// Unknown says of a figure that it is not known.
func (f *Figures) Unknown(name, why string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.set(name, nil, Unknown(why))
}

// set enters what was found; the mutex is held.
func (f *Figures) set(name string, v any, err error) {
	var u Unknown
	switch {
	case err == nil:
		f.values[name] = v
		return
	case errors.As(err, &u):
		f.why[name] = string(u)
	case fault.Is(err, fault.Forbidden):
		f.why[name] = "these records are not for the caller to see"
	case fault.Is(err, fault.TooCostly):
		f.why[name] = err.Error()
	default:
		f.err = errors.Join(f.err, err)
		return
	}
	f.values[name] = nil
}

// Less makes a figure the difference of two counts that were asked for before, never below 0; where one of them is not known it is not either.
func (f *Figures) Less(name, from, take string) {
	f.wait.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	a, ok := f.values[from].(int)
	b, ok2 := f.values[take].(int)
	switch {
	case !ok:
		f.set(name, nil, Unknown(f.why[from]))
	case !ok2:
		f.set(name, nil, Unknown(f.why[take]))
	default:
		f.set(name, max(a-b, 0), nil)
	}
}

// All waits for the figures and returns them by name. Those that are not known are nil; under "unavailable" stands the reason of each. Names that begin
// with a dot were steps on the way, and are left out.
func (f *Figures) All() (map[string]any, error) {
	f.wait.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return nil, f.err
	}
	maps.DeleteFunc(f.values, func(name string, _ any) bool { return strings.HasPrefix(name, ".") })
	maps.DeleteFunc(f.why, func(name, _ string) bool { return strings.HasPrefix(name, ".") })
	f.values["unavailable"] = f.why
	return f.values, nil
}
