package fhirpath

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
)

// fnHTMLChecks is htmlChecks(): whether a narrative's XHTML keeps to R4's rules (narrative.html, txt-1 and txt-2): well
// formed, the allowed elements and attributes, and some content.
func fnHTMLChecks(m *machine, _ frame, in Collection, _ []op) (tri, error) {
	s, ok, err := inputString(in, "htmlChecks")
	if err != nil || !ok {
		return unknown, err
	}
	if err := m.step(len(s) / 8); err != nil {
		return unknown, err
	}
	return triOf(validNarrative(s)), nil
}

const (
	narrativeElements = " p br div h1 h2 h3 h4 h5 h6 a span b em i strong small big tt dfn q var abbr acronym cite blockquote hr " +
		"address bdo kbd samp sub sup ul ol li dl dt dd pre table caption colgroup col thead tr tfoot tbody th td code img map area " +
		"ins del strike center s "
	narrativeAttributes = " title style class id lang dir accesskey tabindex span width align valign char charoff abbr axis headers " +
		"scope rowspan colspan cellspacing cellpadding border frame rules summary name href src alt shape coords nohref type rel rev " +
		"hreflang charset cite datetime start value compact xmlns xml:lang height usemap ismap longdesc xml:space "
)

func validNarrative(s string) bool {
	d := xml.NewDecoder(strings.NewReader(s))
	d.Strict, d.Entity = true, xml.HTMLEntity
	var open []string
	content, rooted := false, false
	for {
		t, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			return len(open) == 0 && rooted && content
		}
		if err != nil {
			return false
		}
		switch t := t.(type) {
		case xml.StartElement:
			if len(open) == 0 && (rooted || t.Name.Local != "div") || !allowedElement(t) {
				return false
			}
			rooted, content = true, content || t.Name.Local == "img"
			open = append(open, t.Name.Local)
		case xml.EndElement:
			last := len(open) - 1
			if last < 0 || open[last] != t.Name.Local {
				return false
			}
			open = open[:last]
		case xml.CharData:
			if strings.TrimSpace(string(t)) != "" {
				content = true
			}
		case xml.Directive, xml.ProcInst:
			return false
		}
	}
}

func allowedElement(e xml.StartElement) bool {
	if e.Name.Space != "" || !strings.Contains(narrativeElements, " "+e.Name.Local+" ") {
		return false
	}
	for _, a := range e.Attr {
		name := a.Name.Local
		if a.Name.Space != "" {
			name = a.Name.Space + ":" + name
		}
		if a.Name.Space != "xmlns" && !strings.Contains(narrativeAttributes, " "+name+" ") {
			return false
		}
	}
	return true
}
