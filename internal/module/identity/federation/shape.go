package federation

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"html/template"
	"net/http"

	"github.com/beevik/etree"
	"github.com/crewjam/saml"
)

const (
	samlProtocol  = "urn:oasis:names:tc:SAML:2.0:protocol"
	samlAssertion = "urn:oasis:names:tc:SAML:2.0:assertion"
	xmlSignature  = "http://www.w3.org/2000/09/xmldsig#"
)

// shape is what of a response is looked at before its signature is.
type shape struct{ inResponseTo string }

// algorithms of signatures and digests that are taken; SHA-1 is none of them.
var algorithms = map[string]bool{
	"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256": true, "http://www.w3.org/2001/04/xmldsig-more#rsa-sha384": true, "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512": true,
	"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256": true, "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384": true, "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512": true,
	"http://www.w3.org/2001/04/xmlenc#sha256": true, "http://www.w3.org/2001/04/xmldsig-more#sha384": true, "http://www.w3.org/2001/04/xmlenc#sha512": true,
}

// hasDoctype reports a document type, by which entities come.
func hasDoctype(raw []byte) bool {
	return bytes.Contains(bytes.ToUpper(raw), []byte("<!DOCTYPE")) || bytes.Contains(bytes.ToUpper(raw), []byte("<!ENTITY"))
}

// shapeOf refuses what a response has no need of and signature wrapping lives by ("On Breaking SAML", Somorovsky et al. 2012): more than one
// assertion or one elsewhere than directly below the response, signatures elsewhere than in these two, ids that come twice, document
// types, and weak algorithms.
func shapeOf(raw []byte) (*shape, error) {
	if hasDoctype(raw) {
		return nil, errors.New("a document type")
	}
	doc := etree.NewDocument()
	if err := doc.ReadFromBytes(raw); err != nil {
		return nil, err
	}
	root := doc.Root()
	if root == nil || root.Tag != "Response" || root.NamespaceURI() != samlProtocol {
		return nil, errors.New("no response")
	}
	c := &walker{root: root, ids: map[string]bool{}}
	if err := c.walk(root, 0); err != nil {
		return nil, err
	}
	if c.assertions != 1 {
		return nil, errors.New("not exactly one assertion")
	}
	return &shape{inResponseTo: root.SelectAttrValue("InResponseTo", "")}, nil
}

type walker struct {
	root       *etree.Element
	ids        map[string]bool
	assertions int
	elements   int
}

func (c *walker) walk(e *etree.Element, depth int) error {
	if c.elements++; c.elements > 20_000 || depth > 50 {
		return errors.New("too much of it")
	}
	for _, a := range e.Attr {
		if a.Space == "" && (a.Key == "ID" || a.Key == "Id" || a.Key == "id") {
			if c.ids[a.Value] {
				return errors.New("an id that comes twice")
			}
			c.ids[a.Value] = true
		}
	}
	if err := c.placed(e); err != nil {
		return err
	}
	for _, child := range e.ChildElements() {
		if err := c.walk(child, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// placed holds that assertions and signatures stand where they belong.
func (c *walker) placed(e *etree.Element) error {
	space, parent := e.NamespaceURI(), e.Parent()
	switch {
	case space == samlAssertion && (e.Tag == "Assertion" || e.Tag == "EncryptedAssertion"):
		if c.assertions++; parent != c.root {
			return errors.New("an assertion in the wrong place")
		}
	case space == samlProtocol && e.Tag == "Response" && e != c.root:
		return errors.New("a response within another")
	case space == xmlSignature && e.Tag == "Signature":
		inAssertion := parent != nil && parent.Tag == "Assertion" && parent.NamespaceURI() == samlAssertion && parent.Parent() == c.root
		if parent != c.root && !inAssertion {
			return errors.New("a signature in the wrong place")
		}
		for _, other := range parent.ChildElements() {
			if other != e && other.Tag == "Signature" && other.NamespaceURI() == xmlSignature {
				return errors.New("two signatures of one element")
			}
		}
	case space == xmlSignature && e.Tag == "SignatureMethod", space == xmlSignature && e.Tag == "DigestMethod" && parent != nil && parent.Tag == "Reference":
		if !algorithms[e.SelectAttrValue("Algorithm", "")] {
			return errors.New("an algorithm that is not taken")
		}
	}
	return nil
}

const submits = "document.forms[0].submit()"

var form = template.Must(template.New("").Parse(`<!doctype html><meta charset="utf-8"><title>…</title><form method="post" action="{{.URL}}">` +
	`<input type="hidden" name="SAMLRequest" value="{{.Request}}"><input type="hidden" name="RelayState" value="{{.State}}"><button>Continue · متابعة</button></form>` +
	`<script>` + submits + `</script>`))

// postForm answers with a form that posts itself to a provider that takes requests by POST alone.
func postForm(w http.ResponseWriter, request *saml.AuthnRequest, state string) error {
	doc := etree.NewDocument()
	doc.SetRoot(request.Element())
	raw, err := doc.WriteToBytes()
	if err != nil {
		return err
	}
	var page bytes.Buffer
	if err := form.Execute(&page, map[string]string{"URL": request.Destination, "Request": base64.StdEncoding.EncodeToString(raw), "State": state}); err != nil {
		return err
	}
	script := sha256.Sum256([]byte(submits))
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; script-src 'sha256-"+base64.StdEncoding.EncodeToString(script[:])+"'")
	_, err = w.Write(page.Bytes())
	return err
}
