package clinical

import (
	"context"
	"slices"
	"strings"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/def"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// patientRules are the invariants of Patient.
func patientRules(l *record.Ledger) map[string]record.Rule {
	return map[string]record.Rule{"Patient": patients{l}.rule}
}

// patientAdopters enter patients of before into the ledger.
func patientAdopters(l *record.Ledger) map[string]adopter {
	return map[string]adopter{"Patient": patients{l}.adopt}
}

// adopt enters a patient of before. Where two have one national id, the first keeps it, and the other is left out of the look-up of identifiers: the
// duplicates are found by /duplicates, and the next change of the other has to resolve it.
func (p patients) adopt(ctx context.Context, tx record.Tx, r *fhir.Resource) error {
	old, err := p.row(ctx, tx, r.ID())
	if err != nil {
		return err
	}
	now, err := p.ofPatient(ctx, r)
	if err != nil {
		return err
	}
	now.num = old.num
	if err := p.keep(ctx, tx, old, now); err != nil {
		return err
	}
	for _, o := range ownedBy(r) {
		h, err := p.l.Blind(ctx, access.From(ctx).Tenant, "clinical.identifier", o.kind+"\x00"+o.system+"\x00"+o.value)
		if err != nil {
			return err
		}
		if err := p.claim(ctx, tx, h, o, now.num, now.patient); err != nil && !fault.Is(err, fault.Conflict) {
			return err
		}
	}
	return nil
}

// rule decides on a change of a Patient, through whichever door it comes, and keeps the ledger.
func (p patients) rule(ctx context.Context, tx record.Tx, old, new *fhir.Resource) error {
	id := ""
	if new != nil {
		id = new.ID()
	} else if old != nil {
		id = old.ID()
	}
	row, err := p.row(ctx, tx, id)
	if err != nil {
		return err
	}
	if new == nil {
		return p.leave(ctx, tx, row)
	}
	now, err := p.ofPatient(ctx, new)
	if err != nil {
		return err
	}
	now.num = row.num
	if err := p.mayMerge(ctx, tx, row, now); err != nil {
		return err
	}
	if err := p.keep(ctx, tx, row, now); err != nil {
		return err
	}
	if err := p.own(ctx, tx, now.num, id, ownedBy(new)); err != nil {
		return err
	}
	if plan := planOf(ctx); plan != nil && plan.source == id {
		return p.enterMerge(ctx, tx, plan)
	}
	return nil
}

// leave takes a deleted patient out of what is looked up. One that others were merged into cannot go: their records would lead nowhere.
func (p patients) leave(ctx context.Context, tx record.Tx, row entered) error {
	c := access.From(ctx)
	if !c.Internal() {
		var one string
		others, err := sqldb.QueryRow(ctx, tx, []any{&one}, "SELECT patient FROM clinical_patient WHERE tenant = $1 AND merged_into = $2 AND deleted_at = 0 LIMIT 1", c.Tenant, row.patient)
		if err != nil {
			return err
		}
		if others {
			return fault.New(fault.Conflict, "other patients were merged into this one: unmerge them first").WithCode("PATIENT_MERGED")
		}
	}
	if err := p.own(ctx, tx, row.num, row.patient, nil); err != nil {
		return err
	}
	if !row.stands {
		return nil
	}
	gone := entered{num: row.num, patient: row.patient, city: []byte{}, state: []byte{}, deleted: true}
	return p.keep(ctx, tx, row, gone)
}

// mayMerge holds a change against what was merged: a patient whose place another takes is not changed, and that it does is decided by merging, not by
// writing a link.
func (p patients) mayMerge(ctx context.Context, tx record.Tx, row, now entered) error {
	c := access.From(ctx)
	plan := planOf(ctx)
	if now.mergedInto == "" && row.mergedInto == "" {
		return nil
	}
	if plan == nil && row.mergedInto != "" && now.mergedInto == row.mergedInto && !c.Internal() {
		return p.merged(ctx, tx, row.patient)
	}
	if now.mergedInto == row.mergedInto {
		return nil
	}
	if plan == nil && !c.Internal() && !c.Permits("patients:merge") {
		return fault.At(fault.Forbidden, "link", "that a patient is replaced by another is said by merging them")
	}
	if now.mergedInto == "" {
		return nil
	}
	last, err := p.survivor(ctx, tx, now.mergedInto)
	if err != nil {
		return err
	}
	if last == now.patient || now.mergedInto == now.patient {
		return fault.At(fault.Conflict, "link", "a patient cannot take its own place").WithCode("MERGE_CYCLE")
	}
	return nil
}

// merged says that another patient took this one's place.
func (p patients) merged(ctx context.Context, q sqldb.Querier, id string) error {
	last, err := p.survivor(ctx, q, id)
	if err != nil {
		return err
	}
	return fault.New(fault.Conflict, "this patient was merged into Patient/%s", last).WithCode("PATIENT_MERGED")
}

// historic are types of the compartment whose references tell what was, and may name patients who were merged.
var historic = []string{"Patient", "Person", "Provenance", "AuditEvent"}

// GuardMerged is the rule, for [record.Store.Guard], that nothing new is written about a patient whose place another took, and the types that it is asked of. It only reads.
func GuardMerged(l *record.Ledger) ([]string, record.Rule) {
	var types []string
	for typ := range def.CompartmentOf("Patient").Params {
		if !slices.Contains(historic, typ) {
			types = append(types, typ)
		}
	}
	slices.Sort(types)
	return types, patients{l}.guard
}

// guard looks at the patients that a resource refers to and did not refer to before.
func (p patients) guard(ctx context.Context, tx record.Tx, old, new *fhir.Resource) error {
	if new == nil || planOf(ctx) != nil {
		return nil
	}
	refs := patientRefs(new, p.l.Base())
	if len(refs) == 0 {
		return nil
	}
	had := patientRefs(old, p.l.Base())
	for _, id := range refs {
		if slices.Contains(had, id) {
			continue
		}
		into, err := p.holdUnmerged(ctx, tx, id)
		if err != nil {
			return err
		}
		if into != "" {
			return p.merged(ctx, tx, id)
		}
	}
	return nil
}

// holdUnmerged is whom the patient was merged into, "" where it was not, and then it is not before the transaction ends.
func (p patients) holdUnmerged(ctx context.Context, tx record.Tx, id string) (string, error) {
	num, known, err := p.numOf(ctx, tx, id)
	if err != nil || !known {
		return "", err
	}
	sql := "SELECT merged_into FROM clinical_patient WHERE tenant = $1 AND num = $2"
	if sqldb.PgConn(tx) != nil {
		sql += " FOR SHARE"
	}
	var into string
	_, err = sqldb.QueryRow(ctx, tx, []any{&into}, sql, access.From(ctx).Tenant, num)
	return into, err
}

// patientRefs are the FHIR ids of the patients that a resource refers to; base is the server's own.
func patientRefs(r *fhir.Resource, base string) []string {
	if r == nil {
		return nil
	}
	var out []string
	r.Walk(func(n *fhir.Node) bool {
		if n.Name == "reference" && n.Kind == fhir.String && strings.Contains(n.Text, "Patient/") {
			if typ, id, ok := fhir.SplitReference(n.Text, base); ok && typ == "Patient" && !slices.Contains(out, id) {
				out = append(out, id)
			}
		}
		return true
	})
	return out
}
