package event_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/event"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/storetest"
)

func TestReadersAndTailsHearWhatChangesMeanInOrder(t *testing.T) {
	each(t, func(w *world) {
		w.patient(1, "Before")
		h := w.hub()
		var now, ever, tail heard
		h.Read("now", event.FromNow, now.handle)
		h.Read("ever", event.FromBeginning, ever.handle)
		h.Tail(tail.take)
		// What is committed between New and Run is heard.
		id := w.patient(1, "One")
		w.run(h)
		w.rename(id, "Two")
		w.patient(1, "Twice")
		w.patient(1, "Silent")
		w.write(1, record.Change{Op: record.Delete, Type: "Patient", ID: id})
		w.rename(id, "Again") // after a delete nothing was there before
		want := []string{"created One", "updated Two", "created Twice", "created Twice", "deleted", "created Again"}
		now.hears(w, want...)
		tail.hears(w, want...)
		ever.hears(w, append([]string{"created Before"}, want...)...)
		one := now.all[0]
		if one.Subject != "Patient/"+id || one.Patient != one.Subject || one.Tenant != 1 || one.Who != "system" || one.Part != 0 || now.all[3].Part != 1 || now.all[2].ID != now.all[3].ID {
			w.Errorf("%+v", one)
		}
		for i := 1; i < len(now.all); i++ {
			if now.all[i].ID < now.all[i-1].ID {
				w.Errorf("event %d comes behind %d", now.all[i].ID, now.all[i-1].ID)
			}
		}
	})
}

func TestIdsAreThoseOfTheProductAPI(t *testing.T) {
	each(t, func(w *world) {
		h := w.hub(func(o *event.Options) { o.Base = "https://care.example/fhir/R4" })
		var got heard
		h.Read("ids", event.FromNow, got.handle)
		w.run(h)
		w.write(1, record.Change{Op: record.Update, Type: "Patient", ID: "amna", Resource: resource(w, `{"resourceType":"Patient","id":"amna","name":[{"family":"Amna"}]}`)})
		for _, ref := range []string{"Patient/amna", "https://care.example/fhir/R4/Patient/amna", "https://elsewhere.example/Patient/1", "Patient/17"} {
			w.write(1, record.Change{Op: record.Create, Type: "Encounter", Resource: resource(w, `{"resourceType":"Encounter","status":"planned","class":{"code":"AMB"},"subject":{"reference":%q}}`, ref)})
		}
		until(w, "five events", func() bool { return got.count() == 5 })
		num, known, err := w.store.Number(w.ctx, "Patient", "amna")
		if err != nil || !known {
			w.Fatal(known, err)
		}
		var p patientData
		if err := json.Unmarshal(got.all[0].Data, &p); err != nil || p.PatientID != jsonNumber(num) {
			w.Errorf("%v %+v, want %d", err, p, num)
		}
		for i, want := range []string{p.PatientID, p.PatientID, "", "17"} {
			var v visitData
			if err := json.Unmarshal(got.all[i+1].Data, &v); err != nil || v.PatientID != want || v.VisitID == "" {
				w.Errorf("%d: %v %+v, want the patient %q", i, err, v, want)
			}
		}
	})
}

func jsonNumber(n int64) string {
	b, _ := json.Marshal(n)
	return string(b)
}

func TestANewReaderOfNowSkipsWhatWasAndAKnownOneGoesOn(t *testing.T) {
	each(t, func(w *world) {
		w.patient(1, "Old")
		var first heard
		h := w.hub()
		h.Read("r", event.FromNow, first.handle)
		stop := w.run(h)
		w.patient(1, "One")
		first.hears(w, "created One")
		stop()
		w.patient(1, "Away")
		h = w.hub()
		var second, fresh heard
		h.Read("r", event.FromNow, second.handle)
		h.Read("fresh", event.FromNow, fresh.handle)
		w.run(h)
		w.patient(1, "Two")
		second.hears(w, "created Away", "created Two")
		fresh.hears(w, "created Two")
	})
}

func TestTenantsThatComeLaterAreReadFromTheirBeginning(t *testing.T) {
	each(t, func(w *world) {
		w.patient(2, "Old")
		h := w.hub()
		var got heard
		h.Read("r", event.FromNow, got.handle)
		stop := w.run(h)
		w.patient(3, "New")
		w.patient(2, "Known")
		until(w, "both tenants' events", func() bool { return got.count() == 2 })
		names := got.names()
		if slices.Sort(names); strings.Join(names, ", ") != "created Known, created New" {
			w.Fatal(names)
		}
		stop()
		// Nobody reads while the tenant comes; it is younger than the reader all the same.
		w.patient(4, "Unheard")
		h = w.hub()
		var again heard
		h.Read("r", event.FromNow, again.handle)
		w.run(h)
		again.hears(w, "created Unheard")
		if again.all[0].Tenant != 4 {
			w.Errorf("%+v", again.all[0])
		}
	})
}

func TestAnErasedPatientIsErasedFromTheEvents(t *testing.T) {
	each(t, func(w *world) {
		w.patient(1, "Stays")
		id := w.patient(1, "Goes")
		if _, err := w.store.Erase(w.ctx, id); err != nil {
			w.Fatal(err)
		}
		w.patient(1, "Last")
		h := w.hub()
		var got heard
		h.Read("r", event.FromBeginning, got.handle)
		w.run(h)
		got.hears(w, "created Stays", "created Last")
	})
}

func TestADeletedTenantIsReadNoMoreAndHoldsUpNobody(t *testing.T) {
	each(t, func(w *world) {
		w.patient(2, "Goes")
		if err := w.store.DestroyTenant(in(2)); err != nil {
			w.Fatal(err)
		}
		var said safeBuffer
		h := w.hub(func(o *event.Options) { o.Log = slog.New(slog.NewTextHandler(&said, nil)) })
		var got heard
		h.Read("r", event.FromBeginning, got.handle)
		stop := w.run(h)
		w.patient(1, "Stays")
		got.hears(w, "created Stays")
		stop()
		if text := said.String(); text != "" {
			w.Errorf("it is logged: %s", text)
		}
	})
}

func TestAnEventThatFailsIsTriedAgainAndThenADeadLetter(t *testing.T) {
	each(t, func(w *world) {
		var got heard
		healed := make(chan struct{})
		got.fail = func(e event.Event, n int) error {
			switch {
			case nameOf(e) == "created Late" && n <= 2:
				return errors.New("not yet")
			case nameOf(e) == "created Poison":
				select {
				case <-healed:
				default:
					return errors.New("it cannot be")
				}
			case nameOf(e) == "created Panic" && n == 1:
				panic("a handler with a defect")
			}
			return nil
		}
		h := w.hub()
		h.Read("r", event.FromNow, got.handle)
		w.run(h)
		for _, family := range []string{"Late", "Poison", "Panic", "Broken", "Wrong", "Last"} {
			w.patient(1, family)
		}
		got.hears(w, "created Late", "created Panic", "created Last")
		var letters []event.Letter
		until(w, "three dead letters", func() bool {
			var err error
			if letters, err = h.Letters(w.ctx, event.LetterQuery{Limit: 10}); err != nil {
				w.Fatal(err)
			}
			return len(letters) == 3
		})
		poison := letters[0]
		if poison.Kind != "patient.created" || poison.Tries != 3 || poison.Problem != "it cannot be" || poison.Reader != "r" || poison.State != event.Dead || poison.Part != 0 {
			w.Errorf("%+v", poison)
		}
		if letters[1].Part != -1 || letters[2].Part != -1 || strings.Contains(letters[1].Problem, "with a defect") {
			w.Errorf("%+v", letters[1:])
		}
		l, events, err := h.Letter(w.ctx, poison.ID)
		if err != nil || l != poison || len(events) != 1 || nameOf(events[0]) != "created Poison" {
			w.Errorf("%v %+v %+v", err, l, events)
		}
		if _, _, err := h.Letter(w.ctx, 1); !fault.Is(err, fault.NotFound) {
			w.Error(err)
		}
		if _, _, err := h.Letter(in(2), poison.ID); !fault.Is(err, fault.NotFound) {
			w.Errorf("another tenant's letter: %v", err)
		}

		again := func(q event.LetterQuery, want int) {
			w.Helper()
			if n, err := h.HandleAgain(w.ctx, q); err != nil || n != want {
				w.Fatalf("%d letters are handled again, want %d: %v", n, want, err)
			}
		}
		again(event.LetterQuery{ID: poison.ID}, 1)
		until(w, "the letter dead once more", func() bool {
			l, _, err := h.Letter(w.ctx, poison.ID)
			return err == nil && l.State == event.Dead && l.Tries == 4
		})
		close(healed)
		again(event.LetterQuery{Reader: "r"}, 3)
		got.hears(w, "created Late", "created Panic", "created Last", "created Poison")
		until(w, "the letter handled", func() bool {
			l, _, err := h.Letter(w.ctx, poison.ID)
			return err == nil && l.State == event.Handled
		})
		if n, err := h.Discard(w.ctx, event.LetterQuery{}); err != nil || n != 2 {
			w.Errorf("%d letters are discarded: %v", n, err)
		}
		if left, err := h.Letters(w.ctx, event.LetterQuery{Limit: 10}); err != nil || len(left) != 0 {
			w.Errorf("%+v %v", left, err)
		}
		if _, err := h.Discard(w.ctx, event.LetterQuery{ID: poison.ID}); err != nil {
			w.Error(err)
		}
		if l, _, _ := h.Letter(w.ctx, poison.ID); l.State != event.Handled {
			w.Errorf("what was handled is %s", l.State)
		}
	})
}

func TestWhatIsAwayHoldsUpAndMakesNoDeadLetter(t *testing.T) {
	each(t, func(w *world) {
		var got heard
		got.fail = func(e event.Event, n int) error {
			if nameOf(e) == "created One" && n <= 8 {
				return fault.New(fault.Unavailable, "the other server is away")
			}
			return nil
		}
		h := w.hub()
		h.Read("r", event.FromNow, got.handle)
		w.run(h)
		w.patient(1, "One")
		w.patient(1, "Two")
		until(w, "the trouble shown", func() bool {
			all, _, err := h.Readers(w.ctx)
			return got.count() > 0 || err == nil && len(all) == 1 && all[0].Tries > 0 && strings.Contains(all[0].Problem, "away") && all[0].Behind > 0
		})
		got.hears(w, "created One", "created Two")
		if letters, err := h.Letters(w.ctx, event.LetterQuery{Limit: 10}); err != nil || len(letters) != 0 {
			w.Errorf("%+v %v", letters, err)
		}
		until(w, "no trouble", func() bool {
			all, last, err := h.Readers(w.ctx)
			return err == nil && all[0].Tries == 0 && all[0].Problem == "" && all[0].Behind == 0 && all[0].Position >= last && all[0].Read && all[0].Known
		})
	})
}

func TestABatchHandlerGetsManyAndThePoisonAlone(t *testing.T) {
	each(t, func(w *world) {
		for range 50 {
			w.patient(1, "Many")
		}
		w.patient(1, "Poison")
		w.patient(1, "Last")
		var got heard
		got.fail = func(e event.Event, _ int) error {
			if nameOf(e) == "created Poison" {
				return errors.New("it cannot be")
			}
			return nil
		}
		most := 0
		h := w.hub()
		h.ReadBatch("r", event.FromBeginning, func(ctx context.Context, events []event.Event) error {
			most = max(most, len(events))
			for _, e := range events {
				if err := got.handle(ctx, e); err != nil {
					return err
				}
			}
			return nil
		})
		w.run(h)
		until(w, "the last", func() bool { return slices.Contains(got.names(), "created Last") })
		if most < 10 {
			w.Errorf("at most %d came at once", most)
		}
		letters, err := h.Letters(w.ctx, event.LetterQuery{Limit: 10})
		if err != nil || len(letters) != 1 || letters[0].Kind != "patient.created" {
			w.Errorf("%+v %v", letters, err)
		}
	})
}

func TestAReaderIsSentBackToAnyPoint(t *testing.T) {
	each(t, func(w *world) {
		var got heard
		h := w.hub()
		h.Read("r", event.FromNow, got.handle)
		w.run(h)
		w.patient(1, "One")
		w.patient(1, "Two")
		w.patient(1, "Three")
		got.hears(w, "created One", "created Two", "created Three")
		if err := h.Rewind(w.ctx, "r", got.all[0].ID); err != nil {
			w.Fatal(err)
		}
		got.hears(w, "created One", "created Two", "created Three", "created Two", "created Three")
		at, err := h.At(w.ctx, time.Now().Add(-time.Hour))
		if err != nil || at >= got.all[0].ID {
			w.Fatalf("an hour ago is %d: %v", at, err)
		}
		last, err := w.store.LastChange(w.ctx)
		if at, e := h.At(w.ctx, time.Now().Add(time.Hour)); err != nil || e != nil || at != last {
			w.Fatalf("in an hour is %d of %d: %v %v", at, last, e, err)
		}
		if err := h.Rewind(w.ctx, "r", at); err != nil {
			w.Fatal(err)
		}
		until(w, "all three once more", func() bool { return got.count() == 8 })
		if err := h.Rewind(w.ctx, "nobody", 0); !fault.Is(err, fault.NotFound) {
			w.Error(err)
		}
		for _, to := range []int64{-1, last + 1000} {
			if err := h.Rewind(w.ctx, "r", to); !fault.Is(err, fault.Unprocessable) {
				w.Errorf("%d: %v", to, err)
			}
		}
	})
}

func TestTheLogIsReadFromAnyPoint(t *testing.T) {
	each(t, func(w *world) {
		h := w.hub()
		for _, family := range []string{"One", "Silent", "Twice", "Broken"} {
			w.patient(1, family)
		}
		w.write(1, record.Change{Op: record.Create, Type: "Encounter", Resource: resource(w, `{"resourceType":"Encounter","status":"planned","class":{"code":"AMB"}}`)})
		w.patient(2, "Other")
		read := func(after int64, f event.Filter, limit int) (names []string, next int64, more bool) {
			w.Helper()
			events, next, more, err := h.Log(w.ctx, after, f, limit)
			if err != nil {
				w.Fatal(err)
			}
			for _, e := range events {
				names = append(names, nameOf(e))
			}
			return names, next, more
		}
		all, end, more := read(0, event.Filter{}, 100)
		if strings.Join(all, ", ") != "created One, created Twice, created Twice, started" || more {
			w.Error(all, more)
		}
		if names, next, more := read(end, event.Filter{}, 100); len(names) > 0 || next < end || more {
			w.Error(names, next, more)
		}
		first, next, more := read(0, event.Filter{}, 1)
		rest, _, _ := read(next, event.Filter{}, 100)
		if !more || strings.Join(append(first, rest...), ", ") != strings.Join(all, ", ") {
			w.Error(first, rest, more)
		}
		for _, c := range []struct {
			f    event.Filter
			want int
		}{
			{event.Filter{Topic: event.ClinicalEvents}, 1}, {event.Filter{Topic: event.BillingEvents}, 0}, {event.Filter{Kind: "patient.created"}, 3},
			{event.Filter{Kind: "nilecare.patient.created.v1"}, 3}, {event.Filter{From: time.Now().Add(time.Hour)}, 0},
		} {
			if names, _, _ := read(0, c.f, 100); len(names) != c.want {
				w.Errorf("%+v: %v", c.f, names)
			}
		}
	})
}

func TestASlowTailHoldsUpNobody(t *testing.T) {
	each(t, func(w *world) {
		h := w.hub()
		release := make(chan struct{})
		var slow, quick, durable heard
		h.Tail(func(e event.Event) { <-release; slow.take(e) })
		h.Tail(quick.take)
		h.Read("r", event.FromNow, durable.handle)
		w.run(h)
		var want []string
		for range 700 { // more than the window holds
			want = append(want, "created Many")
		}
		for range len(want) / 100 {
			var set []record.Change
			for range 100 {
				set = append(set, record.Change{Op: record.Create, Type: "Patient", Resource: resource(w, `{"resourceType":"Patient","name":[{"family":"Many"}]}`)})
			}
			if _, err := w.store.Write(w.ctx, set); err != nil {
				w.Fatal(err)
			}
		}
		quick.hears(w, want...)
		durable.hears(w, want...)
		if slow.count() != 0 {
			w.Error("the slow one was not held up")
		}
		close(release)
		slow.hears(w, want...)
	})
}

func TestAHubRefusesSourcesThatSayTooLittle(t *testing.T) {
	w := worldOn(t, storetest.SQLite(t, record.Options{}))
	good := source()
	for name, change := range map[string]func(s *event.Source) []event.Source{
		"no name":    func(s *event.Source) []event.Source { s.Kinds[0].Name = ""; return []event.Source{*s} },
		"no topic":   func(s *event.Source) []event.Source { s.Kinds[0].Topic = ""; return []event.Source{*s} },
		"no version": func(s *event.Source) []event.Source { s.Kinds[0].Version = 0; return []event.Source{*s} },
		"no data":    func(s *event.Source) []event.Source { s.Kinds[0].Data = nil; return []event.Source{*s} },
		"no teller":  func(s *event.Source) []event.Source { s.Tell = nil; return []event.Source{*s} },
		"twice":      func(s *event.Source) []event.Source { return []event.Source{*s, *s} },
	} {
		s := good
		s.Kinds = slices.Clone(good.Kinds)
		if _, err := event.New(context.Background(), event.Options{Store: w.store, Sources: change(&s)}); err == nil {
			t.Errorf("%s: the hub takes it", name)
		}
	}
}
