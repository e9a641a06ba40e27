package identity_test

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/audit"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/module/identity"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/storetest"
)

// put writes a resource and returns its reference.
func (w *world) put(tenant int32, text string) string {
	w.t.Helper()
	res, err := fhir.ParseResource([]byte(text))
	if err != nil {
		w.t.Fatal(err)
	}
	out, err := w.store.Write(system(tenant), []record.Change{{Op: record.Create, Type: res.Type(), Resource: res}})
	if err != nil {
		w.t.Fatal(err)
	}
	return res.Type() + "/" + out[0].Version.ID
}

// sees reports whether whoever has the token reads the resource from the record.
func (w *world) sees(token, ref string) bool {
	w.t.Helper()
	c, err := w.s.Authenticate(system(1), identity.Credentials{Bearer: token})
	if err != nil {
		w.t.Fatal(err)
	}
	typ, of, _ := strings.Cut(ref, "/")
	_, err = w.store.Read(access.With(w.t.Context(), c), typ, of)
	if err != nil && fault.KindOf(err) == fault.Internal {
		w.t.Fatal(err)
	}
	return err == nil
}

func (w *world) restricted(patient string) string {
	return w.put(1, `{"resourceType":"Observation","status":"final","meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"R"}]},
		"code":{"text":"x"},"subject":{"reference":"`+patient+`"}}`)
}

// TestEmergencyOfOnePatient: what is restricted opens for the patient that the emergency is about, and for nobody else; it closes by time or by hand; a
// reviewer finds it in the queue once it has ended, and is never the one who took it.
func TestEmergencyOfOnePatient(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		w.user(1, "doctor@example.org", "doctor")
		w.user(1, "nurse@example.org", "nurse")
		w.user(1, "director@example.org", "medical_director")
		w.user(1, "officer@example.org", "compliance_officer")
		w.user(1, "clerk@example.org", "billing_clerk")
		amina, badr := w.put(1, `{"resourceType":"Patient","name":[{"family":"A"}]}`), w.put(1, `{"resourceType":"Patient","name":[{"family":"B"}]}`)
		ofAmina, ofBadr := w.restricted(amina), w.restricted(badr)
		doctor, nurse, director, officer, clerk := w.token("doctor@example.org"), w.token("nurse@example.org"), w.token("director@example.org"),
			w.token("officer@example.org"), w.token("clerk@example.org")
		if w.sees(doctor, ofAmina) || w.sees(doctor, ofBadr) || !w.sees(doctor, amina) {
			t.Fatal("the policy of restricted records is not in force")
		}
		reason := "unconscious, no relative can be reached"
		for name, x := range map[string]struct {
			token string
			body  m
			want  int
		}{
			"nobody":         {"", m{"patient": amina, "reason": reason}, 401},
			"no permission":  {clerk, m{"patient": amina, "reason": reason}, 403},
			"short reason":   {doctor, m{"patient": amina, "reason": "because"}, 400},
			"blank reason":   {doctor, m{"patient": amina, "reason": "because" + strings.Repeat(" ", 40)}, 400},
			"too long":       {doctor, m{"patient": amina, "reason": reason, "minutes": 241}, 400},
			"no reference":   {doctor, m{"patient": "3", "reason": reason}, 400},
			"malformed id":   {doctor, m{"patient": "Patient/3 4", "reason": reason}, 400},
			"another's type": {doctor, m{"patient": "Group/3", "reason": reason}, 400},
		} {
			w.want(name, w.do("POST", "/api/v1/break-glass", x.token, x.body), x.want)
		}
		a := w.do("POST", "/api/v1/break-glass", doctor, m{"patient": amina, "reason": reason, "minutes": 10})
		w.want("break", a, 201)
		if !w.sees(doctor, ofAmina) || w.sees(doctor, ofBadr) || w.sees(nurse, ofAmina) {
			t.Errorf("open: %v, another's: %v, a colleague: %v", w.sees(doctor, ofAmina), w.sees(doctor, ofBadr), w.sees(nurse, ofAmina))
		}
		path := "/api/v1/break-glass/" + a.text("breakGlass.id")
		queue := func(token, state string) int {
			l, _ := w.do("GET", "/api/v1/break-glass?state="+state, token, nil).at("breakGlass").([]any)
			return len(l)
		}
		if queue(officer, "active") != 1 || queue(officer, "review") != 0 || queue(doctor, "active") != 1 || queue(nurse, "active") != 0 {
			t.Error("lists while it lasts")
		}
		w.want("a state that is none", w.do("GET", "/api/v1/break-glass?state=open", officer, nil), 400)
		verdict := m{"verdict": "justified", "note": "seen"}
		w.want("too early", w.do("POST", path+"/review", officer, verdict), 409)
		w.clock.add(10*time.Minute + time.Second)
		if w.sees(doctor, ofAmina) {
			t.Error("it goes on after its time")
		}
		if queue(officer, "review") != 1 || queue(officer, "active") != 0 {
			t.Error("it is not in the queue")
		}
		w.want("not a reviewer", w.do("POST", path+"/review", doctor, verdict), 403)
		w.want("no verdict", w.do("POST", path+"/review", officer, m{"verdict": "fine"}), 400)
		w.want("review", w.do("POST", path+"/review", officer, verdict), 200)
		w.want("twice", w.do("POST", path+"/review", director, verdict), 409)
		if queue(officer, "review") != 0 || queue(officer, "reviewed") != 1 {
			t.Error("it is still in the queue")
		}
		// Whoever may do both does not review what they took; another does.
		own := w.do("POST", "/api/v1/break-glass", director, m{"patient": badr, "reason": reason})
		w.want("break", own, 201)
		path = "/api/v1/break-glass/" + own.text("breakGlass.id")
		w.want("another ends it", w.do("DELETE", path, doctor, nil), 404)
		w.want("end", w.do("DELETE", path, director, nil), 200)
		w.want("one's own", w.do("POST", path+"/review", director, verdict), 403)
		w.want("another's", w.do("POST", path+"/review", officer, m{"verdict": "unjustified"}), 200)
	})
}

// TestEmergencyIsAudited: as a security event of high severity, with reason and patient; so are its end and its review.
func TestEmergencyIsAudited(t *testing.T) {
	var n notes
	w := newWorld(t, storetest.SQLite(t, record.Options{Audit: &n, Tables: identity.Tables()}), nil)
	w.user(1, "doctor@example.org", "doctor")
	w.user(1, "officer@example.org", "compliance_officer")
	doctor, officer := w.token("doctor@example.org"), w.token("officer@example.org")
	a := w.do("POST", "/api/v1/break-glass", doctor, m{"patient": "Patient/3", "reason": "unconscious, no relative can be reached"})
	path := "/api/v1/break-glass/" + a.text("breakGlass.id")
	w.want("end", w.do("DELETE", path, doctor, nil), 200)
	w.want("review", w.do("POST", path+"/review", officer, m{"verdict": "unjustified"}), 200)
	n.mu.Lock()
	defer n.mu.Unlock()
	for action, severity := range map[string]string{"break-glass": "high", "break-glass-end": "low", "break-glass-review": "high"} {
		i := slices.IndexFunc(n.all, func(e audit.Entry) bool { return e.Action == action })
		if i < 0 || n.all[i].Kind != audit.Security || n.all[i].Severity != severity {
			t.Errorf("%s: %+v", action, n.all)
		}
		if action == "break-glass" && (!strings.Contains(n.all[i].Detail, "Patient/3") || !strings.Contains(n.all[i].Detail, "no relative")) {
			t.Errorf("%+v", n.all[i])
		}
	}
}

// TestTenantsByHTTP: the first tenant's administrators keep the list; nobody of a tenant that is suspended is served; an export has the tenant's records
// and no other's; requests find their tenant by host or header.
func TestTenantsByHTTP(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		w.user(1, "admin@example.org", "admin")
		w.user(1, "doctor@example.org", "doctor")
		admin, doctor := w.token("admin@example.org"), w.token("doctor@example.org")
		w.want("no permission", w.do("POST", "/api/v1/tenants", doctor, m{"name": "Omdurman"}), 403)
		w.want("no name", w.do("POST", "/api/v1/tenants", admin, m{"name": " "}), 400)
		two := w.do("POST", "/api/v1/tenants", admin, m{"name": "Omdurman"})
		w.want("create", two, 201)
		w.want("create", w.do("POST", "/api/v1/tenants", admin, m{"name": "Kassala"}), 201)
		u, err := w.s.Setup(system(2), 2, two.text("tenant.setupToken"), identity.NewUser{Email: "amna@example.org", Password: password})
		if err != nil {
			t.Fatal(err)
		}
		in, err := w.s.Begin(system(2), 2, u.ID, identity.ByMFA, false, "127.0.0.1", "test")
		if err != nil {
			t.Fatal(err)
		}
		other := in.AccessToken
		for _, x := range [][2]string{{"GET", ""}, {"POST", ""}, {"GET", "/2"}, {"PATCH", "/2"}, {"POST", "/2/suspend"}, {"POST", "/2/resume"}, {"POST", "/2/export"}, {"DELETE", "/2"}} {
			var body any
			if x[0] != "GET" {
				body = m{"name": "x"}
			}
			w.want("another tenant's administrator", w.do(x[0], "/api/v1/tenants"+x[1], other, body), 403)
		}
		w.want("another tenant's number", w.do("GET", "/api/v1/tenants/9", admin, nil), 404)
		a := w.do("PATCH", "/api/v1/tenants/2", admin, m{"name": "Omdurman Hospital", "hosts": []string{"Omdurman.Example.org:443", "om.example.org."}})
		w.want("patch", a, 200)
		if a.text("tenant.name") != "Omdurman Hospital" || fmt.Sprint(a.at("tenant.hosts")) != "[om.example.org omdurman.example.org]" {
			t.Errorf("%s", a.raw)
		}
		w.want("another's name", w.do("PATCH", "/api/v1/tenants/3", admin, m{"hosts": []string{"om.example.org"}}), 409)
		w.want("no name of a host", w.do("PATCH", "/api/v1/tenants/3", admin, m{"hosts": []string{"a b"}}), 400)
		w.want("patch", w.do("PATCH", "/api/v1/tenants/3", admin, m{"hosts": []string{"kassala.example.org"}}), 200)
		for _, x := range []struct {
			host, header string
			want         int32
			kind         fault.Kind
		}{
			{"om.example.org:8443", "", 2, 0}, {"OM.example.org", "2", 2, 0}, {"om.example.org", "3", 0, fault.Invalid}, {"other.example.org", "", 0, 0},
			{"other.example.org", "3", 3, 0}, {"", "1", 1, 0}, {"", "x", 0, fault.Invalid}, {"", "-1", 0, fault.Invalid}, {"", "99", 0, fault.Forbidden}, {"", "", 0, 0},
		} {
			got, err := w.s.TenantOf(t.Context(), x.host, x.header)
			if x.kind == 0 && (err != nil || got != x.want) || x.kind != 0 && !fault.Is(err, x.kind) {
				t.Errorf("%q %q: %d %v", x.host, x.header, got, err)
			}
		}
		mine, theirs := w.put(1, `{"resourceType":"Patient","name":[{"family":"Mine"}]}`), w.put(2, `{"resourceType":"Patient","name":[{"family":"Theirs"}]}`)
		e := w.do("POST", "/api/v1/tenants/2/export", admin, nil)
		w.want("export", e, 200)
		if text := string(e.raw); !strings.Contains(text, `"Theirs"`) || strings.Contains(text, `"Mine"`) || strings.Count(text, "\n") != 1 || e.header.Get("Content-Type") != "application/x-ndjson" {
			t.Errorf("%s %s: %s", mine, theirs, text)
		}
		w.want("served", w.do("GET", "/api/v1/auth/me", other, nil), 200)
		w.want("suspend", w.do("POST", "/api/v1/tenants/2/suspend", admin, nil), 200)
		w.want("suspended", w.do("GET", "/api/v1/auth/me", other, nil), 403)
		if _, err := w.s.TenantOf(t.Context(), "om.example.org", ""); !fault.Is(err, fault.Forbidden) {
			t.Errorf("a host of a suspended tenant: %v", err)
		}
		w.want("suspended already", w.do("POST", "/api/v1/tenants/2/suspend", admin, nil), 409)
		w.want("exported all the same", w.do("POST", "/api/v1/tenants/2/export", admin, nil), 200)
		w.want("resume", w.do("POST", "/api/v1/tenants/2/resume", admin, nil), 200)
		w.want("served again", w.do("GET", "/api/v1/auth/me", other, nil), 200)
		d := w.do("DELETE", "/api/v1/tenants/2", admin, nil)
		w.want("delete", d, 200)
		if d.text("tenant.status") != identity.TenantDeleting || d.text("tenant.deleteAt") == "" {
			t.Errorf("%s", d.raw)
		}
		w.clock.add(identity.Grace + time.Hour)
		// The keys go, as the program's upkeep has them go.
		err = w.s.DueTenants(system(1), destroyer(w))
		if err != nil {
			t.Fatal(err)
		}
		admin = w.token("admin@example.org")
		w.want("export of what is gone", w.do("POST", "/api/v1/tenants/2/export", admin, nil), 409)
		w.want("its host may be another's", w.do("PATCH", "/api/v1/tenants/3", admin, m{"hosts": []string{"om.example.org"}}), 200)
		w.want("a deleted tenant does not change", w.do("PATCH", "/api/v1/tenants/2", admin, m{"name": "x"}), 409)
		if got, err := w.s.Tenant(t.Context(), 2); err != nil || got.Status != identity.TenantDeleted {
			t.Errorf("%+v %v", got, err)
		}
		if _, err := w.s.Tenant(t.Context(), 77); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
		if got, err := w.s.Tenant(t.Context(), 1); err != nil || got.Status != identity.TenantActive {
			t.Errorf("%+v %v", got, err)
		}
	})
}

const claimsPath = "/api/v1/identity-verifications"

func claim(family, given, born, system, value string) m {
	return m{"familyName": family, "givenName": given, "birthDate": born, "identifier": m{"system": system, "value": value}}
}

const amina = `{"resourceType":"Patient","name":[{"family":"حسن","given":["آمنة"]},{"family":"Hassan","given":["Amina","Ali"]}],"birthDate":"1990-02-03",
	"identifier":[{"system":"urn:mrn","value":"A-77"}],"telecom":[{"system":"email","value":"old@example.org","use":"old"},
	{"system":"email","value":"gone@example.org","period":{"end":"2001-01-01"}},{"system":"phone","value":"+249912345678"},{"system":"email","value":"amina.at.home@example.org"}]}`

var eightDigits = regexp.MustCompile(`(?m)^[0-9]{8}$`)

// linkCode reads the code that was mailed to the record's address; "" where no letter went out.
func (w *world) linkCode(p *post) string {
	w.t.Helper()
	sent := w.letters(p)
	if len(sent) == 0 {
		return ""
	}
	if len(sent) != 1 || sent[0]["to"] != "amina.at.home@example.org" {
		w.t.Fatalf("%v", sent)
	}
	text, _ := sent[0]["text"].(string)
	if strings.Contains(text, "http") {
		w.t.Errorf("a link, where a code alone should be: %s", text)
	}
	return eightDigits.FindString(text)
}

// TestLinkByCode: the code goes to the address on the record, not the account's; it is good once, for 30 minutes and five tries, and for the account that
// asked; what is told is the same for whoever the clinic does not know.
func TestLinkByCode(t *testing.T) {
	p := &post{}
	each(t, withMail(p), func(t *testing.T, w *world) {
		ref := w.put(1, amina)
		w.user(1, "amina@example.org", "patient")
		w.user(1, "thief@example.org", "patient")
		tok, thief := w.token("amina@example.org"), w.token("thief@example.org")
		right := claim(" hassan ", "AMINA", "1990-02-03", "urn:mrn", "A-77")
		w.want("nobody", w.do("POST", claimsPath, "", right), 401)
		a, b := w.do("POST", claimsPath, tok, right), w.do("POST", claimsPath, thief, claim("Nobody", "Atall", "1990-02-03", "urn:mrn", "A-78"))
		w.want("claim", a, 202)
		w.want("claim of nobody", b, 202)
		shape := func(x *answer) string {
			return regexp.MustCompile(`"(id|createdAt|timestamp|requestId)":"[^"]*"`).ReplaceAllString(string(x.raw), "")
		}
		if shape(a) != shape(b) {
			t.Errorf("%s\n%s", a.raw, b.raw)
		}
		code := w.linkCode(p)
		if code == "" {
			t.Fatal("no code came")
		}
		confirm := func(x *answer, token, code string) *answer {
			return w.do("POST", claimsPath+"/"+x.text("verification.id")+"/confirm", token, m{"code": code})
		}
		no := confirm(b, thief, "00000000")
		w.want("no code was sent", no, 400)
		w.want("another's", confirm(a, thief, code), 400)
		wrong := confirm(a, tok, fmt.Sprintf("%08d", (atoi(code)+1)%100000000))
		w.want("wrong", wrong, 400)
		if shape(no) != shape(wrong) || wrong.text("error.code") != "INVALID_CODE" {
			t.Errorf("%s %s", no.raw, wrong.raw)
		}
		// The account sees that it waits, and not what matched.
		if l := w.do("GET", claimsPath, tok, nil); strings.Contains(string(l.raw), "Patient/") || strings.Count(string(l.raw), `"userId"`) != 2 { // named twice in an answer
			t.Errorf("%s", l.raw)
		}
		w.want("an account does not approve", w.do("POST", claimsPath+"/"+a.text("verification.id")+"/approve", tok, nil), 403)
		w.want("right", confirm(a, tok, code[:4]+" "+code[4:]), 200)
		w.want("again", confirm(a, tok, code), 400)
		me := w.do("GET", "/api/v1/auth/me", tok, nil)
		if !strings.Contains(string(me.raw), ref) || !w.sees(tok, ref) {
			t.Errorf("not linked: %s", me.raw)
		}
		w.want("linked", w.do("POST", claimsPath, tok, right), 409)
	})
}

// TestLinkCodeEnds: five wrong tries, or half an hour, end a code.
func TestLinkCodeEnds(t *testing.T) {
	p := &post{}
	each(t, withMail(p), func(t *testing.T, w *world) {
		w.put(1, amina)
		w.user(1, "amina@example.org", "patient")
		tok := w.token("amina@example.org")
		right := claim("حسن", "امنه", "1990-02-03", "", "A-77")
		a := w.do("POST", claimsPath, tok, right)
		path := claimsPath + "/" + a.text("verification.id") + "/confirm"
		code := w.linkCode(p)
		if code == "" {
			t.Fatal("Arabic letters are not taken as people write them")
		}
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() { w.do("POST", path, tok, m{"code": fmt.Sprintf("%08d", (atoi(code)+1+i)%100000000)}) })
		}
		wg.Wait()
		w.want("tried too often", w.do("POST", path, tok, m{"code": code}), 400)
		a = w.do("POST", claimsPath, tok, right)
		path = claimsPath + "/" + a.text("verification.id") + "/confirm"
		code = w.linkCode(p)
		w.clock.add(29 * time.Minute)
		w.do("GET", "/api/v1/auth/me", tok, nil)
		w.clock.add(2 * time.Minute)
		tok = w.token("amina@example.org")
		w.want("too old", w.do("POST", path, tok, m{"code": code}), 400)
		// Three letters a day to one record, whoever asks: the fourth is answered alike, and does not go.
		w.want("third", w.do("POST", claimsPath, tok, right), 202)
		if w.linkCode(p) == "" {
			t.Error("the third did not come")
		}
		w.want("fourth", w.do("POST", claimsPath, tok, right), 202)
		if w.linkCode(p) != "" {
			t.Error("a fourth letter went out")
		}
		w.want("fifth", w.do("POST", claimsPath, tok, right), 202)
		w.want("sixth", w.do("POST", claimsPath, tok, right), 429)
	})
}

// texts keeps what went to phones.
type texts struct{ post }

func (p *texts) Text(ctx context.Context, to, text string) error { return p.Send(ctx, to, "", text) }

// TestLinkByPhone: where text messages are sent, the code goes to the phone of a record without an e-mail address; where not, nowhere. What no mail
// server takes does not stand in its way.
func TestLinkByPhone(t *testing.T) {
	const plain = `{"resourceType":"Patient","name":[{"family":"Badr","given":["Omer"]}],"birthDate":"1980-05-06","identifier":[{"value":"B-1"}],
		"telecom":[{"system":"fax","value":"+249911111111"},{"system":"phone","value":"ask the brother"},{"system":"phone","value":"+249 91 234 5678","use":"mobile"}]}`
	right := claim("Badr", "Omer", "1980-05-06", "", "B-1")
	p := &texts{}
	each(t, func(o *identity.Options) { o.SMS = p }, func(t *testing.T, w *world) {
		w.put(1, plain)
		w.user(1, "omer@example.org", "patient", func(n *identity.NewUser) { n.Locale = "ar-SD" })
		tok := w.token("omer@example.org")
		for i := range 25 {
			if _, err := w.s.Invite(system(1), 1, identity.NewUser{Email: fmt.Sprintf("n%d@example.org", i), Role: "nurse"}); err != nil {
				t.Fatal(err)
			}
		}
		w.letters(&p.post)
		w.letters(&p.post)
		a := w.do("POST", claimsPath, tok, right)
		w.want("claim", a, 202)
		sent := w.letters(&p.post)
		if len(sent) != 1 || sent[0]["to"] != "+249 91 234 5678" {
			t.Fatalf("%v", sent)
		}
		text, _ := sent[0]["text"].(string)
		code := regexp.MustCompile(`[0-9]{8}`).FindString(text)
		if !strings.Contains(text, "سجلك") || len([]rune(text)) > 134 {
			t.Errorf("%s", text)
		}
		w.want("confirm", w.do("POST", claimsPath+"/"+a.text("verification.id")+"/confirm", tok, m{"code": code}), 200)
	})
	mailed := &post{}
	each(t, withMail(mailed), func(t *testing.T, w *world) {
		w.put(1, plain)
		w.user(1, "omer@example.org", "patient")
		w.want("claim", w.do("POST", claimsPath, w.token("omer@example.org"), right), 202)
		if sent := w.letters(mailed); len(sent) != 0 {
			t.Errorf("%v", sent)
		}
	})
}

// TestClaimIsOneGuess: a claim is one person's, whatever the search grammar could make of it.
func TestClaimIsOneGuess(t *testing.T) {
	p := &post{}
	each(t, withMail(p), func(t *testing.T, w *world) {
		w.put(1, amina)
		// Two people who share an identifier and a birthday, and have one name.
		for range 2 {
			w.put(1, `{"resourceType":"Patient","name":[{"family":"Twin","given":["Zain"]}],"birthDate":"2000-01-01","identifier":[{"system":"urn:card","value":"9"}],
				"telecom":[{"system":"email","value":"amina.at.home@example.org"}]}`)
		}
		w.put(1, `{"resourceType":"Patient","active":false,"name":[{"family":"Merged","given":["Zain"]}],"birthDate":"2000-01-01","identifier":[{"value":"10"}],
			"telecom":[{"system":"email","value":"amina.at.home@example.org"}]}`)
		for i, x := range []struct {
			name  string
			claim m
			want  int
		}{
			{"a range of days", claim("Hassan", "Amina", "ge1900-01-01", "urn:mrn", "A-77"), 400},
			{"a year", claim("Hassan", "Amina", "1990", "urn:mrn", "A-77"), 400},
			{"several days", claim("Hassan", "Amina", "1990-02-02,1990-02-03", "urn:mrn", "A-77"), 400},
			{"several identifiers", claim("Hassan", "Amina", "1990-02-03", "urn:mrn", "A-76,A-77"), 202},
			{"a system in the value", claim("Hassan", "Amina", "1990-02-03", "", "urn:mrn|A-77"), 202},
			{"any value of a system", claim("Hassan", "Amina", "1990-02-03", "", "urn:mrn|"), 202},
			{"several names", claim("Hassan,Ali", "Amina,Zeinab", "1990-02-03", "urn:mrn", "A-77"), 202},
			{"the beginning of a name", claim("Hass", "Am", "1990-02-03", "urn:mrn", "A-77"), 202},
			{"a name of signs", claim("-", "-", "1990-02-03", "urn:mrn", "A-77"), 202},
			{"another system", claim("Hassan", "Amina", "1990-02-03", "urn:other", "A-77"), 202},
			{"another day", claim("Hassan", "Amina", "1990-02-04", "urn:mrn", "A-77"), 202},
			{"two records", claim("Twin", "Zain", "2000-01-01", "urn:card", "9"), 202},
			{"a record that is not in use", claim("Merged", "Zain", "2000-01-01", "", "10"), 202},
			{"too long", claim(strings.Repeat("x", 201), "Amina", "1990-02-03", "urn:mrn", "A-77"), 400},
			{"no name", claim("", "Amina", "1990-02-03", "urn:mrn", "A-77"), 400},
		} {
			u := w.user(1, fmt.Sprintf("u%d@example.org", i), "patient")
			c, err := w.s.Begin(system(1), 1, u.ID, identity.ByPassword, false, "127.0.0.1", "test")
			if err != nil {
				t.Fatal(err)
			}
			w.want(x.name, w.do("POST", claimsPath, c.AccessToken, x.claim), x.want)
			if code := w.linkCode(p); code != "" {
				t.Errorf("%s: matched", x.name)
			}
		}
	})
}

// TestClaimsRace: of many claims at once no more than five count.
func TestClaimsRace(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		w.user(1, "amina@example.org", "patient")
		tok := w.token("amina@example.org")
		var mu sync.Mutex
		taken := 0
		var wg sync.WaitGroup
		for i := range 12 {
			wg.Go(func() {
				a := w.do("POST", claimsPath, tok, claim("A", "B", "1990-02-03", "", fmt.Sprint(i)))
				mu.Lock()
				defer mu.Unlock()
				if a.status == http.StatusAccepted {
					taken++
				}
			})
		}
		wg.Wait()
		if taken != 5 {
			t.Errorf("%d claims were taken", taken)
		}
	})
}

// TestLinkByStaff: staff who see the record decide, whether it matched or not, once; the account is linked with the decision or not at all.
func TestLinkByStaff(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		ref := w.put(1, amina)
		w.user(1, "amina@example.org", "patient")
		w.user(1, "reception@example.org", "receptionist")
		w.user(1, "clerk@example.org", "billing_clerk")
		tok, staff, clerk := w.token("amina@example.org"), w.token("reception@example.org"), w.token("clerk@example.org")
		ask := func() string {
			a := w.do("POST", claimsPath, tok, claim("Hassan", "Amina", "1990-02-03", "urn:mrn", "wrong"))
			w.want("claim", a, 202)
			return claimsPath + "/" + a.text("verification.id")
		}
		one, two, three := ask(), ask(), ask()
		w.want("no permission", w.do("POST", one+"/approve", clerk, m{"patient": ref}), 403)
		w.want("whom?", w.do("POST", one+"/approve", staff, nil), 400)
		w.want("no reference", w.do("POST", one+"/approve", staff, m{"patient": "3"}), 400)
		w.want("nobody's record", w.do("POST", one+"/approve", staff, m{"patient": "Patient/999999"}), 404)
		w.want("refuse", w.do("POST", one+"/reject", staff, nil), 200)
		w.want("refused already", w.do("POST", one+"/approve", staff, m{"patient": ref}), 409)
		w.want("approve", w.do("POST", two+"/approve", staff, m{"patient": ref}), 200)
		if !w.sees(tok, ref) {
			t.Error("not linked")
		}
		w.want("linked already", w.do("POST", three+"/approve", staff, m{"patient": ref}), 409)
		l := w.do("GET", claimsPath, staff, nil)
		if waiting, _ := l.at("verifications").([]any); len(waiting) != 1 {
			t.Errorf("what could not be decided does not wait any more: %s", l.raw)
		}
		for status, want := range map[string]int{"verified": 1, "rejected": 1} {
			if got, _ := w.do("GET", claimsPath+"?status="+status, staff, nil).at("verifications").([]any); len(got) != want {
				t.Errorf("%s: %v", status, got)
			}
		}
	})
}

// TestMustHaveMFA: who must have a second factor can do nothing but set one up until it is there, by a session or an app; whoever signed in by more than
// a password, or has a role that needs none, is not held up.
func TestMustHaveMFA(t *testing.T) {
	each(t, func(o *identity.Options) { o.Settings.RequireMFA = []string{"admin"} }, func(t *testing.T, w *world) {
		u := w.user(1, "admin@example.org", "admin")
		w.user(1, "officer@example.org", "hospital_admin")
		tok := w.token("admin@example.org")
		w.want("nothing else", w.do("GET", "/api/v1/users", tok, nil), 403)
		w.want("who one is", w.do("GET", "/api/v1/auth/me", tok, nil), 200)
		w.want("another role", w.do("GET", "/api/v1/users", w.token("officer@example.org"), nil), 200)
		app, err := w.s.Caller(system(1), identity.CallerOf{Tenant: 1, User: u.ID, Session: 9, Client: "app", Scopes: "user/*.rs"})
		if err != nil || !app.Extent(access.Read, "Patient").IsNone() {
			t.Errorf("an app may what its user may not: %v", err)
		}
		in, err := w.s.Begin(system(1), 1, u.ID, identity.ByPasskey, false, "127.0.0.1", "test")
		if err != nil {
			t.Fatal(err)
		}
		w.want("by passkey", w.do("GET", "/api/v1/users", in.AccessToken, nil), 200)
		secret := w.do("POST", "/api/v1/auth/mfa/enable", tok, nil).text("secret")
		w.want("set up", w.do("POST", "/api/v1/auth/mfa/verify", tok, m{"code": w.totp(secret)}), 200)
		w.want("from now on", w.do("GET", "/api/v1/users", tok, nil), 200)
	})
}
