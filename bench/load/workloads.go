package main

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strconv"

	"github.com/nilecare/nilecare/bench/meter"
	"github.com/nilecare/nilecare/bench/wire"
	"github.com/nilecare/nilecare/internal/fhir"
)

// workload is one kind of request. next appends a whole request to b, and says how many units a good answer brings.
type workload struct {
	name   string
	status int
	next   func(m *maker, b []byte) (request []byte, units int)
	// holds looks into an answer's resource, under -verify.
	holds func(r *fhir.Resource) bool
}

// maker is one client's state.
type maker struct {
	*target
	*data
	*rand.Rand
	client, clients, count int
}

func names() []string {
	var out []string
	for _, w := range workloads() {
		out = append(out, w.name)
	}
	return out
}

func workloads() []workload {
	any := func(*fhir.Resource) bool { return true }
	found := func(r *fhir.Resource) bool { return r.Get("entry").Len() > 0 }
	return []workload{
		{"create", 201, (*maker).create, any},
		{"update", 200, (*maker).update, any},
		{"read", 200, (*maker).read, any},
		{"family", 200, func(m *maker, b []byte) ([]byte, int) {
			return m.get(b, "/Patient?family=", pick(m, m.rare)), 1
		}, func(r *fhir.Resource) bool { return r.Get("entry").Len() == familySize }},
		{"family-common", 200, func(m *maker, b []byte) ([]byte, int) {
			return m.get(b, "/Patient?_count=10&family=", url.QueryEscape(pick(m, m.families))), 1
		}, found},
		{"observation", 200, func(m *maker, b []byte) ([]byte, int) { return m.get(b, pick(m, m.questions)), 1 }, found},
		{"import", 200, func(m *maker, b []byte) ([]byte, int) {
			k := m.IntN(len(m.bundles))
			return m.send(b, "POST ", "", m.bundles[k]), m.units[k]
		}, func(r *fhir.Resource) bool { return r.Get("entry").Len() > 0 }},
	}
}

func pick(m *maker, from []string) string { return from[m.IntN(len(from))] }

// create is a Patient and an Observation in turn.
func (m *maker) create(b []byte) ([]byte, int) {
	m.count++
	if m.count%2 == 0 {
		f := m.people[m.IntN(len(m.people))]
		return m.send(b, "POST ", "/Patient", f.before, m.number(), f.after), 1
	}
	f := m.readings[m.IntN(len(m.readings))]
	return m.send(b, "POST ", "/Observation", f.before, []byte("Patient/"+pick(m, m.patients)), f.after), 1
}

// update changes a patient of the client's own share, so that clients do not stand in each other's way.
func (m *maker) update(b []byte) ([]byte, int) {
	share := len(m.own) / m.clients
	k := m.client*share + m.IntN(max(share, 1))
	f, id, family := m.people[m.IntN(len(m.people))], m.own[k%len(m.own)], m.rare[k%len(m.own)/familySize]
	return m.send(b, "PUT ", "/Patient/"+id, []byte(`{"resourceType":"Patient","id":"`+id+`",`), f.before[len(patientStart):], m.number(), f.after[:f.names],
		[]byte(`{"family":"`+family+`"},`), f.after[f.names:]), 1
}

func (m *maker) read(b []byte) ([]byte, int) {
	if m.IntN(2) == 0 {
		return m.get(b, "/Patient/", pick(m, m.patients)), 1
	}
	return m.get(b, "/Observation/", pick(m, m.observations)), 1
}

// number is a national number that nobody has yet.
func (m *maker) number() []byte {
	return strconv.AppendInt(nil, 10_000_000_000+m.Int64N(90_000_000_000), 10)
}

// client makes the Op of one client: a request, an answer, no more.
func (w workload) client(t *target, d *data, client, clients int, verify bool) (meter.Op, func(), error) {
	c := t.conn()
	c.Bodies = verify
	m := &maker{target: t, data: d, Rand: rand.New(rand.NewPCG(rand.Uint64(), uint64(client))), client: client, clients: clients}
	var b []byte
	return func() (int, int, error) {
		var units int
		b, units = w.next(m, b[:0])
		a, err := c.Do(b)
		if err != nil {
			return 0, 0, err
		}
		if a.Status != w.status {
			c.Bodies = true // the next refusal is told with its reason
			return 0, 0, refused(a)
		}
		if verify {
			err = w.verify(a)
		}
		return units, a.Size, err
	}, c.Close, nil
}

func (w workload) verify(a wire.Answer) error {
	if len(a.Body) == 0 && slices.Contains([]string{"create", "update"}, w.name) {
		return nil // the server may answer without a body
	}
	r, err := fhir.ParseResource(slices.Clone(a.Body))
	if err != nil {
		return err
	}
	if !w.holds(r) {
		return fmt.Errorf("the answer is not the expected one: %.300s", a.Body)
	}
	return nil
}
