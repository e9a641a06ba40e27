package federation_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/xml"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/beevik/etree"
	"github.com/crewjam/saml"
	dsig "github.com/russellhaering/goxmldsig"
	"golang.org/x/net/html"
)

// samlIDP is a SAML identity provider: it reads our metadata, takes our requests, and has the browser post signed responses.
type samlIDP struct {
	w       *world
	idp     *saml.IdentityProvider
	session saml.Session

	mu      sync.Mutex
	encrypt bool
	whole   bool                        // the response is signed too
	assert  func(*saml.Assertion)       // before it is signed
	respond func(*etree.Document)       // after all
	request func(*saml.IdpAuthnRequest) // as it came
}

func newSAML(w *world) *samlIDP {
	w.t.Helper()
	p := &samlIDP{w: w, whole: true, session: saml.Session{ID: "1", Index: "1", NameID: "amna-7", NameIDFormat: string(saml.PersistentNameIDFormat), UserEmail: "amna@corp.example",
		UserGivenName: "Amna", UserSurname: "Idris", Groups: []string{"nurses"}, CreateTime: time.Now(), ExpireTime: time.Now().Add(time.Hour)}}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		w.t.Fatal(err)
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "idp"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		w.t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		w.t.Fatal(err)
	}
	srv := httptest.NewServer(http.HandlerFunc(p.serve))
	w.t.Cleanup(srv.Close)
	at := func(path string) url.URL {
		u, _ := url.Parse(srv.URL + path)
		return *u
	}
	p.idp = &saml.IdentityProvider{Key: key, Certificate: certificate, MetadataURL: at("/metadata"), SSOURL: at("/sso"), ServiceProviderProvider: p, SignatureMethod: dsig.RSASHA256SignatureMethod}
	return p
}

// GetServiceProvider reads the metadata of whoever asks.
func (p *samlIDP) GetServiceProvider(_ *http.Request, id string) (*saml.EntityDescriptor, error) {
	if !strings.HasPrefix(id, p.w.base+"/auth/saml/") {
		return nil, os.ErrNotExist
	}
	r, err := http.NewRequest(http.MethodGet, id, http.NoBody)
	if err != nil {
		return nil, err
	}
	got := read(p.w.t, http.DefaultClient, r)
	e := &saml.EntityDescriptor{}
	if err := xml.Unmarshal([]byte(got.raw), e); err != nil {
		return nil, err
	}
	if !p.encrypt {
		e.SPSSODescriptors[0].KeyDescriptors = nil
	}
	return e, nil
}

func (p *samlIDP) serve(rw http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.URL.Path == "/metadata" {
		raw, _ := xml.Marshal(p.idp.Metadata())
		_, _ = rw.Write(raw)
		return
	}
	req, err := saml.NewIdpAuthnRequest(p.idp, r)
	if err == nil {
		err = req.Validate()
	}
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	p.answer(rw, req)
}

func (p *samlIDP) answer(rw http.ResponseWriter, req *saml.IdpAuthnRequest) {
	if p.request != nil {
		p.request(req)
	}
	err := saml.DefaultAssertionMaker{}.MakeAssertion(req, &p.session)
	if err == nil {
		if p.assert != nil {
			p.assert(req.Assertion)
		}
		err = req.MakeResponse()
	}
	if err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
		return
	}
	if !p.whole {
		for _, child := range req.ResponseEl.ChildElements() {
			if child.Tag == "Signature" {
				req.ResponseEl.RemoveChild(child)
			}
		}
	}
	if p.respond != nil {
		doc := etree.NewDocument()
		doc.SetRoot(req.ResponseEl)
		raw, _ := doc.WriteToBytes()
		doc = etree.NewDocument()
		_ = doc.ReadFromBytes(raw)
		p.respond(doc)
		raw, _ = doc.WriteToBytes()
		_, _ = rw.Write([]byte(`<form method="post" action="` + req.ACSEndpoint.Location + `"><input name="SAMLResponse" value="` + base64.StdEncoding.EncodeToString(raw) +
			`"><input name="RelayState" value="` + html.EscapeString(req.RelayState) + `"></form>`))
		return
	}
	_ = req.WriteResponse(rw)
}

func (p *samlIDP) set(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.encrypt, p.whole, p.assert, p.respond, p.request = false, true, nil, nil, nil
	if f != nil {
		f()
	}
}

func (p *samlIDP) row(id string) m {
	return m{"id": id, "kind": "saml", "name": "Hospital", "metadataUrl": p.idp.MetadataURL.String(), "createUsers": true, "trustEmail": true, "domains": []string{"corp.example"},
		"roles": []m{{"claim": "eduPersonAffiliation", "value": "nurses", "role": "nurse"}}}
}

// form reads the page's form.
func form(t *testing.T, page string) (string, url.Values) {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	action, fields := "", url.Values{}
	for node := range doc.Descendants() {
		attr := map[string]string{}
		for _, a := range node.Attr {
			attr[a.Key] = a.Val
		}
		switch node.Data {
		case "form":
			action = attr["action"]
		case "input":
			if attr["name"] != "" {
				fields.Set(attr["name"], attr["value"])
			}
		}
	}
	if action == "" {
		t.Fatalf("no form: %s", page)
	}
	return action, fields
}

// post submits a form as a page of another site does: a browser's Lax cookies do not come along.
func (b *browser) post(action string, fields url.Values) reply {
	b.t.Helper()
	r, err := http.NewRequest(http.MethodPost, action, strings.NewReader(fields.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	bare := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	got := read(b.t, bare, r)
	if got.status != http.StatusSeeOther {
		return got
	}
	return b.get(got.header.Get("Location"))
}

func (w *world) samlStart(id string) string { return w.base + "/auth/saml/" + id + "/start" }

// sso goes the whole way.
func (b *browser) sso(w *world, id string) reply {
	b.t.Helper()
	page := b.get(w.samlStart(id) + "?return_to=/ward")
	if page.status != 200 || !strings.Contains(page.raw, "<form") {
		return page
	}
	_, fields := form(b.t, page.raw)
	return b.post(w.base+"/auth/saml/"+id+"/acs", fields)
}

// TestSAMLWholeWay: metadata goes both ways, somebody new comes as a user with mapped roles, encrypted or not, response or assertion signed.
func TestSAMLWholeWay(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		p := newSAML(w)
		w.provider(p.row("hospital"))
		if got := w.api(w.admin, "POST", "/api/v1/identity-providers/hospital/test", m{}); !strings.Contains(got.raw, `"ok":true`) || !strings.Contains(got.raw, `"subject":"idp"`) {
			t.Fatalf("%s", got.raw)
		}
		id := any(nil)
		for name, f := range map[string]func(){"both signed": nil, "the assertion signed": func() { p.whole = false }, "encrypted": func() { p.encrypt = true }} {
			p.set(f)
			got := newBrowser(t).sso(w, "hospital")
			if got.status != 200 || got.text("user") != "amna@corp.example" || got.text("roles") != "nurse" || got.text("back") != "/ward" {
				t.Fatalf("%s: %d %s", name, got.status, got.raw)
			}
			if id != nil && id != got.m["id"] {
				t.Errorf("%s: another user", name)
			}
			id = got.m["id"]
		}
		u, err := w.people.ByEmail(system(), 1, "amna@corp.example")
		if err != nil || u.FirstName != "Amna" || u.LastName != "Idris" {
			t.Errorf("%+v %v", u, err)
		}
		// A provider that takes posted, signed requests alone.
		p.set(nil)
		raw, _ := xml.Marshal(p.idp.Metadata())
		row := p.row("posted")
		delete(row, "metadataUrl")
		row["metadata"], row["signRequests"] = strings.Replace(string(raw), saml.HTTPRedirectBinding, "urn:none", 1), true
		w.provider(row)
		b := newBrowser(t)
		page := b.get(w.samlStart("posted"))
		action, fields := form(t, page.raw)
		request, _ := base64.StdEncoding.DecodeString(fields.Get("SAMLRequest"))
		if !strings.Contains(string(request), "<ds:Signature") || !strings.Contains(page.header.Get("Content-Security-Policy"), "script-src 'sha256-") {
			t.Errorf("%s %v", request, page.header)
		}
		r, _ := http.NewRequest(http.MethodPost, action, strings.NewReader(fields.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		answer := read(t, b.c, r)
		if got := b.post(form(t, answer.raw)); got.status != 200 || got.text("user") != "amna@corp.example" {
			t.Errorf("%d %s", got.status, got.raw)
		}
	})
}

// find returns the first element of a tag.
func find(doc *etree.Document, tag string) *etree.Element { return doc.FindElement("//" + tag) }

// evil is a copy of the assertion that says somebody else.
func evil(doc *etree.Document, id string) *etree.Element {
	e := find(doc, "Assertion").Copy()
	if s := e.SelectElement("Signature"); s != nil {
		e.RemoveChild(s)
	}
	e.CreateAttr("ID", id)
	e.FindElement(".//NameID").SetText("boss-1")
	return e
}

// TestSAMLAttacks: a response that is not what it must be lets nobody in, and makes nobody.
func TestSAMLAttacks(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		p := newSAML(w)
		stranger := newSAML(w)
		w.provider(p.row("hospital"))
		strip := func(doc *etree.Document) {
			for s := find(doc, "Signature"); s != nil; s = find(doc, "Signature") {
				s.Parent().RemoveChild(s)
			}
		}
		only := func(f func(doc *etree.Document)) func() { return func() { p.whole, p.respond = false, f } }
		said := func(f func(a *saml.Assertion)) func() { return func() { p.assert = f } }
		for name, tamper := range map[string]func(){
			"nothing signed": func() { p.respond = strip },
			"changed after signing": func() {
				p.respond = func(doc *etree.Document) { doc.FindElement("//NameID").SetText("boss-1") }
			},
			"an attribute changed": only(func(doc *etree.Document) { doc.FindElement("//AttributeValue").SetText("boss@corp.example") }),
			"by another's key":     func() { p.idp.Key, stranger.idp.Key = stranger.idp.Key, p.idp.Key },
			"by SHA-1":             func() { p.idp.SignatureMethod = dsig.RSASHA1SignatureMethod },
			"wrapped: evil first":  only(func(doc *etree.Document) { doc.Root().InsertChildAt(0, evil(doc, "evil")) }),
			"wrapped: evil last":   only(func(doc *etree.Document) { doc.Root().AddChild(evil(doc, "evil")) }),
			"wrapped: within evil": only(func(doc *etree.Document) {
				a := find(doc, "Assertion")
				e := evil(doc, "evil")
				doc.Root().RemoveChild(a)
				e.AddChild(a)
				doc.Root().AddChild(e)
			}),
			"wrapped: the same id": only(func(doc *etree.Document) {
				a := find(doc, "Assertion")
				e := evil(doc, a.SelectAttrValue("ID", ""))
				doc.Root().InsertChildAt(0, e)
			}),
			"wrapped: in its signature": only(func(doc *etree.Document) {
				a := find(doc, "Assertion")
				e, s := evil(doc, "evil"), a.SelectElement("Signature").Copy()
				doc.Root().RemoveChild(a)
				s.CreateElement("ds:Object").AddChild(a)
				e.AddChild(s)
				doc.Root().AddChild(e)
			}),
			"wrapped: in extensions": only(func(doc *etree.Document) {
				a := find(doc, "Assertion")
				e := evil(doc, "evil")
				doc.Root().RemoveChild(a)
				doc.Root().CreateElement("samlp:Extensions").AddChild(a)
				doc.Root().AddChild(e)
			}),
			"wrapped: a response in a response": func() {
				p.respond = func(doc *etree.Document) {
					whole := doc.Root().Copy()
					doc.Root().CreateAttr("ID", "evil")
					doc.FindElement("//NameID").SetText("boss-1")
					doc.Root().SelectElement("Signature").CreateElement("ds:Object").AddChild(whole)
				}
			},
			"no assertion":    only(func(doc *etree.Document) { doc.Root().RemoveChild(find(doc, "Assertion")) }),
			"a document type": only(func(doc *etree.Document) { doc.InsertChildAt(0, etree.NewDirective(`DOCTYPE x [<!ENTITY y "z">]`)) }),
			"another destination": func() {
				p.request = func(r *saml.IdpAuthnRequest) { e := *r.ACSEndpoint; e.Location += "x"; r.ACSEndpoint = &e }
			},
			"another request":  func() { p.request = func(r *saml.IdpAuthnRequest) { r.Request.ID = "id-other" } },
			"no request":       func() { p.request = func(r *saml.IdpAuthnRequest) { r.Request.ID = "" } },
			"a wrong audience": said(func(a *saml.Assertion) { a.Conditions.AudienceRestrictions[0].Audience.Value = "https://other.example" }),
			"no audience":      said(func(a *saml.Assertion) { a.Conditions.AudienceRestrictions = nil }),
			"another recipient": said(func(a *saml.Assertion) {
				a.Subject.SubjectConfirmations[0].SubjectConfirmationData.Recipient = "https://other.example"
			}),
			"expired":         said(func(a *saml.Assertion) { a.Conditions.NotOnOrAfter = time.Now().Add(-5 * time.Minute) }),
			"not yet":         said(func(a *saml.Assertion) { a.Conditions.NotBefore = time.Now().Add(10 * time.Minute) }),
			"issued long ago": said(func(a *saml.Assertion) { a.IssueInstant = time.Now().Add(-time.Hour) }),
			"confirmed too late": said(func(a *saml.Assertion) {
				a.Subject.SubjectConfirmations[0].SubjectConfirmationData.NotOnOrAfter = time.Now().Add(-time.Hour)
			}),
			"without end": said(func(a *saml.Assertion) {
				a.Subject.SubjectConfirmations[0].SubjectConfirmationData.NotOnOrAfter = time.Time{}
			}),
			"no confirmation": said(func(a *saml.Assertion) { a.Subject.SubjectConfirmations = nil }),
			"no bearer": said(func(a *saml.Assertion) {
				a.Subject.SubjectConfirmations[0].Method = "urn:oasis:names:tc:SAML:2.0:cm:sender-vouches"
			}),
			"no data":             said(func(a *saml.Assertion) { a.Subject.SubjectConfirmations[0].SubjectConfirmationData = nil }),
			"no conditions":       said(func(a *saml.Assertion) { a.Conditions = nil }),
			"no subject":          said(func(a *saml.Assertion) { a.Subject = nil }),
			"another issuer":      said(func(a *saml.Assertion) { a.Issuer.Value = "https://other.example" }),
			"a name for one time": said(func(a *saml.Assertion) { a.Subject.NameID.Format = string(saml.TransientNameIDFormat) }),
			"another mail domain": said(func(a *saml.Assertion) { a.AttributeStatements[0].Attributes = nil }),
		} {
			p.set(tamper)
			got := newBrowser(t).sso(w, "hospital")
			if got.status != 403 && got.status != 400 {
				t.Errorf("%s: %d %s", name, got.status, got.raw)
			}
			if name == "by another's key" {
				p.idp.Key, stranger.idp.Key = stranger.idp.Key, p.idp.Key
			}
			p.idp.SignatureMethod = dsig.RSASHA256SignatureMethod
		}
		if _, err := w.people.ByEmail(system(), 1, "amna@corp.example"); err == nil {
			t.Fatal("somebody was made a user")
		}

		p.set(nil)
		b, other := newBrowser(t), newBrowser(t)
		action, fields := form(t, b.get(w.samlStart("hospital")).raw)
		if got := other.post(action, fields); got.status != 403 {
			t.Errorf("another browser's response: %d %s", got.status, got.raw)
		}
		if got := b.post(action, fields); got.status != 403 {
			t.Errorf("a response again: %d", got.status)
		}
		action, fields = form(t, b.get(w.samlStart("hospital")).raw)
		_, second := form(t, b.get(w.samlStart("hospital")).raw)
		fields.Set("RelayState", second.Get("RelayState"))
		if got := b.post(action, fields); got.status != 403 {
			t.Errorf("the response to another request: %d", got.status)
		}
		action, fields = form(t, b.get(w.samlStart("hospital")).raw)
		w.pass(11 * time.Minute)
		if got := b.post(action, fields); got.status != 403 {
			t.Errorf("too old: %d", got.status)
		}
		w.pass(-11 * time.Minute)
		w.provider(stranger.row("stranger"))
		action, fields = form(t, b.get(w.samlStart("hospital")).raw)
		if got := b.post(strings.Replace(action, "/hospital/", "/stranger/", 1), fields); got.status != 403 {
			t.Errorf("mix-up: %d %s", got.status, got.raw)
		}
		for _, raw := range []string{"", "x", "%", base64.StdEncoding.EncodeToString([]byte("<x/>")), base64.StdEncoding.EncodeToString([]byte("<"))} {
			if got := b.post(action, url.Values{"SAMLResponse": {raw}, "RelayState": {"x"}}); got.status != 400 && got.status != 403 {
				t.Errorf("%q: %d", raw, got.status)
			}
		}
		if got := b.sso(w, "hospital"); got.status != 200 {
			t.Errorf("the honest one: %d %s", got.status, got.raw)
		}
	})
}

// unasked has the provider send a response that nobody asked for.
func (p *samlIDP) unasked(acs, relay string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	e, err := p.GetServiceProvider(nil, strings.Replace(acs, "/acs", "/metadata", 1))
	if err != nil {
		p.w.t.Fatal(err)
	}
	rec := httptest.NewRecorder()
	p.answer(rec, &saml.IdpAuthnRequest{IDP: p.idp, HTTPRequest: httptest.NewRequest(http.MethodGet, "/", http.NoBody), RelayState: relay, Now: time.Now(),
		ServiceProviderMetadata: e, SPSSODescriptor: &e.SPSSODescriptors[0], ACSEndpoint: &e.SPSSODescriptors[0].AssertionConsumerServices[0]})
	return rec.Body.String()
}

// TestUnasked: a response that nobody asked for is refused, but where the row permits it; then it is taken once, and leads to a path of ours alone.
func TestUnasked(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		p := newSAML(w)
		w.provider(p.row("hospital"))
		acs := w.base + "/auth/saml/hospital/acs"
		if got := newBrowser(t).post(form(t, p.unasked(acs, ""))); got.status != 403 {
			t.Fatalf("%d %s", got.status, got.raw)
		}
		w.change("hospital", func(r m) { r["idpInitiated"] = true })
		for relay, want := range map[string]string{"": "/", "/ward": "/ward", "https://evil.example/": "/", "//evil.example": "/", "https://app.example/welcome": "https://app.example/welcome"} {
			action, fields := form(t, p.unasked(acs, relay))
			if got := newBrowser(t).post(action, fields); got.status != 200 || got.text("back") != want {
				t.Errorf("%q: %d %s", relay, got.status, got.raw)
			}
			if got := newBrowser(t).post(action, fields); got.status != 403 {
				t.Errorf("a response twice: %d %s", got.status, got.raw)
			}
		}
		// An answer to somebody's request is no response that nobody asked for.
		b := newBrowser(t)
		action, fields := form(t, b.get(w.samlStart("hospital")).raw)
		fields.Del("RelayState")
		if got := newBrowser(t).post(action, fields); got.status != 403 {
			t.Errorf("%d %s", got.status, got.raw)
		}
		p.set(func() {
			p.respond = func(doc *etree.Document) { doc.Root().RemoveAttr("InResponseTo") }
			p.whole = false
		})
		if got := newBrowser(t).post(form(t, b.get(w.samlStart("hospital")).raw)); got.status != 403 {
			t.Errorf("an answer made one that nobody asked for: %d %s", got.status, got.raw)
		}
	})
}
