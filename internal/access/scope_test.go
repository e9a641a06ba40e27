package access_test

import (
	"strings"
	"testing"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fhir/def"
)

func scopes(t fataler, s string) access.Scopes {
	t.Helper()
	out, err := access.ParseScopes(s)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return out
}

func TestParseScopes(t *testing.T) {
	s := scopes(t, "  openid fhirUser launch/patient offline_access  patient/Observation.read user/*.cruds openid made-up patients:read nilecare2 "+
		"system/Patient.rs user/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory&status=final ")
	if got := s.String(); strings.HasPrefix(got, " ") || strings.Contains(got, "  ") || strings.Count(got, "openid") != 1 {
		t.Errorf("%q", got)
	}
	for name, want := range map[string]bool{"openid": true, "fhirUser": true, "launch/patient": true, "launch": false, "email": false, "patients:read": true} {
		if s.Contains(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
	if got := strings.Join(s.Unknown(), " "); got != "made-up nilecare2" {
		t.Errorf("unknown: %q", got)
	}
	if got := strings.Join(s.Permissions(), " "); got != "patients:read" {
		t.Errorf("permissions: %q", got)
	}
	var got []string
	for _, r := range s.Resource() {
		got = append(got, r.Context+" "+r.Type+" "+r.Letters)
	}
	if want := "patient Observation rs,user * cruds,system Patient rs,user Observation rs"; strings.Join(got, ",") != want {
		t.Errorf("%q, want %q", got, want)
	}
	if last := s.Resource()[3]; len(last.Params) != 2 || last.Params[1].Value != "final" {
		t.Errorf("%+v", last)
	}
	if !s.Needs("patient") || scopes(t, "user/*.rs").Needs("patient") || !scopes(t, "").Empty() || s.Empty() {
		t.Error("Needs, Empty")
	}
	for word, want := range map[string]string{"read": "rs", "write": "cud", "*": "cruds", "c": "c", "cs": "cs", "rud": "rud"} {
		if got := scopes(t, "user/Patient."+word).Resource()[0].Letters; got != want {
			t.Errorf("%s is %s", word, got)
		}
	}
}

func TestParseScopesRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"patient/":                                "needs a resource type",
		"patient/Observation":                     "needs a resource type",
		"patient/Observation.":                    "letters",
		"patient/Observation.sr":                  "in this order",
		"patient/Observation.rr":                  "in this order",
		"patient/Observation.Read":                "letters",
		"patient/Observation.rx":                  "letters",
		"patient/Observations.rs":                 "no such resource type",
		"patient/HumanName.rs":                    "no such resource type",
		"patient/DomainResource.rs":               "no such resource type",
		"patient/.rs":                             "no such resource type",
		"user/Observation.rs?":                    "no search parameter",
		"user/Observation.rs?colour=red":          "no such parameter",
		"user/Observation.rs?category=":           "empty",
		"user/Observation.read?category=x":        "version 2",
		"user/Observation.rs?_count=1":            "cannot be part",
		"user/Observation.rs?_include=*":          "cannot be part",
		"user/Observation.rs?_text=x":             "cannot be part",
		"user/Observation.rs?_format=json":        "cannot be part",
		"user/Observation.rs?code:text=x":         "cannot be part",
		"user/Observation.rs?date=ap2020":         "prefix ap",
		"user/Location.rs?near=1|1":               "cannot be part",
		"user/Observation.rs?category=%zz":        "bad escape",
		"user/*.rs?category=laboratory":           "no such parameter",
		"user/Observation.rs?date=gtyesterday":    "date",
		"openid \"x\"":                            "RFC 6749",
		"öffnen":                                  "RFC 6749",
		"a\tb":                                    "RFC 6749",
		strings.Repeat("x", access.MaxScopeBytes): "", // at the bound: one unknown scope
	} {
		_, err := access.ParseScopes(text)
		if want == "" {
			if err != nil {
				t.Errorf("%.40s: %v", text, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	if _, err := access.ParseScopes(strings.Repeat("x", access.MaxScopeBytes+1)); err == nil {
		t.Error("too long")
	}
	var many strings.Builder
	for i := range access.MaxScopes + 1 {
		many.WriteString("x" + strings.Repeat("y", i%30) + strings.Repeat("z", i/30) + " ")
	}
	if _, err := access.ParseScopes(many.String()); err == nil {
		t.Error("too many")
	}
}

// TestNarrow decides scopes on real resources.
func TestNarrow(t *testing.T) {
	policies := compile(t, access.DefaultPolicies())
	w := sample(t)
	doctor := access.Principal{Tenant: 1, User: 7, Roles: []string{"doctor"}, Permissions: []string{"appointments:*", "patients:read"}, Practitioner: "Practitioner/team"}
	patient := access.Principal{Tenant: 1, User: 8, Roles: []string{"patient"}, Permissions: []string{"appointments:create"}, Patients: []string{"Patient/1"}}
	service := access.Principal{Tenant: 1, Kind: "service", Roles: []string{"service"}, Permissions: []string{"*"}}
	const lab = "category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory"
	for _, c := range []struct {
		who             access.Principal
		scopes, patient string
		a               access.Action
		yes, no         string
	}{
		{doctor, "patient/*.rs", "1", access.Read, "Patient/1 Observation/lab1 Encounter/e1 Task/k1 Practitioner/gp Organization/a Location/ward1 Schedule/s Slot/s Appointment/a1 Device/d1",
			"Patient/2 Observation/lab2 Encounter/e2 Task/k2 Binary/b Invoice/i1 Device/d2"},
		{service, "patient/*.rs", "1", access.Read, "Device/d1 Invoice/i1", "Device/d2 Binary/b Patient/2"},
		{doctor, "patient/*.rs", "", access.Read, "Practitioner/gp Location/ward1", "Patient/1 Observation/lab1 Task/k1"},
		{doctor, "patient/Observation.rs", "1", access.Search, "Observation/lab1 Observation/vital1", "Observation/lab2 Patient/1 Practitioner/gp"},
		{doctor, "patient/Observation.rs", "1", access.Create, "", "Observation/lab1"},
		{doctor, "patient/Observation.r", "1", access.Search, "", "Observation/lab1"},
		{doctor, "patient/Observation.write", "1", access.Create, "Observation/lab1", "Observation/lab2"},
		{service, "patient/*.cruds", "1", access.Update, "Patient/1", "Practitioner/gp Organization/a Schedule/s Patient/2"},
		{doctor, "patient/Observation.rs?" + lab, "1", access.Search, "Observation/lab1", "Observation/vital1 Observation/lab2"},
		{doctor, "user/Observation.rs?" + lab, "", access.Search, "Observation/lab1 Observation/lab2", "Observation/vital1"},
		{doctor, "user/Observation.rs?" + lab + "&status=amended", "", access.Search, "", "Observation/lab1 Observation/lab2"},
		{doctor, "user/Observation.rs?category=laboratory patient/Observation.rs?category=vital-signs", "1", access.Search, "Observation/lab1 Observation/lab2 Observation/vital1", "Observation/secret1"},
		{doctor, "user/Observation.rs?category=laboratory user/Observation.rs", "", access.Search, "Observation/vital1 Observation/secret1", ""},
		{doctor, "user/Observation.rs?_security=R", "", access.Search, "Observation/secret1", "Observation/lab1"},
		{doctor, "user/*.rs?_id=lab1,e1", "", access.Search, "Observation/lab1 Encounter/e1", "Observation/lab2 Patient/1"},
		{doctor, "user/*.cruds", "", access.Read, "Observation/lab1", "Invoice/i1 Patient/3"}, // what the user may not, no scope gives
		{doctor, "system/*.cruds", "", access.Delete, "Observation/lab1", "Patient/1"},
		{patient, "user/*.cruds", "", access.Read, "Observation/lab1", "Observation/lab2 Patient/2"},
		{patient, "patient/*.rs", "2", access.Read, "Practitioner/gp", "Patient/1 Patient/2 Observation/lab1 Observation/lab2"},
		{service, "system/Patient.rs", "", access.Read, "Patient/1 Patient/3", "Observation/lab1"},
		{service, "openid patients:read", "", access.Read, "", "Patient/1"},
		{service, "", "", access.Read, "", "Patient/1 Location/ward1"},
		{doctor, "nilecare", "", access.Delete, "Observation/lab1", "Patient/1"},
	} {
		g, err := scopes(t, c.scopes).Narrow(grant(t, policies, c.who), access.Launch{Patient: c.patient})
		if err != nil {
			t.Fatal(err)
		}
		for _, ref := range strings.Fields(c.yes) {
			if d := w.get(t, ref); !may(t, g.Extent(c.a, d.Type), d, w) {
				t.Errorf("%s of %v for Patient/%s may not %s %s", c.scopes, c.who.Roles, c.patient, c.a, ref)
			}
		}
		for _, ref := range strings.Fields(c.no) {
			if d := w.get(t, ref); may(t, g.Extent(c.a, d.Type), d, w) {
				t.Errorf("%s of %v for Patient/%s may %s %s", c.scopes, c.who.Roles, c.patient, c.a, ref)
			}
		}
	}
	of := grant(t, policies, doctor)
	for _, c := range []struct {
		scopes, permission string
		want               bool
	}{{"patients:read", "patients:read", true}, {"patients:read", "appointments:create", false}, {"appointments:*", "appointments:create", true},
		{"patients:delete", "patients:delete", false}, {"user/*.cruds", "patients:read", false}, {"nilecare", "appointments:create", true}} {
		g, err := scopes(t, c.scopes).Narrow(of, access.Launch{})
		if err != nil || g.Permits(c.permission) != c.want {
			t.Errorf("%s: %s is %v (%v)", c.scopes, c.permission, !c.want, err)
		}
	}
	for _, l := range []access.Launch{{Patient: "Patient/1"}, {Encounter: "a b"}} {
		if _, err := scopes(t, "patient/*.rs").Narrow(of, l); err == nil {
			t.Errorf("%+v: no error", l)
		}
	}
	if g, err := scopes(t, "user/*.rs").Narrow(nil, access.Launch{}); err != nil || !g.Extent(access.Read, "Patient").IsNone() {
		t.Error("no grant narrowed is one")
	}
	inspector, _ := scopes(t, "user/*.rs").Narrow(grant(t, policies, access.Principal{Roles: []string{"inspector"}}), access.Launch{})
	if len(inspector.Masked("Patient")) == 0 {
		t.Error("scopes took a mask off")
	}
	g, _ := scopes(t, "user/*.rs").Narrow(access.Everything(), access.Launch{})
	if c := (access.Caller{Grant: g}); c.Internal() || !g.Extent(access.Read, "Patient").IsAll() || !g.Extent(access.Create, "Patient").IsNone() {
		t.Error("everything narrowed")
	}
}

func TestSubset(t *testing.T) {
	for _, c := range []struct{ asked, allowed, want string }{
		{"openid launch profile", "openid profile", "openid profile"},
		{"patient/*.cruds", "patient/*.cruds", "patient/*.cruds"},
		{"patient/Observation.rs", "patient/*.cruds", "patient/Observation.rs"},
		{"patient/Observation.read", "patient/*.cruds", "patient/Observation.read"},
		{"patient/*.read", "patient/Observation.rs patient/Patient.r", "patient/Observation.read patient/Patient.r"},
		{"patient/Observation.*", "patient/Observation.read", "patient/Observation.read"},
		{"patient/Observation.cruds", "patient/Observation.r patient/*.s", "patient/Observation.rs"},
		{"patient/Observation.rs", "user/*.cruds", ""},
		{"user/Observation.rs?category=laboratory", "user/Observation.rs", "user/Observation.rs?category=laboratory"},
		{"user/Observation.rs", "user/Observation.r?category=laboratory", "user/Observation.r?category=laboratory"},
		{"user/Observation.rs?category=laboratory", "user/Observation.rs?status=final", "user/Observation.rs?category=laboratory&status=final"},
		{"user/Observation.rs?category=laboratory", "user/*.rs?_tag=x user/Observation.rs", "user/Observation.rs?category=laboratory"},
		{"patients:read users:write", "patients:*", "patients:read"},
		{"openid user/*.cruds patients:read", "nilecare", "openid user/*.cruds patients:read"},
		{"made-up", "made-up nilecare", ""},
		{"nilecare", "user/*.cruds", ""},
		{"user/*.rs", "", ""},
	} {
		got := scopes(t, c.asked).Subset(scopes(t, c.allowed))
		if got.String() != c.want {
			t.Errorf("of %q under %q: %q, want %q", c.asked, c.allowed, got, c.want)
		}
	}
}

// FuzzParseScopes: reading never panics; what was read is read again from its own text; a subset of itself is itself, without what
// nobody knows; and what scopes leave of a grant is never more than the grant.
func FuzzParseScopes(f *testing.F) {
	for _, s := range []string{"openid launch/patient patient/*.read", "user/Observation.rs?category=a|b&_tag=x", "system/*.cruds patients:read x", "user/*.rs?_security=R",
		"patient/Observation.rs?patient.organization=Organization/1", "user/Patient.r?_has:CareTeam:patient:participant=1", "user/Patient.rs?birthdate=gt2000"} {
		f.Add(s)
	}
	policies := compile(f, access.DefaultPolicies())
	of := grant(f, policies, access.Principal{Roles: []string{"receptionist"}, Permissions: []string{"patients:read"}})
	f.Fuzz(func(t *testing.T, text string) {
		s, err := access.ParseScopes(text)
		if err != nil {
			return
		}
		again := scopes(t, s.String())
		if again.String() != s.String() {
			t.Errorf("%q is read again as %q", s, again)
		}
		left := 0
		for _, n := range s.Subset(s).Names() {
			if !s.Contains(n) && !s.Contains("nilecare") && !strings.Contains(n, "?") {
				t.Errorf("%q under itself has %q", s, n)
			}
			left++
		}
		if !s.Empty() && left == 0 && len(s.Unknown()) < len(s.Names()) {
			t.Errorf("%q under itself is nothing", s)
		}
		g, err := s.Narrow(of, access.Launch{Patient: "1"})
		if err != nil {
			t.Fatal(err)
		}
		for _, typ := range def.ResourceTypes()[:20] {
			for a := access.Read; a <= access.Delete; a++ {
				if of.Extent(a, typ.Name).IsNone() && !g.Extent(a, typ.Name).IsNone() {
					t.Errorf("%q gives %s of %s", s, a, typ.Name)
				}
			}
		}
		if g.Permits("users:write") {
			t.Errorf("%q gives a permission", s)
		}
	})
}
