package record

import (
	"slices"
	"strings"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fhir"
)

// maskedTag says of a resource that elements of it are hidden from who reads it.
const maskedTag = `{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"MASKED"}`

// mask takes out of a version's body what is hidden from the caller, and says in meta.security that it did.
func mask(c *access.Caller, v *Version) error {
	if v == nil || v.body == nil || c.Internal() {
		return nil
	}
	hidden := c.Masked(v.Type)
	if len(hidden) == 0 {
		return nil
	}
	r, err := v.Resource()
	if err != nil {
		return err
	}
	if !hide(r, hidden) {
		return nil
	}
	v.body = joinBody(splitBody(r), v.Type, v.ID, v.VID, v.Updated)
	return nil
}

func maskAll(c *access.Caller, page *Page) error {
	if page == nil {
		return nil
	}
	for _, m := range page.Matches {
		if err := mask(c, m.Version); err != nil {
			return err
		}
	}
	return nil
}

// hide deletes the elements, and the text that may tell of them.
func hide(r *fhir.Resource, elements []string) (any bool) {
	for _, name := range membersOf(r, elements) {
		r.Delete(name)
		any = true
	}
	if !any {
		return false
	}
	r.Delete("text")
	tag, err := fhir.Parse([]byte(maskedTag))
	if err != nil {
		return true
	}
	meta := r.Get("meta")
	if meta == nil {
		meta = &fhir.Node{Kind: fhir.Object}
		r.Set("meta", meta)
	}
	labels := meta.Get("security")
	if labels == nil {
		labels = &fhir.Node{Kind: fhir.Array}
		meta.Set("security", labels)
	}
	labels.Append(tag)
	return true
}

// membersOf names the members of r that the elements stand for: choices by their types, and what extends primitives.
func membersOf(r *fhir.Resource, elements []string) []string {
	var out []string
	for m := r.First(); m != nil; m = m.Next() {
		name := strings.TrimPrefix(m.Name, "_")
		for _, e := range elements {
			base, choice := strings.CutSuffix(e, "[x]")
			if name == base || choice && strings.HasPrefix(name, base) {
				out = append(out, m.Name)
				break
			}
		}
	}
	return out
}

// unhide gives a resource that somebody changed who does not see all of it what was hidden: as it stood before.
func unhide(now, before *fhir.Resource, elements []string) {
	if len(elements) == 0 || before == nil {
		return
	}
	for _, name := range membersOf(now, elements) {
		now.Delete(name)
	}
	hidden := membersOf(before, elements)
	for _, name := range hidden {
		now.Set(name, before.Get(name).Clone())
	}
	if text := before.Get("text"); len(hidden) > 0 && text != nil && now.Get("text") == nil {
		now.Set("text", text.Clone()) // it was hidden, too
	}
	dropMaskedTag(now, before)
}

// dropMaskedTag takes back what hide said: it is about what one reader saw, and not stored, unless it stood there before.
func dropMaskedTag(r, before *fhir.Resource) {
	isTag := func(n *fhir.Node) bool { return n.Str("code") == "MASKED" }
	meta := r.Get("meta")
	if meta == nil || meta.Get("security") == nil || slices.ContainsFunc(before.Get("meta").Get("security").Items(), isTag) {
		return
	}
	kept := &fhir.Node{Kind: fhir.Array}
	for m := meta.Get("security").First(); m != nil; m = m.Next() {
		if !isTag(m) {
			kept.Append(m.Clone())
		}
	}
	if kept.First() == nil {
		meta.Delete("security")
		return
	}
	meta.Set("security", kept)
}
