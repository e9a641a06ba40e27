package clinical

import (
	"context"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
)

// TestTextComesBackFromItsNarrativeAsItWas is the law of xhtml and plain: whatever is written in a note is told as it was written, and is no markup.
func TestTextComesBackFromItsNarrativeAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, err := plainText("text", rapid.String().Draw(t, "text"), maxText)
		if err != nil {
			t.Skip("control characters are refused")
		}
		div := xhtml(text)
		if got := plain(div); got != text {
			t.Fatalf("%q came back as %q", text, got)
		}
		inside := strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(div, `<div xmlns="http://www.w3.org/1999/xhtml">`), "</div>"), "<br/>", "")
		if strings.ContainsAny(inside, "<>\"") {
			t.Fatalf("markup: %q", inside)
		}
	})
}

// TestFinalStatusesLeadNowhere is the law of the state machines: what is final can only turn out to be wrong, every status can, and every target is known.
func TestFinalStatusesLeadNowhere(t *testing.T) {
	for name, m := range map[string]struct {
		moves map[string][]string
		final []string
	}{
		"encounter": {encounterMoves, []string{"finished", "cancelled"}}, "note": {noteMoves, []string{"amended"}}, "care plan": {carePlanMoves, []string{"completed", "revoked"}},
		"referral": {referralMoves, []string{"completed", "revoked"}}, "task": {taskMoves, []string{"completed", "cancelled", "rejected", "failed"}},
	} {
		for from, list := range m.moves {
			wrong := false
			for _, to := range list {
				if _, known := m.moves[to]; !known || to == from {
					t.Errorf("%s: %s → %s", name, from, to)
				}
				wrong = wrong || to == "entered-in-error"
			}
			if wrong == (from == "entered-in-error") {
				t.Errorf("%s: %s cannot turn out to be wrong, or comes back", name, from)
			}
		}
		for _, from := range m.final {
			if len(m.moves[from]) != 1 {
				t.Errorf("%s: %s leads to %v", name, from, m.moves[from])
			}
		}
	}
}

// permitted is a grant of some permissions of the product.
type permitted struct {
	access.Grant
	all []string
}

func (p permitted) Permits(name string) bool {
	for _, one := range p.all {
		if one == name {
			return true
		}
	}
	return false
}

// TestNoWalkOfWritersChangesWhatWasSigned lets writers do what they like to a note, and holds each step that the rule lets pass: a signed note that says something else than
// before is amended, and the one who wrote that signed it, with the permission to.
func TestNoWalkOfWritersChangesWhatWasSigned(t *testing.T) {
	people := []access.Caller{
		{Tenant: 1, Who: "User/1", User: 1, Self: []string{"Practitioner/a"}, Grant: permitted{access.Nothing(), []string{"soap-notes:finalize", "soap-notes:amend"}}},
		{Tenant: 1, Who: "User/2", User: 2, Self: []string{"Practitioner/b", "Organization/o"}, Grant: permitted{access.Nothing(), []string{"soap-notes:finalize"}}},
		{Tenant: 1, Who: "User/3", User: 3, Self: []string{"Practitioner/c"}, Grant: permitted{access.Nothing(), nil}},
		{Tenant: 1, Who: "User/4", User: 4, Grant: permitted{access.Nothing(), []string{importPermission}}},
	}
	rapid.Check(t, func(t *rapid.T) {
		note, err := flat.Make("Composition", obj{"status": "preliminary", "type": concept("", "", "", "Note"), "subject": reference("Patient/p"), "date": "2026-01-01", "title": "x",
			"author": []any{reference("Practitioner/a")}, "section": []any{obj{"title": "text 0"}}})
		if err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			c := rapid.SampledFrom(people).Draw(t, "who")
			next := note.Clone()
			for range rapid.IntRange(1, 3).Draw(t, "changes") {
				scribble(t, next)
			}
			if noteRule(access.With(context.Background(), c), nil, note, next) != nil {
				continue
			}
			was, is := note.Str("status"), next.Str("status")
			if signedNote(was) || was == "entered-in-error" {
				if !sameBut(note, next, "status", "attester") {
					added, ok := addedAttesters(note, next)
					if is != "amended" || !ok || len(added) == 0 || !c.Permits("soap-notes:amend") {
						t.Fatalf("%s changed a signed note:\n%s\n%s", c.Who, note.AppendJSON(nil), next.AppendJSON(nil))
					}
				}
				if _, ok := addedAttesters(note, next); !ok {
					t.Fatalf("%s took a signature away", c.Who)
				}
			}
			added, _ := addedAttesters(note, next)
			for _, a := range added {
				if flat.RefOf(a.Get("party")) != self(access.With(context.Background(), c), "Practitioner") {
					t.Fatalf("%s signed as %s", c.Who, flat.RefOf(a.Get("party")))
				}
			}
			if !signedNote(was) && signedNote(is) && len(added) == 0 {
				t.Fatalf("%s made a note final without a signature", c.Who)
			}
			note = next
		}
	})
}

// scribble changes something.
func scribble(t *rapid.T, n *fhir.Resource) {
	person := func() string {
		return rapid.SampledFrom([]string{"Practitioner/a", "Practitioner/b", "Practitioner/c", "Organization/o"}).Draw(t, "person")
	}
	var err error
	switch rapid.SampledFrom([]string{"status", "section", "attester", "fewer", "author", "subject", "title"}).Draw(t, "change") {
	case "status":
		n.Set("status", fhir.NewString(rapid.SampledFrom([]string{"preliminary", "final", "amended", "entered-in-error"}).Draw(t, "status")))
	case "section":
		err = flat.Set(n.Node, "section", []any{obj{"title": rapid.SampledFrom([]string{"text 0", "text 1", "text 2"}).Draw(t, "text")}})
	case "attester":
		err = appendTo(n.Node, "attester", obj{"mode": rapid.SampledFrom([]string{"legal", "personal"}).Draw(t, "mode"), "time": "2026-01-01T10:00:00Z", "party": reference(person())})
	case "fewer":
		n.Delete("attester")
	case "author":
		err = flat.Set(n.Node, "author", []any{reference(person())})
	case "subject":
		err = flat.Set(n.Node, "subject", reference("Patient/other"))
	case "title":
		n.Set("title", fhir.NewString("y"))
	}
	if err != nil {
		t.Fatal(err)
	}
}
