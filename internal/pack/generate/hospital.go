package main

import (
	"hash/fnv"
	"strconv"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/hospital"
)

// hospitalBodies are the synthetic hospital's resources with their references as the store resolves them: Type/number.
func hospitalBodies(patients int) ([][]byte, error) {
	now := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC) // fixed, so that the same dictionary comes out
	var out [][]byte
	for text := range hospital.Bundles(20260301, patients, now) {
		bundle, err := fhir.ParseResource(text)
		if err != nil {
			return nil, err
		}
		types := map[string]string{}
		for e := bundle.Get("entry").First(); e != nil; e = e.Next() {
			types[e.Str("fullUrl")] = e.Get("resource").Str("resourceType")
		}
		for e := bundle.Get("entry").First(); e != nil; e = e.Next() {
			r := &fhir.Resource{Node: e.Get("resource")}
			resolve(r, types)
			out = append(out, body(r))
		}
	}
	return out, nil
}

func resolve(r *fhir.Resource, types map[string]string) {
	r.Walk(func(n *fhir.Node) bool {
		if n.Name != "reference" || n.Kind != fhir.String {
			return true
		}
		typ := types[n.Text]
		if t, _, conditional := strings.Cut(n.Text, "?"); conditional {
			typ = t
		}
		if typ != "" {
			n.Text = typ + "/" + number(n.Text)
		}
		return true
	})
}

// number stands for the sixteen digits that the store gives.
func number(from string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(from)) // a hash never fails
	return strconv.FormatUint(4_000_000_000_000_000+h.Sum64()%4_000_000_000_000_000, 10)
}
