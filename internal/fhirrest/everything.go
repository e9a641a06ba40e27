package fhirrest

import (
	"strconv"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir/def"
)

// everything is Patient/[id]/$everything and Encounter/[id]/$everything (R4 patient-operation-everything.html) with _since,
// _type and _count. The period of care (start, end) is refused by name: the store does not narrow by it.
func (h *Handler) everything(q *request, a *answer) error {
	params, body, err := q.operationParams()
	if err != nil {
		return err
	}
	if body != nil && body.Type() != "Parameters" {
		return fault.New(fault.Invalid, "$everything takes Parameters, not a %.64q", body.Type()).WithCode("structure")
	}
	var (
		types   []string
		since   time.Time
		count   = h.Count
		cursor  string
		said    []param
		unknown []param
	)
	for _, p := range params {
		switch p.Name {
		case "_type":
			types, err = typeList(types, p.Value)
		case "_since":
			since, err = parseInstant(p.Name, p.Value)
		case "_count":
			count, err = h.parseCount(p.Value)
			p.Value = strconv.Itoa(count)
		case cursorParam:
			cursor = p.Value
			continue
		default:
			unknown = append(unknown, p)
			continue
		}
		if err != nil {
			return err
		}
		said = append(said, p)
	}
	if err := q.noParams(unknown); err != nil {
		return err
	}
	page, err := h.Records.Everything(q.ctx, q.route.typ, q.route.id, types, since, count, cursor)
	if err != nil {
		return err
	}
	path := "/" + q.route.typ + "/" + q.route.id + "/$everything"
	var ignored []string
	for _, p := range unknown {
		ignored = append(ignored, p.Name)
	}
	return writePage(q, a, page, shape{}, ignored, pageLinks(q, path, said, cursor, page.Next, page.Prev))
}

// typeList appends the types of a list parted by commas.
func typeList(types []string, value string) ([]string, error) {
	for name := range strings.SplitSeq(value, ",") {
		if t := def.Lookup(name); t == nil || t.Num == 0 {
			return nil, fault.New(fault.Invalid, "_type: %.64q is no resource type of FHIR R4", name).WithCode("value")
		}
		types = append(types, name)
	}
	return types, nil
}
