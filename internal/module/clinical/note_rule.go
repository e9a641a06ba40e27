package clinical

import (
	"context"
	"slices"
	"strings"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/record"
)

// A note is a Composition. What must hold of all of them, whoever writes and by whatever door:
//
//   - A draft (preliminary) is changed by its author alone. Others may sign it as it stands.
//   - Signing makes it final, and adds an attester who signs: the person who asks, never somebody else, with a permission for that kind of note.
//   - What is final or amended never changes, and is not deleted. It can be amended: then it gets a new attester, and its history keeps what stood
//     before. It can be marked as entered in error. Attesters are added, and none is changed or taken away.
//   - What was entered in error stays as it is.
//
// Documents that come from elsewhere, signed there, are brought in by programs that speak for themselves, whose scopes decide what they may write, or
// by who has the permission records:import.

// importPermission admits a person to bring in documents that others wrote and signed.
const importPermission = "records:import"

// free reports who writes in others' names: the program itself, and programs that carry what others wrote.
func free(c *access.Caller) bool { return c.Internal() || c.User == 0 }

// noteMoves is the state machine of a Composition.
var noteMoves = map[string][]string{
	"preliminary":      {"final", "amended", "entered-in-error"},
	"final":            {"amended", "entered-in-error"},
	"amended":          {"entered-in-error"},
	"entered-in-error": {},
}

func signedNote(status string) bool { return status == "final" || status == "amended" }

// signs are the modes of attesting that make a note binding.
func signs(mode string) bool { return mode == "legal" || mode == "professional" || mode == "official" }

// noteRule holds all that.
func noteRule(ctx context.Context, _ record.Tx, old, new *fhir.Resource) error {
	c := access.From(ctx)
	switch {
	case new == nil:
		return deletedNote(&c, old)
	case old == nil:
		return newNote(&c, new)
	case isMerging(ctx): // it points references to another patient, and does nothing else
		return nil
	}
	if err := mayMove(noteMoves, "a note", old.Str("status"), new.Str("status")); err != nil {
		return err
	}
	if old.Str("status") == "preliminary" {
		return draftNote(&c, old, new)
	}
	return boundNote(&c, old, new)
}

// deletedNote holds that what was signed is not deleted, and that a draft is its author's. An erasure of the patient is the program's own.
func deletedNote(c *access.Caller, old *fhir.Resource) error {
	switch {
	case old == nil || c.Internal():
		return nil
	case old.Str("status") != "preliminary":
		return fault.At(fault.Conflict, "status", "a note that was signed is not deleted: it can be marked as entered in error").WithCode("NOTE_SIGNED")
	}
	return mayWithdraw(c, old)
}

// mayWithdraw admits authors, and who has the permission to delete that kind of note.
func mayWithdraw(c *access.Caller, n *fhir.Resource) error {
	if need := kindOfNote(n).permissions + ":delete"; !free(c) && !isAuthor(c, n) && !c.Permits(need) {
		return fault.New(fault.Forbidden, "only its author, or who has the permission %s, may take back a note", need)
	}
	return nil
}

// newNote holds that nobody writes or signs in another's name.
func newNote(c *access.Caller, n *fhir.Resource) error {
	if free(c) || c.Permits(importPermission) {
		return nil
	}
	if !isAuthor(c, n) {
		return fault.At(fault.Forbidden, "author", "a note is written in one's own name")
	}
	attesters := flat.Items(n.Get("attester"))
	if len(attesters) > 0 && n.Str("status") == "preliminary" {
		return unsignedDraft()
	}
	return signature(c, n, attesters, signedNote(n.Str("status")))
}

func unsignedDraft() error {
	return fault.At(fault.Unprocessable, "attester", "who attests a note signs it: its status becomes final").WithCode("invariant")
}

// draftNote holds that a draft is its author's, and how it is signed.
func draftNote(c *access.Caller, old, new *fhir.Resource) error {
	if free(c) {
		return nil
	}
	own := isAuthor(c, old)
	if !own && !sameBut(old, new, "status", "attester") {
		return fault.At(fault.Forbidden, "author", "a draft is changed by its author alone")
	}
	if own && !isAuthor(c, new) {
		return fault.At(fault.Forbidden, "author", "a note is written in one's own name")
	}
	added, ok := addedAttesters(old, new)
	if !ok {
		return fault.At(fault.Conflict, "attester", "attesters are added, and never changed or taken away").WithCode("NOTE_SIGNED")
	}
	switch {
	case signedNote(new.Str("status")):
		return signature(c, new, added, true)
	case len(added) > 0:
		return unsignedDraft()
	case new.Str("status") == "entered-in-error":
		return mayWithdraw(c, old)
	}
	return nil
}

// boundNote holds that a note that was signed stays what it was.
func boundNote(c *access.Caller, old, new *fhir.Resource) error {
	from, to := old.Str("status"), new.Str("status")
	added, ok := addedAttesters(old, new)
	if !ok {
		return fault.At(fault.Conflict, "attester", "attesters are added, and never changed or taken away").WithCode("NOTE_SIGNED")
	}
	if sameBut(old, new, "status", "attester") {
		switch {
		case to == "entered-in-error" || from == "entered-in-error":
			if len(added) > 0 {
				return fault.At(fault.Conflict, "attester", "what was entered in error is not attested").WithCode("NOTE_SIGNED")
			}
			if from == to {
				return nil
			}
			return mayWithdraw(c, old)
		case from != to: // amended without an amendment
			return fault.At(fault.Unprocessable, "status", "an amended note says something else than before").WithCode("invariant")
		}
		return signature(c, new, added, false)
	}
	if to != "amended" {
		return fault.At(fault.Conflict, "section", "a note that was signed does not change: amend it").WithCode("NOTE_SIGNED")
	}
	for _, name := range []string{"subject", "author", "encounter", "type", "category", "identifier"} {
		if !sameMember(old, new, name) {
			return fault.At(fault.Conflict, name, "an amendment does not change this").WithCode("NOTE_SIGNED")
		}
	}
	if !startsWith(new.Get("extension"), old.Get("extension")) {
		return fault.At(fault.Conflict, "extension", "reasons of amendments are added, and never changed or taken away").WithCode("NOTE_SIGNED")
	}
	if len(added) == 0 {
		return fault.At(fault.Conflict, "attester", "an amendment is signed: it adds an attester").WithCode("NOTE_SIGNED")
	}
	return signature(c, new, added, true)
}

// signature holds that those who attest are the caller. Where the note becomes binding by it, one of them must sign, with the right to.
func signature(c *access.Caller, n *fhir.Resource, added []*fhir.Node, binding bool) error {
	if free(c) {
		return nil
	}
	signed := false
	for _, a := range added {
		if !slices.Contains(c.Self, flat.RefOf(a.Get("party"))) || !isPerson(flat.RefOf(a.Get("party"))) {
			return fault.At(fault.Forbidden, "attester.party", "nobody signs in another's name")
		}
		if a.Str("time") == "" {
			return fault.At(fault.Unprocessable, "attester.time", "is missing").WithCode("required")
		}
		signed = signed || signs(a.Str("mode"))
	}
	if !binding {
		return nil
	}
	if !signed {
		return fault.At(fault.Unprocessable, "attester", "a note becomes final by a signature: an attester of mode legal, professional or official").WithCode("required")
	}
	if need := signPermission(n); !c.Permits(need) {
		return fault.New(fault.Forbidden, "signing this kind of note needs the permission %s", need)
	}
	return nil
}

// signPermission is what signing a note needs: the permission of its kind.
func signPermission(n *fhir.Resource) string {
	verb := "finalize"
	if n.Str("status") == "amended" {
		verb = "amend"
	}
	return kindOfNote(n).permissions + ":" + verb
}

// isPerson reports a reference to somebody, not to an organization or a team.
func isPerson(ref string) bool {
	for _, typ := range []string{"Practitioner/", "PractitionerRole/", "Patient/", "RelatedPerson/"} {
		if strings.HasPrefix(ref, typ) {
			return true
		}
	}
	return false
}

func isAuthor(c *access.Caller, n *fhir.Resource) bool {
	for _, a := range flat.Items(n.Get("author")) {
		if ref := flat.RefOf(a); isPerson(ref) && slices.Contains(c.Self, ref) {
			return true
		}
	}
	return false
}

// addedAttesters are those behind the ones that were; ok is false where one of those changed or went.
func addedAttesters(old, new *fhir.Resource) (added []*fhir.Node, ok bool) {
	was, is := old.Get("attester"), new.Get("attester")
	if !startsWith(is, was) {
		return nil, false
	}
	return flat.Items(is)[len(flat.Items(was)):], true
}

// startsWith reports that the list begins with all of the other.
func startsWith(list, with *fhir.Node) bool {
	is, was := flat.Items(list), flat.Items(with)
	if len(is) < len(was) {
		return false
	}
	for i := range was {
		if !was[i].Equal(is[i]) {
			return false
		}
	}
	return true
}

// sameBut reports that both say the same, but for these members. What a server keeps of a resource (id, meta) does not count.
func sameBut(a, b *fhir.Resource, but ...string) bool {
	names := map[string]bool{}
	for _, r := range []*fhir.Resource{a, b} {
		for n := r.First(); n != nil; n = n.Next() {
			names[n.Name] = true
		}
	}
	for name := range names {
		if name == "id" || name == "meta" || slices.Contains(but, name) {
			continue
		}
		if !sameMember(a, b, name) {
			return false
		}
	}
	return true
}

func sameMember(a, b *fhir.Resource, name string) bool {
	x, y := a.Get(name), b.Get(name)
	if x == nil || y == nil {
		return x == y
	}
	return x.Equal(y)
}
