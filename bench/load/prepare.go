package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/nilecare/nilecare/bench/wire"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/hospital"
)

// data is what the requests are made of: what the server has, and what is written to it.
type data struct {
	patients     []string // ids that the server has
	observations []string
	questions    []string // Observation searches by patient, code and date, each with an answer
	families     []string // names that many bear
	own          []string // ids of patients that this run made, to be updated
	rare         []string // names that few of those bear, whatever the server's size
	people       []form   // bodies to create
	readings     []form
	bundles      [][]byte
	units        []int // resources of each of bundles
}

// sizes of the samples.
const (
	patientsSampled = 1000
	patientsAsked   = 150 // whose Observations are looked at
	ownPatients     = 256
	familySize      = 4
	formsMade       = 400
	bundlesMade     = 60
)

// form is a body with one place that is filled anew each time, so that no two are the same.
type form struct {
	before, after []byte
	names         int // where in after a Patient's names begin
}

func (d *data) meanBody() int {
	n := 0
	for _, f := range append(append([]form(nil), d.people...), d.readings...) {
		n += len(f.before) + len(f.after) + 16
	}
	return n / max(1, len(d.people)+len(d.readings))
}

func prepare(ctx context.Context, t *target, o options) (*data, error) {
	c := t.conn()
	defer c.Close()
	d := &data{}
	d.make(o)
	if err := d.sample(t, c); err != nil {
		return nil, fmt.Errorf("looking at what the server has: %w", err)
	}
	// The staff must be there before Bundles that refer to it.
	for k, text := range bundles(o, o.load) {
		if k > 0 && (len(d.patients) >= o.load || ctx.Err() != nil) {
			break
		}
		if _, err := t.resource(c, t.send(nil, "POST ", "", text)); err != nil {
			return nil, fmt.Errorf("loading synthetic patients: %w", err)
		}
	}
	if len(d.patients) < o.load {
		slog.Info("loaded synthetic patients", "number", o.load)
		if err := d.sample(t, c); err != nil {
			return nil, err
		}
	}
	if len(d.patients) == 0 || len(d.questions) == 0 {
		return nil, errors.New("the server has no patients with Observations; -load sends some")
	}
	return d, d.makeOwn(t, c, o.seed)
}

// bundles are the hospital and its patients, numbered from 0.
func bundles(o options, patients int) func(yield func(int, []byte) bool) {
	return func(yield func(int, []byte) bool) {
		k := 0
		for text := range hospital.Bundles(o.seed, patients, time.Now()) {
			text = proposed(text)
			if !o.conditional {
				text = named(text)
			}
			if !yield(k, text) {
				return
			}
			k++
		}
	}
}

// proposed takes the hours off the doctors that Appointments take: one Bundle is sent many times here, and a doctor is booked once.
func proposed(text []byte) []byte {
	return bytes.ReplaceAll(text, []byte(`"resourceType":"Appointment","status":"booked"`), []byte(`"resourceType":"Appointment","status":"proposed"`))
}

// named puts the identifier in the place of a conditional reference, as a display.
func named(text []byte) []byte {
	return regexp.MustCompile(`"reference":"[A-Za-z]+\?identifier=[^"|]*\|([^"]*)"`).ReplaceAll(text, []byte(`"display":"$1"`))
}

// make prepares what is written, from patients other than the loaded ones.
func (d *data) make(o options) {
	o.seed = ^o.seed
	for k, text := range bundles(o, formsMade) {
		if k == 0 {
			continue
		}
		bundle, err := fhir.ParseResource(text)
		if err != nil {
			continue // the hospital's own tests hold this
		}
		entries := bundle.Get("entry").Items()
		if k <= bundlesMade {
			d.bundles, d.units = append(d.bundles, text), append(d.units, len(entries))
		}
		if f, ok := personForm(entries[0].Get("resource")); ok {
			d.people = append(d.people, f)
		}
		for _, e := range entries {
			if f, ok := readingForm(e.Get("resource")); ok {
				d.readings = append(d.readings, f)
				break
			}
		}
	}
}

// personForm is a Patient whose national number is to be filled in.
func personForm(r *fhir.Node) (form, bool) {
	number := r.Get("identifier").At(1).Str("value")
	before, after, ok := bytes.Cut(named(r.AppendJSON(nil)), []byte(number))
	names := bytes.Index(after, []byte(namesStart)) + len(namesStart)
	return form{before, after, names}, ok && len(number) == numberLength && names >= len(namesStart) && bytes.HasPrefix(before, []byte(patientStart))
}

const (
	numberLength = 11
	patientStart = `{"resourceType":"Patient",`
	namesStart   = `"name":[`
)

// readingForm is an Observation of blood pressure or of the laboratory, whose patient is to be filled in.
func readingForm(r *fhir.Node) (form, bool) {
	if r.Str("resourceType") != "Observation" || r.Get("component") == nil && r.Get("referenceRange") == nil {
		return form{}, false
	}
	subject := r.Get("subject").Str("reference")
	r = r.Clone()
	r.Delete("encounter")
	r.Delete("basedOn")
	before, after, ok := bytes.Cut(named(r.AppendJSON(nil)), []byte(subject))
	return form{before: before, after: after}, ok
}

// sample pages through patients, and looks at the Observations of some.
func (d *data) sample(t *target, c *wire.Conn) error {
	d.patients, d.observations, d.questions, d.families = nil, nil, nil, nil
	seen := map[string]bool{}
	for next := "/Patient?_count=200"; next != "" && len(d.patients) < patientsSampled; {
		page, err := t.resource(c, t.get(nil, next))
		if err != nil {
			return err
		}
		for e := page.Get("entry").First(); e != nil; e = e.Next() {
			r := e.Get("resource")
			d.patients = append(d.patients, r.Str("id"))
			if family := r.Path("name", "family"); family != nil && !seen[family.Text] && !strings.HasPrefix(family.Text, ownPrefix) {
				seen[family.Text] = true
				d.families = append(d.families, family.Text)
			}
		}
		if next, err = t.next(page); err != nil {
			return err
		}
	}
	step := max(1, len(d.patients)/patientsAsked)
	for k := 0; k < len(d.patients); k += step {
		if err := d.ask(t, c, d.patients[k]); err != nil {
			return err
		}
	}
	return nil
}

func (t *target) next(page *fhir.Resource) (string, error) {
	for l := page.Get("link").First(); l != nil; l = l.Next() {
		if l.Str("relation") == "next" {
			return t.below(l.Str("url"))
		}
	}
	return "", nil
}

func (d *data) ask(t *target, c *wire.Conn, patient string) error {
	page, err := t.resource(c, t.get(nil, "/Observation?_count=50&patient=Patient/", patient))
	if err != nil {
		return err
	}
	for e := page.Get("entry").First(); e != nil; e = e.Next() {
		r := e.Get("resource")
		d.observations = append(d.observations, r.Str("id"))
		code, at := r.Path("code", "coding"), r.Str("effectiveDateTime")
		if code == nil || len(at) < 10 {
			continue
		}
		if code.Kind == fhir.Array {
			code = code.First()
		}
		token := url.QueryEscape(code.Str("system") + "|" + code.Str("code"))
		d.questions = append(d.questions, "/Observation?_count=20&patient=Patient/"+patient+"&code="+token+"&date=ge"+at[:10])
	}
	return nil
}

// ownPrefix begins the family names that only patients of this driver bear.
const ownPrefix = "Benchmark"

// makeOwn creates the patients that updates change and that the search for a rare name finds: four a name, however large the server is.
func (d *data) makeOwn(t *target, c *wire.Conn, seed int64) error {
	c.Locations = true
	for k := range ownPatients {
		// Of one length: no name may begin another, or the search would find both.
		family := ownPrefix + letters(seed) + string([]byte{'a' + byte(k/familySize/26), 'a' + byte(k/familySize%26)})
		if k%familySize == 0 {
			d.rare = append(d.rare, family)
		}
		body := fmt.Appendf(nil, `{"resourceType":"Patient","name":[{"family":"%s","given":["%s"]}],"gender":"female","birthDate":"1990-01-01"}`, family, letters(int64(k)))
		a, err := c.Do(t.send(nil, "POST ", "/Patient", body))
		if err != nil {
			return err
		}
		_, id, ok := strings.Cut(a.Location, "/Patient/")
		if a.Status != 201 || !ok {
			return fmt.Errorf("creating a patient: %w", refused(a))
		}
		id, _, _ = strings.Cut(id, "/")
		d.own = append(d.own, id)
	}
	return nil
}

// letters writes a number with letters: names have no digits.
func letters(n int64) string {
	out := []byte{}
	for u := uint64(n); ; u /= 26 {
		out = append(out, 'a'+byte(u%26))
		if u < 26 {
			return string(out)
		}
	}
}
