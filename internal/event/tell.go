package event

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/record"
)

// told is what a change means: its events, or why a source could not say. A change that means nothing is not told.
type told struct {
	id     int64
	events []Event
	err    error
	stub   Event // the place of a change that could not be told
}

// telling turns changes into events.
type telling struct {
	store   *record.Store
	sources []Source
	byType  map[string][]int // sources, by the resources that they tell of
	types   []string
	kinds   map[string]Kind
	owner   map[string]int // of a kind: the source
	base    string
	from    string // CloudEvents' source
}

// newTelling refuses sources that cannot be told apart, or that say too little.
func newTelling(o *Options) (*telling, error) {
	t := &telling{store: o.Store, sources: o.Sources, byType: map[string][]int{}, kinds: map[string]Kind{}, owner: map[string]int{}, base: o.Base, from: o.Instance}
	for i, s := range o.Sources {
		if (len(s.Kinds) > 0 || len(s.Types) > 0) && s.Tell == nil {
			return nil, fmt.Errorf("event: source %d tells nothing", i)
		}
		for _, k := range s.Kinds {
			if err := checkKind(k); err != nil {
				return nil, err
			}
			if _, twice := t.kinds[k.Name]; twice {
				return nil, fmt.Errorf("event: there are two kinds of the name %s", k.Name)
			}
			t.kinds[k.Name], t.owner[k.Name] = k, i
		}
		for _, typ := range s.Types {
			if t.byType[typ] == nil {
				t.types = append(t.types, typ)
			}
			t.byType[typ] = append(t.byType[typ], i)
		}
	}
	return t, nil
}

func checkKind(k Kind) error {
	switch {
	case k.Name == "":
		return errors.New("event: a kind has no name")
	case k.Topic == "":
		return fmt.Errorf("event: the kind %s has no topic", k.Name)
	case k.Version < 1:
		return fmt.Errorf("event: the kind %s has no version", k.Name)
	case k.Data == nil:
		return fmt.Errorf("event: the kind %s has no type of data", k.Name)
	}
	return nil
}

// behind tells what the changes behind a place mean, and how far it looked.
func (t *telling) behind(ctx context.Context, after int64, limit int) ([]told, int64, error) {
	if len(t.types) == 0 {
		settled, _, err := t.store.Settled(ctx)
		return nil, max(after, settled), err
	}
	changes, next, err := t.store.Changes(ctx, after, t.types, limit)
	if err != nil {
		return nil, after, err
	}
	var out []told
	for i := range changes {
		one, err := t.tell(ctx, &changes[i])
		if err != nil {
			return nil, after, err
		}
		if len(one.events) > 0 || one.err != nil {
			out = append(out, one)
		}
	}
	return out, next, nil
}

// one tells what the change of that id means; nothing where it cannot be read any more, or means nothing.
func (t *telling) one(ctx context.Context, id int64) (told, error) {
	changes, _, err := t.store.Changes(ctx, id-1, t.types, 1)
	if err != nil || len(changes) == 0 || changes[0].ID != id {
		return told{}, err
	}
	return t.tell(ctx, &changes[0])
}

// tell asks the sources. Its error is the database's: the change can be told later.
func (t *telling) tell(ctx context.Context, c *record.Changed) (told, error) {
	out := told{id: c.ID}
	out.stub = Event{ID: c.ID, Part: -1, Tenant: access.From(ctx).Tenant, Time: c.Version.Updated, Subject: c.Version.Type + "/" + c.Version.ID, Who: c.Who, source: t.from}
	change, err := changeOf(c, out.stub.Tenant)
	if err != nil {
		out.err = err
		return out, nil //nolint:nilerr // what stands in the record cannot be read: trying again does not help
	}
	keys := &keys{ctx: ctx, t: t}
	change.Key = keys.of
	for _, i := range t.byType[c.Version.Type] {
		facts, err := ask(t.sources[i].Tell, change)
		if keys.err != nil {
			return told{}, keys.err
		}
		if err == nil {
			err = t.add(&out, i, facts)
		}
		if err != nil {
			out.err = err
		}
	}
	if out.err != nil {
		out.events = nil
	}
	return out, nil
}

func changeOf(c *record.Changed, tenant int32) (Change, error) {
	v := c.Version
	out := Change{Tenant: tenant, Type: v.Type, ID: v.ID, Op: c.Op, At: v.Updated, Who: c.Who}
	var err error
	if !v.Deleted {
		if out.New, err = v.Resource(); err != nil {
			return out, errors.New("the resource cannot be read")
		}
	}
	if c.Before != nil && c.Before.VID == v.VID-1 {
		if out.Old, err = c.Before.Resource(); err != nil {
			return out, errors.New("the resource as it was before cannot be read")
		}
	}
	return out, nil
}

// ask has a source tell. A panic is the source's defect, and must not end the readers of all others.
func ask(tell func(Change) []Fact, c Change) (facts []Fact, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the source of %s panicked (%T)", c.Type, r) // what it said may be of the resource
		}
	}()
	return tell(c), nil
}

func (t *telling) add(out *told, source int, facts []Fact) error {
	for _, f := range facts {
		k, ok := t.kinds[f.Kind]
		if !ok || t.owner[f.Kind] != source {
			return fmt.Errorf("its source told of the kind %s, which it does not list", f.Kind)
		}
		if got := reflect.TypeOf(f.Data); got != reflect.TypeOf(k.Data) && (got == nil || got.Kind() != reflect.Pointer || got.Elem() != reflect.TypeOf(k.Data)) {
			return fmt.Errorf("its source told of %s with data of the type %T", f.Kind, f.Data)
		}
		data, err := json.Marshal(f.Data)
		if err != nil {
			return fmt.Errorf("the data of %s cannot be said in JSON", f.Kind)
		}
		e := out.stub
		e.Part, e.Kind, e.Patient, e.Staff, e.Data = len(out.events), k, f.Patient, f.Staff, data
		out.events = append(out.events, e)
	}
	return nil
}

// keys finds the product API's ids, and keeps the first failure: a source cannot return one.
type keys struct {
	ctx context.Context
	t   *telling
	err error
}

func (k *keys) of(ref string) string {
	typ, id, ok := fhir.SplitReference(ref, k.t.base)
	if !ok || k.err != nil {
		return ""
	}
	if digits(id) {
		return id
	}
	n, known, err := k.t.store.Number(k.ctx, typ, id)
	if err != nil && !fault.Is(err, fault.NotFound) { // that it is no type of FHIR's
		k.err = err
	}
	if err != nil || !known {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// digits reports a FHIR id that is an id of the product API as it stands.
func digits(s string) bool {
	if s == "" || len(s) > 16 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
