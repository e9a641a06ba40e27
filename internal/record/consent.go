package record

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/search"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// An active Consent whose provision denies hides the patient's record from those whom it speaks of (R4 consent.html). Its rules are rows of
// consent_rule, written with the Consent itself, so that statements can ask them: one for each combination of what the provision lists.
// A provision within a denying one that permits is an exception of it. What belongs to a patient is what that patient's key seals.
//
// Read of a provision are type, period, actor, purpose, class and securityLabel. A criterion that is not read here (action, code, data,
// dataPeriod), an actor or a class that this server does not know, would narrow the provision: so a denial that has one counts wider than
// it says, and an exception that has one not at all.

// The kinds of rules.
const (
	consentDenies  = 1
	consentExcepts = 2
)

// maxConsentRules bounds the combinations of one Consent; a denial that lists more counts for everybody.
const maxConsentRules = 500

// consentRule is one row. Empty texts stand for all.
type consentRule struct {
	kind                         int64
	part                         int64 // the denial that an exception belongs to
	actor, purpose, class, label string
	from, to                     int64 // microseconds
}

// denied is the condition that consent does not hide a resource from the caller.
type denied struct {
	search.Pred
	caller *access.Caller
	own    []int64 // the caller's own records: nobody is hidden from themselves
}

// consentTenants remembers in which tenants there is any rule: where there is none nothing is asked. What another process writes first is
// seen within a second.
type consentTenants struct {
	mu    sync.Mutex
	known map[int32]consentState
}

type consentState struct {
	there bool
	until time.Time
}

func (c *consentTenants) get(tenant int32) (there, fresh bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok := c.known[tenant]
	return s.there, ok && (s.there || time.Now().Before(s.until))
}

func (c *consentTenants) set(tenant int32, there bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil {
		c.known = map[int32]consentState{}
	}
	c.known[tenant] = consentState{there || c.known[tenant].there, time.Now().Add(time.Second)}
}

// consentBinds reports whether consent may hide resources of the type from the caller.
func (r *searching) consentBinds(typ string) (bool, error) {
	if r.caller.Emergency || typ != "Patient" && len(patientAtoms(typ)) == 0 || typ == "Consent" {
		return false, nil
	}
	there, fresh := r.s.consents.get(r.tenant)
	if fresh {
		return there, nil
	}
	look := func(q sqldb.Querier) error {
		var one int64
		found, err := sqldb.QueryRow(r.ctx, q, []any{&one}, "SELECT 1 FROM consent_rule WHERE tenant = $1 LIMIT 1", r.tenant)
		there = found
		return err
	}
	var err error
	if r.q != nil {
		err = look(r.q)
	} else {
		err = r.s.engine.Read(r.ctx, r.tenant, look)
	}
	if err == nil {
		r.s.consents.set(r.tenant, there)
	}
	return there, err
}

// ownPatients are the numbers of the Patient records that are the caller's own.
func (r *searching) ownPatients() ([]int64, error) {
	var out []int64
	for _, self := range r.caller.Self {
		if id, ok := strings.CutPrefix(self, "Patient/"); ok {
			num, known, err := r.s.numOf(r.ctx, r.q, false, r.tenant, typeNum("Patient"), id)
			if err != nil {
				return nil, err
			}
			if known {
				out = append(out, num)
			}
		}
	}
	return out, nil
}

// speaksOf writes the condition that rule row a speaks of the caller now.
func (c *compiler) speaksOf(a string, caller *access.Caller, typ string) {
	now := c.s.clock().UnixMicro()
	c.sql(a, ".actor IN (''")
	for _, self := range caller.Self {
		c.sql(",").b.Arg(self)
	}
	c.sql(") AND ", a, ".purpose IN ('', ").b.Arg(cmp.Or(caller.Purpose, "TREAT"))
	c.sql(") AND ", a, ".class IN ('', ").b.Arg(typ)
	c.sql(") AND ", a, ".valid_from <= ").b.Arg(now)
	c.sql(" AND ", a, ".valid_to > ").b.Arg(now)
}

// denials writes the SELECT of the denials that hide what belongs to the patient; label narrows to the resource x by its security labels.
func (c *compiler) denials(caller *access.Caller, typ, patient, x string) {
	c.sql("SELECT 1 FROM consent_rule d WHERE d.tenant = ").b.Arg(c.tenant)
	c.sql(" AND d.patient = ", patient, " AND d.kind = 1 AND ")
	c.speaksOf("d", caller, typ)
	c.sql(" AND ")
	c.labelled("d", typ, x)
	c.sql(" AND NOT EXISTS (SELECT 1 FROM consent_rule e WHERE e.tenant = d.tenant AND e.patient = d.patient AND e.consent = d.consent AND e.part = d.part AND e.kind = 2 AND ")
	c.speaksOf("e", caller, typ)
	c.sql(" AND ")
	c.labelled("e", typ, x)
	c.sql(")")
}

// labelled writes the condition that the resource x bears the rule's security label, where it names one.
func (c *compiler) labelled(rule, typ, x string) {
	atom := securityAtom(typ)
	if atom == nil || x == "" {
		c.sql(rule, ".label = ''")
		return
	}
	c.sql("(", rule, ".label = '' OR EXISTS (SELECT 1 FROM idx_text l WHERE l.tenant = ").b.Arg(c.tenant)
	c.sql(" AND l.atom = ").b.Int(int64(atom.ID))
	c.sql(" AND l.val = ", c.s.engine.Dialect().Bytes(rule+".label"), " AND l.num = ", x, "))")
}

func securityAtom(typ string) *search.Atom {
	refs, _, ok := search.ParamAtoms(typ, "_security")
	if !ok || len(refs) == 0 {
		return nil
	}
	return refs[0].Atom
}

// notDenied writes the condition of denied on x.
func (c *compiler) notDenied(p denied, typ int, x string) {
	c.sql("NOT EXISTS (SELECT 1 FROM record cr JOIN version cv ON cv.seq = cr.seq WHERE cr.tenant = ").b.Arg(c.tenant)
	c.sql(" AND cr.type = ").b.Int(int64(typ))
	c.sql(" AND cr.num = ", x, " AND cv.keynum > 0")
	if len(p.own) > 0 {
		c.sql(" AND cv.keynum NOT IN (")
		c.numbers(p.own)
		c.sql(")")
	}
	c.sql(" AND EXISTS (")
	c.denials(p.caller, typeName(typ), "cv.keynum", x)
	c.sql("))")
}

// deniedTo reports whether consent hides what belongs to the patient from the caller. Labels of old content are not known to the index: a
// denial by label counts.
func (r *searching) deniedTo(typ string, patient int64) (bool, error) {
	own, err := r.ownPatients()
	if err != nil || patient <= 0 || slices.Contains(own, patient) {
		return false, err
	}
	c := r.compiler()
	c.sql("SELECT 1 FROM consent_rule d WHERE d.tenant = ").b.Arg(r.tenant)
	c.sql(" AND d.patient = ").b.Arg(patient)
	c.sql(" AND d.kind = 1 AND ")
	c.speaksOf("d", &r.caller, typ)
	c.sql(" AND NOT EXISTS (SELECT 1 FROM consent_rule e WHERE e.tenant = d.tenant AND e.patient = d.patient AND e.consent = d.consent AND e.part = d.part AND e.kind = 2 AND e.label = '' AND ")
	c.speaksOf("e", &r.caller, typ)
	c.sql(") LIMIT 1")
	var one int64
	return sqldb.QueryRow(r.ctx, r.q, []any{&one}, c.b.String(), c.b.Args...)
}

// writeConsents replaces the rules of the Consents that the plan changes.
func (p *plan) writeConsents(ctx context.Context, tx Tx) error {
	for _, it := range p.items {
		if it.typ.Name != "Consent" || !it.writes() {
			continue
		}
		if _, err := tx.Exec(ctx, "DELETE FROM consent_rule WHERE tenant = $1 AND consent = $2", p.caller.Tenant, it.num); err != nil {
			return err
		}
		if it.result == Deleted {
			continue
		}
		rules := p.s.consentRules(it.res)
		id, ok := consentPatient(it.res, p.s.base)
		if len(rules) == 0 || !ok {
			continue
		}
		patient, err := p.target(ctx, "Patient", id)
		if err != nil {
			return err
		}
		if err := p.s.addConsent(ctx, tx, &p.caller, it.num, patient, rules); err != nil {
			return err
		}
		p.consented = true
	}
	return nil
}

// consentPatient returns the id of the Patient whose record a Consent is about; false where it is not one of this server's.
func consentPatient(c *fhir.Resource, base string) (string, bool) {
	patient := c.Get("patient")
	if patient == nil {
		return "", false
	}
	typ, id, ok := fhir.SplitReference(patient.Str("reference"), base)
	return id, ok && typ == "Patient"
}

func (s *Store) addConsent(ctx context.Context, tx Tx, c *access.Caller, consent, patient int64, rules []consentRule) error {
	for i, r := range rules {
		if _, err := tx.Exec(ctx, "INSERT INTO consent_rule (tenant, patient, consent, seq, kind, part, actor, purpose, class, label, valid_from, valid_to, created_by, created_at)"+
			" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
			c.Tenant, patient, consent, int64(i), r.kind, r.part, r.actor, r.purpose, r.class, r.label, r.from, r.to, c.Who, s.clock().UnixMicro()); err != nil {
			return err
		}
	}
	return nil
}

// consentAgain writes the rules of a stored Consent anew.
func (s *Store) consentAgain(ctx context.Context, v *Version) error {
	res, err := v.Resource()
	if err != nil {
		return err
	}
	rules := s.consentRules(res)
	id, ok := consentPatient(res, s.base)
	if len(rules) == 0 || !ok {
		return nil
	}
	caller := access.From(ctx)
	patient, err := s.numberFor(ctx, caller.Tenant, typeNum("Patient"), id)
	if err != nil {
		return err
	}
	return s.engine.Commit(ctx, caller.Tenant, &Job{Solo: true, Run: func(ctx context.Context, tx Tx) (*Rows, error) {
		return nil, s.addConsent(ctx, tx, &caller, v.Num, patient, rules)
	}})
}

// consentRules reads the rules of a Consent; none where it is not active, or denies nothing. A refusal of a treatment, or an advance
// directive, is none to see records; a refusal to take part in research binds research.
func (s *Store) consentRules(c *fhir.Resource) []consentRule {
	root := c.Get("provision")
	if c.Str("status") != "active" || root == nil {
		return nil
	}
	r := ruleReader{base: s.base}
	switch scope := scopeOf(c); {
	case slices.Equal(scope, []string{"adr"}), slices.Equal(scope, []string{"treatment"}):
		return nil
	case slices.Equal(scope, []string{"research"}):
		r.purposes = []string{"HRESCH", "CLINTRCH"}
	}
	r.read(root, nil, span{0, math.MaxInt64})
	return r.rules
}

func scopeOf(c *fhir.Resource) []string {
	codes, exact := codesOf(c.Get("scope").Get("coding"))
	if !exact {
		return nil
	}
	return codes
}

// ruleReader gathers the rules of a Consent.
type ruleReader struct {
	base     string
	purposes []string // of a denial that names none
	part     int64
	rules    []consentRule
}

// span is from when on and until when, exclusive, a provision counts.
type span struct{ from, to int64 }

// read takes up the denials among a provision and those within it; what one does not say, those above it do.
func (r *ruleReader) read(n *fhir.Node, above []*fhir.Node, within span) {
	within = within.meet(n.Get("period"))
	below := n.Get("provision").Items()
	path := append(slices.Clip(above), n)
	if n.Str("type") == "deny" {
		r.deny(path, below, within)
	}
	for _, m := range below {
		r.read(m, path, within)
	}
}

// nearest is the criterion as the innermost provision that has it says.
func nearest(path []*fhir.Node, name string) *fhir.Node {
	for _, n := range slices.Backward(path) {
		if v := n.Get(name); v != nil {
			return v
		}
	}
	return nil
}

func (r *ruleReader) deny(path, below []*fhir.Node, within span) {
	r.part++
	rules, _ := r.expand(path, consentDenies, within)
	if len(rules) > maxConsentRules {
		rules = []consentRule{{kind: consentDenies, part: r.part, from: within.from, to: within.to}}
	}
	r.rules = append(r.rules, rules...)
	for _, m := range below {
		if m.Str("type") != "permit" || m.Get("provision") != nil { // one that is narrowed in turn is none that can be kept
			continue
		}
		if rules, exact := r.expand([]*fhir.Node{m}, consentExcepts, within.meet(m.Get("period"))); exact && len(rules) <= maxConsentRules {
			r.rules = append(r.rules, rules...)
		}
	}
}

// expand makes a rule of each combination of what a provision lists; exact is false where it has criteria that are not read.
func (r *ruleReader) expand(path []*fhir.Node, kind int64, within span) (rules []consentRule, exact bool) {
	exact = true
	for _, name := range []string{"action", "code", "data", "dataPeriod"} {
		exact = exact && nearest(path, name) == nil
	}
	list := func(values []string, all bool) []string {
		exact = exact && all
		if len(values) == 0 || !all { // what is not understood may be anything
			return []string{""}
		}
		slices.Sort(values)
		return slices.Compact(values)
	}
	actors := list(r.actorsOf(nearest(path, "actor")))
	purposes := list(codesOf(nearest(path, "purpose")))
	if kind == consentDenies && nearest(path, "purpose") == nil && r.purposes != nil {
		purposes = r.purposes
	}
	classes := list(classesOf(nearest(path, "class")))
	labels := list(codesOf(nearest(path, "securityLabel")))
	for _, actor := range actors {
		for _, purpose := range purposes {
			for _, class := range classes {
				for _, label := range labels {
					if len(rules) <= maxConsentRules {
						rules = append(rules, consentRule{kind, r.part, actor, purpose, class, label, within.from, within.to})
					}
				}
			}
		}
	}
	return rules, exact
}

// actorsOf are the actors in the form in which callers are known; all is false where one is somebody whom this server does not know.
func (r *ruleReader) actorsOf(actors *fhir.Node) (refs []string, all bool) {
	all = true
	for _, a := range actors.Items() {
		ref := a.Get("reference").Str("reference")
		typ, id, ok := fhir.SplitReference(ref, r.base)
		switch {
		case ok:
			refs = append(refs, typ+"/"+id)
		case strings.HasPrefix(ref, "http:") || strings.HasPrefix(ref, "https:"):
			refs = append(refs, ref) // of another server: nobody here
		default:
			all = false
		}
	}
	return refs, all
}

// codesOf are the codes; all is false where a coding has none.
func codesOf(codings *fhir.Node) (codes []string, all bool) {
	all = true
	for _, c := range codings.Items() {
		code := c.Str("code")
		all = all && code != ""
		codes = append(codes, code)
	}
	return codes, all
}

// classesOf are the resource types; all is false where something else is listed, such as a kind of document.
func classesOf(codings *fhir.Node) (types []string, all bool) {
	types, all = codesOf(codings)
	for _, t := range types {
		all = all && typeNum(t) != 0
	}
	return types, all
}

// meet narrows the span to a period.
func (s span) meet(period *fhir.Node) span {
	from, to := periodOf(period)
	return span{max(s.from, from), min(s.to, to)}
}

// periodOf reads the span in which a provision counts: from the beginning of its first day to the end of its last.
func periodOf(n *fhir.Node) (from, to int64) {
	to = math.MaxInt64
	if n == nil {
		return 0, to
	}
	if lo, _, ok := search.DateSpan(n.Str("start")); ok {
		from = lo
	}
	if _, hi, ok := search.DateSpan(n.Str("end")); ok {
		to = hi + 1
	}
	return from, to
}
