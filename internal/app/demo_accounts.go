package app

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"strings"

	"github.com/nilecare/nilecare/internal/module/identity"
)

// demoAccounts are the accounts of the synthetic hospital. Their passwords are random, are told once, and stand nowhere.
type demoAccounts struct {
	people []demoPerson
	key    string
}

type demoPerson struct{ role, email, password string }

// demoFacility is the product API's id of the hospital that the accounts' people work at.
const demoFacility = "1"

// demoPeople are the people of the synthetic hospital whom accounts are of, by role: see hospital.Living.
func demoPeople(role string) (fhirUser, patient string) {
	switch role {
	case "doctor":
		return "Practitioner/1", ""
	case "nurse":
		return "Practitioner/4", ""
	case "patient":
		return "Patient/1", "Patient/1"
	}
	return "", ""
}

// demoRoles are who works in the synthetic hospital, each with an account.
var demoRoles = [...]string{"admin", "doctor", "nurse", "receptionist", "lab_technician", "pharmacist", "billing_clerk", "patient"}

// makeDemoAccounts makes a user of each role and an API key that may do everything.
func makeDemoAccounts(ctx context.Context, x *platform) (*demoAccounts, error) {
	made := &demoAccounts{}
	for _, role := range demoRoles {
		one := demoPerson{role, strings.ReplaceAll(role, "_", "-") + "@demo.nilecare.example", randomWord()}
		n := identity.NewUser{Email: one.email, Password: one.password, FirstName: "Demo", LastName: role, Role: role, FacilityID: demoFacility, EmailVerified: true}
		n.FHIRUser, n.Patient = demoPeople(role)
		if _, err := x.people.Create(ctx, 1, n); err != nil {
			return nil, fmt.Errorf("%s: %w", role, err)
		}
		made.people = append(made.people, one)
	}
	var err error
	made.key, _, err = x.people.CreateKey(ctx, 1, identity.NewKey{Name: "demo", Scopes: []string{"system/*.cruds"}})
	return made, err
}

// randomWord is a password of 80 random bits.
func randomWord() string {
	b := make([]byte, 10)
	_, _ = rand.Read(b) // never fails
	w := strings.ToLower(base32.StdEncoding.EncodeToString(b))
	return w[:4] + "-" + w[4:8] + "-" + w[8:12] + "-" + w[12:]
}

func (d *demoAccounts) show(p *Program) {
	fmt.Fprint(p.Out, "\nAccounts of the synthetic hospital, told this once:\n\n")
	for _, one := range d.people {
		fmt.Fprintf(p.Out, "  %-32s %s\n", one.email, one.password)
	}
}
