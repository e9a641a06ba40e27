package validate

import (
	"strings"
	"testing"
)

const ns = ` xmlns="http://www.w3.org/1999/xhtml"`

func TestXHTML(t *testing.T) {
	for _, s := range []string{
		`<div` + ns + `>x</div>`,
		"\n <div" + ns + ">x</div>\n<!-- end -->\n",
		`<div xmlns='http://www.w3.org/1999/xhtml'><p>a &amp; b &#160; &#xA0; &nbsp; &eacute;</p></div>`,
		`<div` + ns + ` class="c" lang="en" xml:lang="en"><!-- a comment --><img src="a.png" alt="x"/></div>`,
		`<div` + ns + `><a href="http://example.org/?a=1&amp;b=2" name="x">y</a><a href="#z">z</a><a href="Patient/1">z</a></div>`,
		`<div` + ns + `><img src="data:image/png;base64,AAAA"/><img src="#photo"/></div>`,
		`<div` + ns + `><table border="1"><tbody><tr><td style="color: red">x</td></tr></tbody></table></div>`,
		`<div` + ns + ` xmlns:h="http://example.org">x<br/><br /></div >`,
	} {
		if reason := xhtmlFormat(s); reason != "" {
			t.Errorf("%s: %s", s, reason)
		}
	}
	div := func(s string) string { return `<div` + ns + `>` + s + `</div>` }
	for _, s := range []string{
		"", "x", "<p>x</p>", "<divan" + ns + ">x</divan>", "<div>x</div>", `<div xmlns="http://example.org">x</div>`,
		`<div` + ns + `>x`, `<div` + ns + `>x</div><div` + ns + `>y</div>`, `<div` + ns + `>x</div>y`, `<div` + ns + `/>`, div(""), div(" \n "), div("<!-- x -->"),
		div("<p>x"), div("<p>x</b></p>"), div("x</p>"), div("<p>x</P>"), div("<p><b>x</p></b>"), div("a < b"), div("a & b"), div("&;"), div("&#;"), div("&#x110000;"), div("&#0;"), div("&a b;"),
		div("x<script>alert(1)</script>"), div("x<SCRIPT>alert(1)</SCRIPT>"), div("x<iframe src='a'></iframe>"), div("x<object></object>"), div("x<form></form>"), div("x<input/>"),
		div("x<style>a{}</style>"), div("x<link rel='a'/>"), div("x<base href='a'/>"), div("x<svg></svg>"), div("x<math></math>"), div("x<body></body>"), div("x<h:p xmlns:h='u'>x</h:p>"),
		div(`x<p onclick="a()">x</p>`), div(`x<p ONCLICK="a()">x</p>`), div(`x<img src="a" onerror="a()"/>`), div(`x<p onclick=a()>x</p>`), div(`x<p hidden>x</p>`), div(`x<p a="1"b="2">x</p>`), div(`x<p a="<">x</p>`), div(`x<p a="1>x</p>`),
		div(`<a href="javascript:a()">x</a>`), div(`<a href=" JavaScript:a()">x</a>`), div(`<a href="java&#115;cript:a()">x</a>`), div(`<a href="java&#x0A;script:a()">x</a>`),
		div(`<a href="javascript&colon;a()">x</a>`), div("<a href=\"java\nscript:a()\">x</a>"), div(`<a href="vbscript:a">x</a>`), div(`<a href="data:text/html,x">x</a>`), div(`<img src="data:image/svg+xml,x"/>`), div(`<img src="data:,x"/>`), div(`<a href="data:">x</a>`),
		div(`<a xlink:href="javascript:a()">x</a>`), div(`<p style="width: expression(a())">x</p>`), div(`<p style="background: url(javascript:a())">x</p>`), div(`<p style="\65xpression(a())">x</p>`), div(`<p style="a&bad">x</p>`),
		div("x<![CDATA[<script>a()</script>]]>"), div("x<!DOCTYPE html>"), div("x<?php a ?>"), div("x<!-- a -- b -->"), div("x<!--> <script>a()</script> -->"), div("x<!---> -->"), div("x<!-- "), div("x\x01"),
		div(strings.Repeat("<div>", 100) + "x" + strings.Repeat("</div>", 100)), div("<"), div("</"), "<div", "<div" + ns, "<div" + ns + " /", "<div" + ns + "></", "<div" + ns + "></div",
	} {
		if xhtmlFormat(s) == "" {
			t.Errorf("%s passes", s)
		}
	}
}

func FuzzXHTML(f *testing.F) {
	f.Add(`<div` + ns + `><p class="a">x &amp; y</p><!-- z --><a href="java&#115;cript:a()">x</a></div>`)
	f.Add(`<div` + ns + `><img src="data:image/png;base64,AA" /></div>`)
	f.Fuzz(func(t *testing.T, s string) {
		low := strings.ToLower(s)
		if xhtmlFormat(s) == "" && (strings.Contains(low, "<script") && !strings.Contains(low, "<!--") || !strings.Contains(s, "</div") && !strings.Contains(s, "/>")) {
			t.Errorf("%q passes", s)
		}
	})
}

func BenchmarkXHTML(b *testing.B) {
	s := `<div` + ns + `><p><b>Generated Narrative</b></p>` + strings.Repeat(`<p><b>subject</b>: <a href="Patient/example">Patient/example</a> &quot;Peter &amp; Paul&quot;</p>`, 12) + `</div>`
	b.SetBytes(int64(len(s)))
	b.ReportAllocs()
	for b.Loop() {
		if reason := xhtmlFormat(s); reason != "" {
			b.Fatal(reason)
		}
	}
}
