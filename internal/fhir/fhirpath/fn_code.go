package fhirpath

import (
	"encoding/base64"
	"encoding/hex"
	"html"
	"strings"

	"github.com/nilecare/nilecare/internal/fhir"
)

// coder makes encode, decode, escape and unescape: the argument names the format; what cannot be decoded is empty.
func coder(name string, change func(s, format string) (out string, ok, known bool)) func(*machine, frame, Collection, []op, Collection) (Collection, error) {
	return func(m *machine, f frame, in Collection, args []op, dst Collection) (Collection, error) {
		s, format, ok, err := inputAndArg(m, f, in, args, name)
		if err != nil || !ok {
			return dst, err
		}
		out, ok, known := change(s, format)
		switch {
		case !known:
			return dst, fail("%s(): the format is unknown", name)
		case !ok:
			return dst, nil
		}
		return appendString(m, dst, out)
	}
}

func encode(s, format string) (out string, ok, known bool) {
	switch format {
	case "hex":
		return hex.EncodeToString([]byte(s)), true, true
	case "base64":
		return base64.StdEncoding.EncodeToString([]byte(s)), true, true
	case "urlbase64":
		return base64.URLEncoding.EncodeToString([]byte(s)), true, true
	}
	return "", false, false
}

func decode(s, format string) (out string, ok, known bool) {
	var b []byte
	var err error
	switch format {
	case "hex":
		b, err = hex.DecodeString(s)
	case "base64":
		b, err = base64.StdEncoding.DecodeString(s)
	case "urlbase64":
		b, err = base64.URLEncoding.DecodeString(s)
	default:
		return "", false, false
	}
	return string(b), err == nil, true
}

func escape(s, format string) (out string, ok, known bool) {
	switch format {
	case "html":
		return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#39;").Replace(s), true, true
	case "json":
		q := fhir.AppendQuoted(nil, s)
		return string(q[1 : len(q)-1]), true, true
	}
	return "", false, false
}

func unescape(s, format string) (out string, ok, known bool) {
	switch format {
	case "html":
		return html.UnescapeString(s), true, true
	case "json":
		// A bare quote is taken as itself: the function undoes escapes, it does not judge JSON.
		n, err := fhir.ParseAny([]byte(`"` + quoteBare(s) + `"`))
		if err != nil {
			return "", false, true
		}
		return n.Text, true, true
	}
	return "", false, false
}

// quoteBare escapes the quotes that no backslash precedes.
func quoteBare(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			b.WriteByte(s[i])
			i++
		case s[i] == '"':
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
