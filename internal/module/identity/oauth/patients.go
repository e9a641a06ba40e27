package oauth

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/clock"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir/search"
	"github.com/nilecare/nilecare/internal/record"
)

// recordPatients are the patients of the record.
type recordPatients struct {
	store *record.Store
	now   clock.Clock
}

// RecordPatients returns the [Patients] that the record holds. What the caller of ctx may search for is made part of each question.
func RecordPatients(store *record.Store, now clock.Clock) Patients {
	if now == nil {
		now = clock.System
	}
	return &recordPatients{store, now}
}

type patientJSON struct {
	ID        string `json:"id"`
	BirthDate string `json:"birthDate"`
	Gender    string `json:"gender"`
	Name      []struct {
		Use    string   `json:"use"`
		Text   string   `json:"text"`
		Family string   `json:"family"`
		Given  []string `json:"given"`
	} `json:"name"`
	Identifier []struct {
		Value string `json:"value"`
	} `json:"identifier"`
}

// find answers one search as the caller, for both actions: who may find a patient may read them too, or does not see them here.
func (p *recordPatients) find(ctx context.Context, typ string, params []search.Param, limit int) ([][]byte, error) {
	caller := access.From(ctx)
	params = append(params, search.Param{Name: "_count", Value: strconv.Itoa(limit)}, search.Param{Name: "_total", Value: "none"})
	query, err := search.Parse(typ, params, search.Options{Now: p.now().UTC().Truncate(time.Second)})
	if err != nil {
		return nil, err
	}
	for _, a := range []access.Action{access.Search, access.Read} {
		e := caller.Extent(a, typ)
		switch {
		case e.IsNone():
			return nil, nil
		case !e.IsAll():
			for i := range query.ByType {
				query.ByType[i].Pred = search.And{e.Pred(), query.ByType[i].Pred}
			}
		}
	}
	page, err := p.store.Search(ctx, query)
	if err != nil {
		return nil, err
	}
	var out [][]byte
	for _, m := range page.Matches {
		if !m.Included {
			out = append(out, m.Version.JSON())
		}
	}
	return out, nil
}

// literal is a value as a search parameter takes it, without what would part it.
var literal = strings.NewReplacer(`\`, `\\`, `,`, `\,`, `|`, `\|`, `$`, `\$`)

// Search implements [Patients].
func (p *recordPatients) Search(ctx context.Context, q PatientQuery) ([]Patient, error) {
	var params []search.Param
	for word := range strings.FieldsSeq(q.Name) {
		params = append(params, search.Param{Name: "name", Value: literal.Replace(word)})
	}
	if q.BirthDate != "" {
		params = append(params, search.Param{Name: "birthdate", Value: literal.Replace(q.BirthDate)})
	}
	if q.Identifier != "" {
		params = append(params, search.Param{Name: "identifier", Value: literal.Replace(q.Identifier)})
	}
	found, err := p.find(ctx, "Patient", params, max(1, min(q.Limit, 50)))
	if err != nil {
		return nil, err
	}
	out := make([]Patient, 0, len(found))
	for _, b := range found {
		one, err := patientOf(b)
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, nil
}

// Patient implements [Patients].
func (p *recordPatients) Patient(ctx context.Context, id string) (Patient, error) {
	found, err := p.byID(ctx, "Patient", id)
	if err != nil {
		return Patient{}, err
	}
	return patientOf(found)
}

func (p *recordPatients) byID(ctx context.Context, typ, id string) ([]byte, error) {
	if !isFHIRID(id) {
		return nil, fault.New(fault.NotFound, "there is no %s with this id", typ)
	}
	found, err := p.find(ctx, typ, []search.Param{{Name: "_id", Value: id}}, 1)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fault.New(fault.NotFound, "there is no %s with this id", typ)
	}
	return found[0], nil
}

func isFHIRID(id string) bool {
	return id != "" && len(id) <= 64 && !strings.ContainsFunc(id, func(r rune) bool {
		return (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '.'
	})
}

// Encounter implements [Patients].
func (p *recordPatients) Encounter(ctx context.Context, id string) (string, error) {
	found, err := p.byID(ctx, "Encounter", id)
	if err != nil {
		return "", err
	}
	var e struct {
		Subject struct {
			Reference string `json:"reference"`
		} `json:"subject"`
	}
	if err := json.Unmarshal(found, &e); err != nil {
		return "", err
	}
	patient, ok := strings.CutPrefix(e.Subject.Reference, "Patient/")
	if !ok {
		return "", fault.New(fault.NotFound, "the encounter has no patient")
	}
	return patient, nil
}

func patientOf(b []byte) (Patient, error) {
	var p patientJSON
	if err := json.Unmarshal(b, &p); err != nil {
		return Patient{}, err
	}
	out := Patient{ID: p.ID, BirthDate: p.BirthDate, Gender: p.Gender}
	for _, n := range p.Name {
		text := n.Text
		if text == "" {
			text = strings.TrimSpace(strings.Join(n.Given, " ") + " " + n.Family)
		}
		if out.Name == "" || n.Use == "official" {
			out.Name = text
		}
	}
	if len(p.Identifier) > 0 {
		out.Identifier = p.Identifier[0].Value
	}
	if out.Name == "" {
		out.Name = "Patient/" + p.ID
	}
	return out, nil
}
