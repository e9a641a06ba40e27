package clinical

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// MaxMoved is how many records one merge moves at most: they are one set of changes.
const MaxMoved = 5000

// mergeTries is how often a merge begins anew because others wrote about the patient meanwhile.
const mergeTries = 8

// Merge says what a merge of two patients did.
type Merge struct {
	ID             string  `json:"id"`
	SourceID       string  `json:"sourceId" doc:"the patient who was merged away"`
	TargetID       string  `json:"targetId" doc:"the patient who stays"`
	Reason         *string `json:"reason"`
	Moved          int     `json:"moved" doc:"records that came to the target"`
	MergedAt       string  `json:"mergedAt"`
	MergedBy       string  `json:"mergedBy"`
	UnmergedAt     *string `json:"unmergedAt"`
	UnmergedBy     *string `json:"unmergedBy"`
	UnmergeReason  *string `json:"unmergeReason"`
	Restored       *int    `json:"restored" doc:"of the moved records, those that went back"`
	LeftWithTarget *int    `json:"leftWithTarget" doc:"of the moved records, those that have been deleted or pointed elsewhere since"`
}

// mergePlan is a merge or its undoing under way: the rule of Patient enters it into the ledger, in the transaction of the set.
type mergePlan struct {
	id             int64
	source, target string // FHIR ids
	reason         []byte // sealed
	undo           bool
	moves          []*moved
}

// moved is a record whose references a merge changes.
type moved struct {
	record.Referrer
	paths map[string]string // where the references stand, and what stood there
}

type mergePlanKey struct{}

func planOf(ctx context.Context) *mergePlan {
	p, _ := ctx.Value(mergePlanKey{}).(*mergePlan)
	return p
}

// errMoved says that records came or went between the list of what to move and the transaction.
var errMoved = fault.New(fault.Conflict, "others write about this patient all the time: try again").WithCode("MERGE_BUSY")

// Merge merges the patient source into target, both by ids of the product API: the source becomes inactive and says who replaces it, and all records that
// point to it come to point to the target. Nothing is lost: Unmerge undoes it.
func (s *Service) Merge(ctx context.Context, source, target, reason string) (*Merge, error) {
	from, into, err := s.bothPatients(ctx, source, target)
	if err != nil {
		return nil, err
	}
	plan := &mergePlan{id: s.Ledger.Next(), source: from.Version.ID, target: into.Version.ID}
	if plan.reason, err = s.sealReason(ctx, plan.id, reason); err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		if err = s.tryMerge(ctx, plan, from.VID, into.VID); err == nil {
			return s.mergeByID(ctx, plan.id)
		}
		if try == mergeTries || !retried(err) {
			return nil, mergeRefused(err)
		}
		if from, into, err = s.bothPatients(ctx, source, target); err != nil {
			return nil, err
		}
	}
}

// retried reports a failure after which the same merge may succeed, with a fresh look at what there is.
func retried(err error) bool {
	return errors.Is(err, errMoved) || fault.Is(err, fault.VersionConflict) || fault.Is(err, fault.Gone) || fault.Is(err, fault.NotFound)
}

// mergeRefused says what a merge met that does not go away: records that are withheld from the caller look as if they were not there.
func mergeRefused(err error) error {
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Gone) {
		return fault.New(fault.Conflict, "some records of the patient are withheld from you by a consent: somebody who may see all of them has to merge").WithCode("RECORDS_WITHHELD")
	}
	return err
}

// bothPatients reads the two as the caller sees them, and refuses what cannot be merged.
func (s *Service) bothPatients(ctx context.Context, source, target string) (from, into *flat.Record, err error) {
	if from, err = s.readPatient(ctx, source); err != nil {
		return nil, nil, err
	}
	if into, err = s.readPatient(ctx, target); err != nil {
		if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Gone) {
			err = fault.At(fault.Unprocessable, "into", "there is no patient with this id")
		}
		return nil, nil, err
	}
	if from.Num == into.Num {
		return nil, nil, fault.At(fault.Invalid, "into", "a patient cannot be merged into itself").WithCode("value")
	}
	for _, one := range []*flat.Record{from, into} {
		if replacedBy(one.Res) != "" {
			return nil, nil, s.mergedAway(ctx, one)
		}
	}
	return from, into, nil
}

// mergedAway says of a patient who was merged which one to use.
func (s *Service) mergedAway(ctx context.Context, one *flat.Record) error {
	last, err := s.survivorOf(ctx, one)
	if err != nil {
		return err
	}
	return fault.New(fault.Conflict, "patient %s was merged into patient %s", one.Key(), last).WithCode("PATIENT_MERGED")
}

// survivorOf is the product API's id of the patient that took the place of one.
func (s *Service) survivorOf(ctx context.Context, one *flat.Record) (string, error) {
	var last string
	err := s.Ledger.View(ctx, access.From(ctx).Tenant, func(q sqldb.Querier) (err error) {
		last, err = patients{s.Ledger}.survivor(ctx, q, one.Version.ID)
		return err
	})
	if err != nil {
		return "", err
	}
	return s.Records.IDOf(ctx, "Patient", last)
}

// toMove are the records that point to a patient, without those that tell of the past.
func (p patients) toMove(ctx context.Context, q sqldb.Querier, patient string) ([]record.Referrer, error) {
	all, err := p.l.Referrers(ctx, q, access.From(ctx).Tenant, "Patient", patient, MaxMoved+maxChain+1)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(r record.Referrer) bool { return slices.Contains(historic, r.Type) }), nil
}

func (s *Service) tryMerge(ctx context.Context, plan *mergePlan, sourceVersion, targetVersion int64) error {
	tenant := access.From(ctx).Tenant
	var refs []record.Referrer
	err := s.Ledger.View(ctx, tenant, func(q sqldb.Querier) (err error) {
		refs, err = patients{s.Ledger}.toMove(ctx, q, plan.source)
		return err
	})
	if err != nil {
		return err
	}
	if len(refs) > MaxMoved {
		return fault.New(fault.Unprocessable, "the patient has more than %d records: merge the other way round, or split the work by the FHIR API", MaxMoved).WithCode("too-costly")
	}
	plan.moves = []*moved{
		{Referrer: record.Referrer{Type: "Patient", ID: plan.source, VID: sourceVersion}},
		{Referrer: record.Referrer{Type: "Patient", ID: plan.target, VID: targetVersion}},
	}
	changes := []record.Change{
		plan.patch(plan.moves[0], func(r *fhir.Resource, _ *moved) error {
			r.Set("active", fhir.NewBool(false))
			return link(r, "replaced-by", plan.target)
		}),
		plan.patch(plan.moves[1], func(r *fhir.Resource, _ *moved) error { return link(r, "replaces", plan.source) }),
	}
	for _, ref := range refs {
		m := &moved{Referrer: ref}
		plan.moves = append(plan.moves, m)
		changes = append(changes, plan.patch(m, func(r *fhir.Resource, m *moved) error {
			m.paths = repoint(r, plan.source, plan.target, s.Records.Base)
			return nil
		}))
	}
	_, err = s.Records.Write(plan.within(ctx), changes...)
	return err
}

// within is the context that the plan's set is written in: its permission was checked, and nothing but references to the two patients changes.
func (plan *mergePlan) within(ctx context.Context) context.Context {
	return access.Elevated(merging(context.WithValue(ctx, mergePlanKey{}, plan)))
}

func (plan *mergePlan) patch(m *moved, f func(*fhir.Resource, *moved) error) record.Change {
	return record.Change{Op: record.Patch, Type: m.Type, ID: m.ID, IfMatch: m.VID, Apply: func(r *fhir.Resource) (*fhir.Resource, error) { return r, f(r, m) }}
}

// link adds a link to another patient, once.
func link(r *fhir.Resource, kind, other string) error {
	for _, l := range flat.Items(r.Get("link")) {
		if l.Str("type") == kind && flat.RefOf(l.Get("other")) == "Patient/"+other {
			return nil
		}
	}
	return appendTo(r.Node, "link", obj{"type": kind, "other": obj{"reference": "Patient/" + other}})
}

// unlink removes the links to another patient of that kind.
func unlink(r *fhir.Resource, kind, other, base string) error {
	var kept []any
	for _, l := range flat.Items(r.Get("link")) {
		typ, id, ok := fhir.SplitReference(flat.RefOf(l.Get("other")), base)
		if ok && typ == "Patient" && id == other && l.Str("type") == kind {
			continue
		}
		kept = append(kept, json.RawMessage(l.AppendJSON(nil)))
	}
	return flat.Set(r.Node, "link", kept)
}

// repoint makes all references to one patient point to another, and returns where they stood and how they were written.
func repoint(r *fhir.Resource, from, to, base string) map[string]string {
	paths := map[string]string{}
	eachReference(r.Node, "", func(path string, n *fhir.Node) {
		if typ, id, ok := fhir.SplitReference(n.Text, base); ok && typ == "Patient" && id == from {
			paths[path] = n.Text
			n.Text = "Patient/" + to
		}
	})
	return paths
}

// eachReference calls f for the texts of all literal references below n, with their places: "participant[1].actor.reference".
func eachReference(n *fhir.Node, at string, f func(path string, n *fhir.Node)) {
	i := 0
	for c := n.First(); c != nil; c = c.Next() {
		path := at + "[" + strconv.Itoa(i) + "]"
		if n.Kind == fhir.Object {
			path = strings.TrimPrefix(at+"."+c.Name, ".")
		}
		i++
		switch {
		case c.Kind == fhir.Object || c.Kind == fhir.Array:
			eachReference(c, path, f)
		case c.Kind == fhir.String && c.Name == "reference" && n.Kind == fhir.Object:
			f(path, c)
		}
	}
}

// Unmerge undoes the last merge of the patient, by an id of the product API: it is active again, and those records go back to it which still point to
// where the merge put them.
func (s *Service) Unmerge(ctx context.Context, source, reason string) (*Merge, error) {
	from, err := s.readPatient(ctx, source)
	if err != nil {
		return nil, err
	}
	if replacedBy(from.Res) == "" {
		return nil, fault.New(fault.Conflict, "this patient is not merged into another").WithCode("NOT_MERGED")
	}
	for try := 1; ; try++ {
		var id int64
		if id, err = s.tryUnmerge(ctx, from.Version.ID, reason); err == nil {
			return s.mergeByID(ctx, id)
		}
		if try == mergeTries || !retried(err) {
			return nil, mergeRefused(err)
		}
	}
}

func (s *Service) tryUnmerge(ctx context.Context, source, reason string) (int64, error) {
	plan, items, still, err := s.undoing(ctx, source)
	if err != nil {
		return 0, err
	}
	if plan.reason, err = s.sealReason(ctx, plan.id, reason); err != nil {
		return 0, err
	}
	was := true // whether the source was active before
	if v, err := s.Records.Store.ReadVersion(access.Elevated(ctx), "Patient", source, items["Patient/"+source].VID); err == nil {
		if r, err := v.Resource(); err == nil && r.Get("active") != nil {
			was = r.Get("active").Text != "false"
		}
	}
	base := s.Records.Base
	changes := []record.Change{
		{Op: record.Patch, Type: "Patient", ID: source, Apply: func(r *fhir.Resource) (*fhir.Resource, error) {
			r.Set("active", fhir.NewBool(was))
			return r, unlink(r, "replaced-by", plan.target, base)
		}},
		{Op: record.Patch, Type: "Patient", ID: plan.target, Apply: func(r *fhir.Resource) (*fhir.Resource, error) {
			return r, unlink(r, "replaces", source, base)
		}},
	}
	for _, ref := range still {
		item := items[ref.Type+"/"+ref.ID]
		if item == nil || ref.Type == "Patient" {
			continue
		}
		m := &moved{Referrer: ref}
		plan.moves = append(plan.moves, m)
		changes = append(changes, plan.patch(m, func(r *fhir.Resource, m *moved) error {
			m.paths = map[string]string{}
			eachReference(r.Node, "", func(path string, n *fhir.Node) {
				typ, id, ok := fhir.SplitReference(n.Text, base)
				if was := item.paths[path]; was != "" && ok && typ == "Patient" && id == plan.target {
					m.paths[path], n.Text = n.Text, was
				}
			})
			return nil
		}))
	}
	_, err = s.Records.Write(plan.within(ctx), changes...)
	return plan.id, err
}

// undoing reads the merge to undo: what it moved, and what points to the target now.
func (s *Service) undoing(ctx context.Context, source string) (*mergePlan, map[string]*moved, []record.Referrer, error) {
	tenant := access.From(ctx).Tenant
	p := patients{s.Ledger}
	plan := &mergePlan{source: source, undo: true}
	items := map[string]*moved{}
	var still []record.Referrer
	err := s.Ledger.View(ctx, tenant, func(q sqldb.Querier) error {
		found, err := sqldb.QueryRow(ctx, q, []any{&plan.id, &plan.target}, "SELECT id, target FROM clinical_merge WHERE tenant = $1 AND source = $2 AND deleted_at = 0 ORDER BY id DESC LIMIT 1", tenant, source)
		if err != nil {
			return err
		}
		if !found {
			return fault.New(fault.Conflict, "this patient was replaced by another without a merge of this system: change its link by the FHIR API").WithCode("NOT_MERGED")
		}
		target, err := p.row(ctx, q, plan.target)
		if err != nil {
			return err
		}
		if target.mergedInto != "" {
			return fault.New(fault.Conflict, "the patient that it was merged into was merged in turn: undo that first").WithCode("PATIENT_MERGED")
		}
		err = sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
			m := &moved{}
			var paths string
			if err := rows.Scan(&m.Type, &m.ID, &m.VID, &paths); err != nil {
				return err
			}
			items[m.Type+"/"+m.ID] = m
			return json.Unmarshal([]byte(paths), &m.paths)
		}, "SELECT type, resource, version, paths FROM clinical_merge_item WHERE tenant = $1 AND merge = $2", tenant, plan.id)
		if err != nil {
			return err
		}
		still, err = p.l.Referrers(ctx, q, tenant, "Patient", plan.target, 1<<30)
		return err
	})
	return plan, items, still, err
}

// sealReason seals why two patients are merged, or no longer are: it may tell of them.
func (s *Service) sealReason(ctx context.Context, id int64, reason string) ([]byte, error) {
	if reason == "" {
		return []byte{}, nil
	}
	return s.Ledger.Seal(ctx, access.From(ctx).Tenant, "clinical.merge/"+strconv.FormatInt(id, 10), []byte(reason))
}
