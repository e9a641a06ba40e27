package identity_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/module/identity"
	"github.com/nilecare/nilecare/internal/record"
)

// TestBreakGlass: it is opened by staff, for a reason and a while, in one session; ends by time or by hand; and another reviews it.
func TestBreakGlass(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		doctor := w.user(1, "doctor@clinic.example", "doctor")
		officer := w.user(1, "officer@clinic.example", "compliance_officer")
		clerk := w.user(1, "clerk@clinic.example", "billing_clerk")
		as := func(u *identity.User) (access.Caller, *identity.SignedIn) {
			in, err := w.s.Begin(system(1), 1, u.ID, identity.ByMFA, false, "127.0.0.1", "test")
			if err != nil {
				t.Fatal(err)
			}
			c, err := w.s.Authenticate(system(1), identity.Credentials{Bearer: in.AccessToken})
			if err != nil {
				t.Fatal(err)
			}
			return c, in
		}
		d, in := as(doctor)
		o, _ := as(officer)
		k, _ := as(clerk)
		reason := "unconscious, no relative can be reached"
		for name, x := range map[string]struct {
			c               access.Caller
			patient, reason string
			minutes         int
			want            fault.Kind
		}{
			"no permission": {k, "Patient/3", reason, 0, fault.Forbidden},
			"short reason":  {d, "Patient/3", "because", 0, fault.Invalid},
			"long":          {d, "Patient/3", reason, 241, fault.Invalid},
			"no patient":    {d, "3", reason, 0, fault.Invalid},
		} {
			if _, err := w.s.BreakTheGlass(access.With(t.Context(), x.c), x.patient, x.reason, x.minutes); !fault.Is(err, x.want) {
				t.Errorf("%s: %v", name, err)
			}
		}
		g, err := w.s.BreakTheGlass(access.With(t.Context(), d), "Patient/3", reason, 30)
		if err != nil {
			t.Fatal(err)
		}
		again := func() access.Caller {
			c, err := w.s.Authenticate(system(1), identity.Credentials{Bearer: in.AccessToken})
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		if c := again(); !c.Emergency || c.Purpose != "ETREAT" {
			t.Errorf("%+v", c)
		}
		if other, _ := as(doctor); other.Emergency {
			t.Error("another session of the same user is in emergency")
		}
		if err := w.s.ReviewGlass(access.With(t.Context(), o), g.ID, "justified", ""); !fault.Is(err, fault.Conflict) {
			t.Errorf("reviewed before its end: %v", err)
		}
		if err := w.s.EndGlass(access.With(t.Context(), o), g.ID); !fault.Is(err, fault.NotFound) {
			t.Errorf("another ended it: %v", err)
		}
		if err := w.s.EndGlass(access.With(t.Context(), d), g.ID); err != nil {
			t.Fatal(err)
		}
		if again().Emergency {
			t.Error("it goes on")
		}
		w.clock.add(time.Second)
		if err := w.s.ReviewGlass(access.With(t.Context(), d), g.ID, "justified", ""); !fault.Is(err, fault.Forbidden) {
			t.Errorf("reviewed by oneself: %v", err)
		}
		if err := w.s.ReviewGlass(access.With(t.Context(), o), g.ID, "unjustified", "a cousin asked"); err != nil {
			t.Fatal(err)
		}
		if err := w.s.ReviewGlass(access.With(t.Context(), o), g.ID, "justified", ""); !fault.Is(err, fault.Conflict) {
			t.Errorf("reviewed twice: %v", err)
		}
		open, err := w.s.Glasses(access.With(t.Context(), o), identity.GlassReview)
		all, err2 := w.s.Glasses(access.With(t.Context(), o), "")
		if err != nil || err2 != nil || len(open) != 0 || len(all) != 1 || all[0].Reason != reason || all[0].Note != "a cousin asked" {
			t.Errorf("%v %v %+v %+v", err, err2, open, all)
		}
		if own, err := w.s.Glasses(access.With(t.Context(), k), ""); err != nil || len(own) != 0 {
			t.Errorf("%v %+v", err, own)
		}
	})
}

// TestTenantsComeAndGo: made, suspended, resumed and deleted; nobody of one that is suspended is served, and only the first tenant's administrators keep the list.
func TestTenantsComeAndGo(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		made, setup, err := w.s.CreateTenant(system(1), "Omdurman Clinic")
		if err != nil || made.ID != 2 || setup == "" {
			t.Fatalf("%+v %v", made, err)
		}
		if _, _, err := w.s.CreateTenant(system(2), "Another"); !fault.Is(err, fault.Forbidden) {
			t.Errorf("made from another tenant: %v", err)
		}
		u, err := w.s.Setup(system(2), 2, setup, identity.NewUser{Email: "amna@omdurman.example", Password: password})
		if err != nil {
			t.Fatal(err)
		}
		in, err := w.s.Begin(system(2), 2, u.ID, identity.ByMFA, false, "127.0.0.1", "test")
		if err != nil {
			t.Fatal(err)
		}
		served := func() error {
			_, err := w.s.Authenticate(system(2), identity.Credentials{Bearer: in.AccessToken})
			return err
		}
		if err := served(); err != nil {
			t.Fatal(err)
		}
		// Who somebody is where something is used that they left behind: as long as they and their tenant are there.
		standing := func() error {
			c, err := w.s.Standing(system(2), 2, u.ID)
			if err == nil && (c.User != u.ID || c.Tenant != 2 || c.Session != 0 || c.Emergency || !c.Permits("appointments:read")) {
				t.Errorf("%+v", c)
			}
			return err
		}
		if err := standing(); err != nil {
			t.Error(err)
		}
		if _, err := w.s.Standing(system(2), 2, u.ID+1); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("nobody: %v", err)
		}
		if _, err := w.s.SuspendTenant(system(1), 2); err != nil {
			t.Fatal(err)
		}
		if err := served(); !fault.Is(err, fault.Forbidden) {
			t.Errorf("a suspended tenant is served: %v", err)
		}
		if err := standing(); !fault.Is(err, fault.Forbidden) {
			t.Errorf("what somebody of a suspended tenant left behind is served: %v", err)
		}
		if _, err := w.s.SignIn(system(2), identity.SignIn{Tenant: 2, Email: "amna@omdurman.example", Password: password}); !fault.Is(err, fault.Forbidden) {
			t.Errorf("somebody of a suspended tenant signs in: %v", err)
		}
		if _, err := w.s.ResumeTenant(system(1), 2); err != nil {
			t.Fatal(err)
		}
		if err := served(); err != nil {
			t.Error(err)
		}
		if _, err := w.s.DeleteTenant(system(1), 2); err != nil {
			t.Fatal(err)
		}
		var gone []int32
		destroy := func(_ context.Context, tenant int32) error { gone = append(gone, tenant); return nil }
		if err := w.s.DueTenants(system(1), destroy); err != nil || len(gone) != 0 {
			t.Errorf("%v %v", err, gone)
		}
		w.clock.add(identity.Grace + time.Hour)
		if err := w.s.DueTenants(system(1), destroy); err != nil || len(gone) != 1 {
			t.Errorf("%v %v", err, gone)
		}
		if _, err := w.s.ResumeTenant(system(1), 2); !fault.Is(err, fault.Conflict) {
			t.Errorf("a deleted tenant came back: %v", err)
		}
		if _, err := w.s.SuspendTenant(system(1), 7); !fault.Is(err, fault.NotFound) {
			t.Errorf("%v", err)
		}
	})
}

// TestLink: an account is linked to the one record that matches, by staff; the user is not told whether any did.
func TestLink(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		res, err := fhir.ParseResource([]byte(`{"resourceType":"Patient","name":[{"family":"Hassan","given":["Amina"]}],"birthDate":"1990-02-03","identifier":[{"system":"urn:mrn","value":"77"}]}`))
		if err != nil {
			t.Fatal(err)
		}
		out, err := w.store.Write(system(1), []record.Change{{Op: record.Create, Type: "Patient", Resource: res}})
		if err != nil {
			t.Fatal(err)
		}
		u := w.user(1, "amina@example.org", "patient")
		nurse := w.user(1, "reception@example.org", "receptionist")
		caller := func(u *identity.User) access.Caller {
			c, err := w.s.Caller(system(1), identity.CallerOf{Tenant: 1, User: u.ID, Session: 1})
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		claim := identity.Claim{FamilyName: "Hassan", GivenName: "Amina", BirthDate: "1990-02-03"}
		claim.Identifier.System, claim.Identifier.Value = "urn:mrn", "78"
		ctx := access.With(t.Context(), caller(u))
		wrong, err := w.s.Verify(ctx, claim)
		if err != nil {
			t.Fatal(err)
		}
		claim.Identifier.Value = "77"
		right, err := w.s.Verify(ctx, claim)
		if err != nil || right.Status != wrong.Status {
			t.Fatalf("%+v %+v %v", right, wrong, err)
		}
		staff := access.With(t.Context(), caller(nurse))
		if err := w.s.Decide(ctx, right.ID, true, ""); !fault.Is(err, fault.Forbidden) {
			t.Errorf("verified by oneself: %v", err)
		}
		if err := w.s.Decide(staff, wrong.ID, true, ""); !fault.Is(err, fault.Invalid) {
			t.Errorf("nothing matched: %v", err)
		}
		if err := w.s.Decide(staff, right.ID, true, ""); err != nil {
			t.Fatal(err)
		}
		if err := w.s.Decide(staff, right.ID, false, ""); !fault.Is(err, fault.Conflict) {
			t.Errorf("decided twice: %v", err)
		}
		linked, err := w.s.User(system(1), 1, u.ID)
		if err != nil || linked.Patient != "Patient/"+out[0].Version.ID {
			t.Errorf("%+v %v", linked, err)
		}
		if c := caller(linked); !strings.Contains(strings.Join(c.Self, " "), linked.Patient) {
			t.Errorf("%v", c.Self)
		}
	})
}

// TestLinksAreBounded: nobody tries who they might be for ever.
func TestLinksAreBounded(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		u := w.user(1, "amina@example.org", "patient")
		c, err := w.s.Caller(system(1), identity.CallerOf{Tenant: 1, User: u.ID, Session: 1})
		if err != nil {
			t.Fatal(err)
		}
		ctx := access.With(t.Context(), c)
		claim := identity.Claim{FamilyName: "A", GivenName: "B", BirthDate: "1990-01-01"}
		claim.Identifier.Value = "1"
		for i := range 6 {
			_, err := w.s.Verify(ctx, claim)
			if (i < 5) != (err == nil) || i == 5 && !fault.Is(err, fault.TooMany) {
				t.Errorf("%d: %v", i, err)
			}
		}
		if _, err := w.s.Verify(ctx, identity.Claim{}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%v", err)
		}
	})
}
