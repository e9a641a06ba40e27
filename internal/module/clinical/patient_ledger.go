package clinical

import (
	"bytes"
	"context"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/search"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/ident"
	"github.com/nilecare/nilecare/internal/names"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// The identifiers of patients.
const (
	identifierTypes  = "http://terminology.hl7.org/CodeSystem/v2-0203"
	nationalIDSystem = "urn:x-nilecare:national-id"
	mrnSystem        = "urn:x-nilecare:mrn" // and ":" with the facility's id
	nationalIDType   = "NI"
	mrnType          = "MR"
)

// patientTables are the tables about patients.
func patientTables() []record.Table {
	who := []string{"created_by", "created_at", "updated_by", "updated_at", "deleted_at"}
	return []record.Table{
		{Name: "clinical_patient", Columns: append([]string{"tenant", "num", "patient", "names", "born", "gender", "facility", "city", "state", "merged_into"}, who...)},
		{Name: "clinical_patient_key", Columns: []string{"tenant", "key", "num"}},
		{Name: "clinical_name", Columns: []string{"tenant", "kind", "part", "form", "token"}},
		{Name: "clinical_identifier", Columns: []string{"tenant", "hash", "kind", "num"}},
		{Name: "clinical_merge", Columns: append([]string{"tenant", "id", "source", "target", "reason", "moved", "undone_reason", "restored"}, who...)},
		{Name: "clinical_merge_item", Columns: []string{"tenant", "merge", "type", "resource", "version", "paths", "restored"}},
		{Name: "clinical_mrn", Columns: append([]string{"tenant", "facility", "prefix", "width", "check_digit", "next"}, who...)},
	}
}

// patients is the ledger of patients: what they are looked up by, which identifiers they alone have, and who took whose place.
type patients struct{ l *record.Ledger }

// entered is a row of clinical_patient.
type entered struct {
	num                              int64
	patient, names, gender, facility string
	born                             int64
	city, state                      []byte // blind; empty: not known
	mergedInto                       string
	stands                           bool // there is a row
	deleted                          bool
}

// ofPatient is what a Patient says for the ledger.
func (p patients) ofPatient(ctx context.Context, r *fhir.Resource) (e entered, err error) {
	e = entered{patient: r.ID(), names: namesOf(r), born: bornOn(r.Str("birthDate")), gender: r.Str("gender"), mergedInto: replacedBy(r)}
	if typ, id, ok := fhir.SplitReference(flat.RefOf(r.Get("managingOrganization")), ""); ok && typ == "Organization" {
		e.facility = id
	}
	e.city, e.state = []byte{}, []byte{}
	if a := mainAddress(r); a != nil {
		if e.city, err = p.place(ctx, "city", a.Str("city")); err == nil {
			e.state, err = p.place(ctx, "state", a.Str("state"))
		}
	}
	return e, err
}

// place is the blind index of a part of an address, as it is compared; empty for none.
func (p patients) place(ctx context.Context, part, name string) ([]byte, error) {
	if name = search.Fold(name); name == "" {
		return []byte{}, nil
	}
	return p.l.Blind(ctx, access.From(ctx).Tenant, "clinical."+part, name)
}

// maxNames is how many names of a patient are looked at.
const maxNames = 6

// namesOf are the forms of the words of each of a patient's names: words by a space, other readings of one by a slash, names by a bar.
func namesOf(r *fhir.Resource) string {
	var all []string
	for _, n := range flat.Items(r.Get("name")) {
		var forms []string
		for _, w := range names.Words(nameText(n)) {
			forms = append(forms, strings.Join(w.Forms, "/"))
		}
		if one := strings.Join(forms, " "); one != "" && !slices.Contains(all, one) && len(all) < maxNames {
			all = append(all, one)
		}
	}
	return strings.Join(all, "|")
}

// nameText is a HumanName in one text: its parts, else its text.
func nameText(n *fhir.Node) string {
	var parts []string
	for _, g := range flat.Items(n.Get("given")) {
		parts = append(parts, g.Text)
	}
	if f := n.Str("family"); f != "" {
		parts = append(parts, f)
	}
	if len(parts) == 0 {
		return n.Str("text")
	}
	return strings.Join(parts, " ")
}

// bornOn is a FHIR date as the number 19800131; 0 where there is none.
func bornOn(date string) int64 {
	parts := strings.Split(date, "-")
	var n int64
	for i, unit := range []int64{10000, 100, 1} {
		if i >= len(parts) {
			break
		}
		v, err := strconv.ParseInt(parts[i], 10, 32)
		if err != nil {
			return 0
		}
		n += v * unit
	}
	return n
}

// replacedBy is the FHIR id of the patient that takes this one's place; "" where none does.
func replacedBy(r *fhir.Resource) string {
	for _, l := range flat.Items(r.Get("link")) {
		if l.Str("type") != "replaced-by" {
			continue
		}
		if typ, id, ok := fhir.SplitReference(flat.RefOf(l.Get("other")), ""); ok && typ == "Patient" {
			return id
		}
	}
	return ""
}

// hashed is the key of what is told by the parts.
func hashed(parts ...string) int64 {
	h := fnv.New64a()
	for _, p := range parts {
		_, _ = h.Write([]byte(p))
		_, _ = h.Write([]byte{0})
	}
	return int64(h.Sum64() >> 1)
}

// token is the key of a word of a name, by its form.
func token(form string) int64 { return hashed("w", form) }

// pairKey is the key of two words of one name, in any order.
func pairKey(a, b int64) int64 {
	return hashed("p", strconv.FormatInt(min(a, b), 36), strconv.FormatInt(max(a, b), 36))
}

// bornKey is the key of a word of a name and the birth date.
func bornKey(a, born int64) int64 {
	return hashed("b", strconv.FormatInt(a, 36), strconv.FormatInt(born, 36))
}

// maxPaired is how many words of a name are paired with each other.
const maxPaired = 6

// keys are what a row is looked up by.
func (e entered) keys() []int64 {
	var out []int64
	for name := range strings.SplitSeq(e.names, "|") {
		var tokens []int64
		for w := range strings.FieldsSeq(name) {
			form, _, _ := strings.Cut(w, "/")
			tokens = append(tokens, token(form))
		}
		out = append(out, tokens...)
		if e.born != 0 {
			for _, t := range tokens {
				out = append(out, bornKey(t, e.born))
			}
		}
		tokens = tokens[:min(len(tokens), maxPaired)]
		for i := range tokens {
			for j := range i {
				out = append(out, pairKey(tokens[i], tokens[j]))
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// minus are those of a that are not in b; both are sorted.
func minus(a, b []int64) []int64 {
	var out []int64
	for _, x := range a {
		if _, has := slices.BinarySearch(b, x); !has {
			out = append(out, x)
		}
	}
	return out
}

// numOf is the number of the record that a FHIR id of a Patient means.
func (p patients) numOf(ctx context.Context, q sqldb.Querier, id string) (int64, bool, error) {
	_, num, ok, err := p.l.Meant(ctx, q, access.From(ctx).Tenant, "Patient/"+id)
	return num, ok, err
}

const selectEntered = "SELECT num, patient, names, born, gender, facility, city, state, merged_into, deleted_at <> 0 FROM clinical_patient WHERE tenant = $1 AND "

func (e *entered) scan() []any {
	return []any{&e.num, &e.patient, &e.names, &e.born, &e.gender, &e.facility, &e.city, &e.state, &e.mergedInto, &e.deleted}
}

// row reads the row of a patient; stands is false where there is none.
func (p patients) row(ctx context.Context, q sqldb.Querier, id string) (entered, error) {
	e := entered{}
	num, known, err := p.numOf(ctx, q, id)
	if err != nil || !known {
		return e, err
	}
	e.stands, err = sqldb.QueryRow(ctx, q, e.scan(), selectEntered+"num = $2", access.From(ctx).Tenant, num)
	e.num = num
	return e, err
}

// same reports that nothing differs that the row says.
func (e entered) same(o entered) bool {
	return e.names == o.names && e.born == o.born && e.gender == o.gender && e.facility == o.facility && bytes.Equal(e.city, o.city) && bytes.Equal(e.state, o.state) &&
		e.mergedInto == o.mergedInto && e.deleted == o.deleted
}

// keep brings the ledger up to what a Patient says now; old is its row.
func (p patients) keep(ctx context.Context, tx record.Tx, old entered, now entered) error {
	c := access.From(ctx)
	at := ident.Time(p.l.Next()).UnixMicro()
	var err error
	switch {
	case !old.stands:
		_, err = tx.Exec(ctx, `INSERT INTO clinical_patient (tenant, num, patient, names, born, gender, facility, city, state, merged_into, created_by, created_at, updated_by, updated_at, deleted_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $11, $13, 0)`, c.Tenant, now.num, now.patient, now.names, now.born, now.gender, now.facility, now.city, now.state,
			now.mergedInto, c.Who, ident.Time(now.num).UnixMicro(), at)
	case !old.same(now):
		gone := int64(0)
		if now.deleted {
			gone = at
		}
		_, err = tx.Exec(ctx, `UPDATE clinical_patient SET names = $3, born = $4, gender = $5, facility = $6, city = $7, state = $8, merged_into = $9, updated_by = $10, updated_at = $11,
			deleted_at = $12 WHERE tenant = $1 AND num = $2`, c.Tenant, now.num, now.names, now.born, now.gender, now.facility, now.city, now.state, now.mergedInto, c.Who, at, gone)
	}
	if err != nil {
		return err
	}
	if old.names == now.names && old.born == now.born {
		return nil
	}
	return p.rekey(ctx, tx, old, now)
}

func (p patients) rekey(ctx context.Context, tx record.Tx, old, now entered) error {
	tenant := access.From(ctx).Tenant
	had, has := old.keys(), now.keys()
	var del, add [][]any
	for _, k := range minus(had, has) {
		del = append(del, []any{tenant, k, now.num})
	}
	for _, k := range minus(has, had) {
		add = append(add, []any{tenant, k, now.num})
	}
	if err := sqldb.ExecMany(ctx, tx, "DELETE FROM clinical_patient_key WHERE tenant = $1 AND key = $2 AND num = $3", del); err != nil {
		return err
	}
	if err := sqldb.ExecMany(ctx, tx, "INSERT INTO clinical_patient_key (tenant, key, num) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", add); err != nil {
		return err
	}
	return p.learn(ctx, tx, old, now)
}

// learn enters words into the vocabulary that it does not have.
func (p patients) learn(ctx context.Context, tx record.Tx, old, now entered) error {
	tenant := access.From(ctx).Tenant
	had := strings.FieldsFunc(old.names, func(r rune) bool { return r == ' ' || r == '|' })
	var add [][]any
	for _, w := range strings.FieldsFunc(now.names, func(r rune) bool { return r == ' ' || r == '|' }) {
		if slices.Contains(had, w) {
			continue
		}
		had = append(had, w)
		forms := strings.Split(w, "/")
		var one int64
		known, err := sqldb.QueryRow(ctx, tx, []any{&one}, "SELECT token FROM clinical_name WHERE tenant = $1 AND kind = 0 AND part = $2 AND form = $3", tenant, names.Skeletons(forms[0])[0], forms[0])
		if err != nil {
			return err
		}
		if known {
			continue
		}
		t := token(forms[0])
		for _, form := range forms {
			for _, skeleton := range names.Skeletons(form) {
				add = append(add, []any{tenant, 0, skeleton, form, t})
				for _, slip := range names.Slips(skeleton) {
					add = append(add, []any{tenant, 1, slip, form, t})
				}
			}
		}
	}
	// One order for all writers, so that none waits for another who waits for it.
	slices.SortFunc(add, func(a, b []any) int {
		return strings.Compare(a[2].(string)+"\x00"+a[3].(string), b[2].(string)+"\x00"+b[3].(string))
	})
	return sqldb.ExecMany(ctx, tx, "INSERT INTO clinical_name (tenant, kind, part, form, token) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING", add)
}

// owned is an identifier that one patient alone may have.
type owned struct {
	kind, system, value string
}

// ownedBy are the identifiers of a Patient that nobody else may have: national ids, and medical record numbers by their system.
func ownedBy(r *fhir.Resource) []owned {
	var out []owned
	for _, i := range flat.Items(r.Get("identifier")) {
		system, value := i.Str("system"), normalID(i.Str("value"))
		if value == "" || i.Str("use") == "old" {
			continue
		}
		switch typ := flat.Code(i.Get("type"), identifierTypes); {
		case system == nationalIDSystem || typ == nationalIDType:
			if system == "" {
				system = nationalIDSystem
			}
			out = append(out, owned{nationalIDType, system, value})
		case system == mrnSystem || strings.HasPrefix(system, mrnSystem+":") || typ == mrnType && system != "":
			out = append(out, owned{mrnType, system, value})
		}
	}
	return out
}

// normalID is an identifier as it is compared: capitals, Latin digits, without blanks, dashes and dots.
func normalID(s string) string {
	var b strings.Builder
	for _, r := range strings.ToUpper(s) {
		switch {
		case r == ' ' || r == '-' || r == '.' || r == '‐' || r == '‑' || r == '–' || r == '\t' || r == '\u00a0' || r == '\u200f' || r == '\u200e':
		case r >= '٠' && r <= '٩':
			b.WriteRune('0' + r - '٠')
		case r >= '۰' && r <= '۹':
			b.WriteRune('0' + r - '۰')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// own brings the identifiers that the patient alone may have up to now, and refuses those that another has.
func (p patients) own(ctx context.Context, tx record.Tx, num int64, id string, now []owned) error {
	tenant := access.From(ctx).Tenant
	hashes := map[string]owned{}
	for _, o := range now {
		h, err := p.l.Blind(ctx, tenant, "clinical.identifier", o.kind+"\x00"+o.system+"\x00"+o.value)
		if err != nil {
			return err
		}
		hashes[string(h)] = o
	}
	var gone [][]any
	err := sqldb.Each(ctx, tx, func(rows sqldb.Rows) error {
		var h []byte
		if err := rows.Scan(&h); err != nil {
			return err
		}
		if _, still := hashes[string(h)]; still {
			delete(hashes, string(h))
		} else {
			gone = append(gone, []any{tenant, slices.Clone(h)})
		}
		return nil
	}, "SELECT hash FROM clinical_identifier WHERE tenant = $1 AND num = $2", tenant, num)
	if err != nil {
		return err
	}
	if err := sqldb.ExecMany(ctx, tx, "DELETE FROM clinical_identifier WHERE tenant = $1 AND hash = $2", gone); err != nil {
		return err
	}
	fresh := make([]string, 0, len(hashes))
	for h := range hashes {
		fresh = append(fresh, h)
	}
	slices.Sort(fresh)
	for _, h := range fresh {
		if err := p.claim(ctx, tx, []byte(h), hashes[h], num, id); err != nil {
			return err
		}
	}
	return nil
}

// claim gives an identifier to a patient. That of a patient who was merged into this one goes over to it.
func (p patients) claim(ctx context.Context, tx record.Tx, hash []byte, o owned, num int64, id string) error {
	tenant := access.From(ctx).Tenant
	n, err := tx.Exec(ctx, "INSERT INTO clinical_identifier (tenant, hash, kind, num) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING", tenant, hash, o.kind, num)
	if err != nil || n == 1 {
		return err
	}
	holder := entered{}
	if _, err := sqldb.QueryRow(ctx, tx, holder.scan(), selectEntered+"num = (SELECT num FROM clinical_identifier WHERE tenant = $1 AND hash = $2)", tenant, hash); err != nil {
		return err
	}
	if holder.mergedInto != "" {
		last, err := p.survivor(ctx, tx, holder.patient)
		if err != nil {
			return err
		}
		if last == id {
			_, err = tx.Exec(ctx, "UPDATE clinical_identifier SET num = $3 WHERE tenant = $1 AND hash = $2", tenant, hash, num)
			return err
		}
	}
	field, what := "nationalId", "national id"
	if o.kind == mrnType {
		field, what = "mrn", "medical record number"
	}
	return fault.At(fault.Conflict, field, "another patient has this %s", what).WithCode("DUPLICATE_ENTRY")
}

// maxChain bounds how many merges are followed.
const maxChain = 64

// survivor is the FHIR id of the patient at the end of the merges that begin with id; id itself where it was not merged.
func (p patients) survivor(ctx context.Context, q sqldb.Querier, id string) (string, error) {
	for range maxChain {
		e, err := p.row(ctx, q, id)
		if err != nil || e.mergedInto == "" {
			return id, err
		}
		id = e.mergedInto
	}
	return id, nil
}
