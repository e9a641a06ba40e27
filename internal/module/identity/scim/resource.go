package scim

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"
)

// complete adds what every resource says of itself. Its version is a hash of all else, so that whoever changed it by whatever way changed that.
func (s *Service) complete(r object, k *kind, base string, created, changed time.Time) {
	schemas := []any{k.urn}
	if k.extension != nil && !empty(r[enterpriseURN]) {
		schemas = append(schemas, enterpriseURN)
	}
	r["schemas"] = schemas
	delete(r, "meta")
	meta := object{"resourceType": k.name, "location": base + k.path + "/" + url.PathEscape(text(r["id"]))}
	if !created.IsZero() {
		meta["created"] = created.UTC().Format(time.RFC3339Nano)
	}
	if changed.UnixMicro() > 0 {
		meta["lastModified"] = changed.UTC().Format(time.RFC3339Nano)
	}
	r["meta"] = meta
	meta["version"] = versionOf(r)
}

func versionOf(r object) string {
	raw, _ := json.Marshal(r) // it came from JSON
	h := sha256.Sum256(raw)
	return `W/"` + hex.EncodeToString(h[:10]) + `"`
}

func version(r object) string { return text(get(objectOf(r["meta"]), "version")) }

// selection is which attributes are answered (RFC 7644 section 3.9).
type selection struct{ only, without []Path }

func selects(attributes, excluded []string) (selection, error) {
	var out selection
	for _, part := range []struct {
		from []string
		to   *[]Path
	}{{attributes, &out.only}, {excluded, &out.without}} {
		for _, one := range part.from {
			for _, name := range strings.Split(one, ",") {
				if name = strings.TrimSpace(name); name == "" {
					continue
				}
				t, err := ParsePath(name)
				if err != nil || t.Filter != nil {
					return out, failed(400, "invalidValue", "attributes and excludedAttributes are lists of attribute names")
				}
				*part.to = append(*part.to, t.Path)
			}
		}
	}
	if len(out.only) > 0 && len(out.without) > 0 {
		return out, failed(400, "invalidValue", "attributes and excludedAttributes exclude each other")
	}
	return out, nil
}

// wants reports whether a top-level attribute is answered.
func (x selection) wants(name string) bool {
	has := func(in []Path) bool {
		return slices.ContainsFunc(in, func(p Path) bool { return p.Sub == "" && strings.EqualFold(p.Attr, name) })
	}
	if len(x.only) > 0 {
		return slices.ContainsFunc(x.only, func(p Path) bool { return strings.EqualFold(p.Attr, name) })
	}
	return !has(x.without)
}

// of answers the selected attributes of a resource; id, schemas and meta always.
func (x selection) of(r object) object {
	if len(x.only) == 0 && len(x.without) == 0 {
		return r
	}
	always := func(name string) bool { return name == "id" || name == "schemas" || name == "meta" && len(x.only) == 0 }
	out := object{}
	if len(x.only) > 0 {
		for name, v := range r {
			if always(name) {
				out[name] = v
			}
		}
		for _, p := range x.only {
			x.pick(out, r, p)
		}
		return out
	}
	out = objectOf(clone(r))
	for _, p := range x.without {
		in := out
		if strings.EqualFold(p.URI, enterpriseURN) {
			if p.Attr == "" {
				delete(out, enterpriseURN)
				continue
			}
			in = objectOf(out[enterpriseURN])
		}
		name := key(in, p.Attr)
		switch {
		case in == nil || in["schemas"] != nil && always(name):
		case p.Sub == "":
			delete(in, name)
		default:
			for _, v := range list(in[name]) {
				if o := objectOf(v); o != nil {
					delete(o, key(o, p.Sub))
				}
			}
		}
	}
	return out
}

// pick copies what a path names.
func (x selection) pick(out, r object, p Path) {
	if strings.EqualFold(p.URI, enterpriseURN) {
		from := objectOf(r[enterpriseURN])
		if from == nil {
			return
		}
		if p.Attr == "" {
			out[enterpriseURN] = from
			return
		}
		to := objectOf(out[enterpriseURN])
		if to == nil {
			to = object{}
			out[enterpriseURN] = to
		}
		out, r = to, from
	}
	name := key(r, p.Attr)
	v, ok := r[name]
	if !ok {
		return
	}
	if p.Sub == "" {
		out[name] = v
		return
	}
	part := func(v, into any) any {
		o, to := objectOf(v), objectOf(into)
		if o == nil {
			return v
		}
		if to == nil {
			to = object{}
		}
		if k := key(o, p.Sub); o[k] != nil {
			to[k] = o[k]
		}
		return to
	}
	if l, many := v.([]any); many {
		have := list(out[name])
		picked := make([]any, len(l))
		for i := range l {
			var into any
			if i < len(have) {
				into = have[i]
			}
			picked[i] = part(l[i], into)
		}
		out[name] = picked
		return
	}
	out[name] = part(v, out[name])
}
