package accounts_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/module/identity"
	"github.com/nilecare/nilecare/internal/module/identity/oauth"
	"github.com/nilecare/nilecare/internal/module/identity/oauth/accounts"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/storetest"
	"github.com/nilecare/nilecare/internal/token"
)

const password = "a test value, not a secret"

func issuer(tenant int32) string { return fmt.Sprintf("https://ehr.example/t/%d", tenant) }

// TestSignIn: people prove who they are, with a second factor where they have one, and no session of the product's comes of it.
func TestSignIn(t *testing.T) {
	storetest.Each(t, record.Options{Tables: identity.Tables()}, func(t *testing.T, store *record.Store) {
		ctx := t.Context()
		if err := store.Ledger().Migrate(ctx, token.Module, token.Migrations()); err != nil {
			t.Fatal(err)
		}
		policies, err := access.Compile(access.DefaultPolicies())
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		clock := func() time.Time { return now }
		s, err := identity.New(ctx, identity.Options{Ledger: store.Ledger(), Records: store, Tokens: token.New(store.Ledger(), token.Options{Clock: clock}),
			Policies: policies, Clock: clock, Issuer: issuer, Audience: issuer})
		if err != nil {
			t.Fatal(err)
		}
		system := access.With(context.Background(), access.System(1))
		u, err := s.Create(system, 1, identity.NewUser{Email: "doctor@example.org", Password: password, Role: "doctor", FirstName: "Amna"})
		if err != nil {
			t.Fatal(err)
		}
		users := accounts.Users(s)
		try := oauth.Attempt{Tenant: 1, Email: "doctor@example.org", Password: password, Address: "192.0.2.1"}
		in, err := users.SignIn(ctx, try)
		if err != nil || in.User.ID != u.ID || in.User.Name != "Amna" || in.Challenge != "" || !slices.Equal(in.Methods, []string{"pwd"}) {
			t.Fatalf("%+v %v", in, err)
		}
		wrong := try
		wrong.Password = "not the value"
		if _, err := users.SignIn(ctx, wrong); !fault.Is(err, fault.Unauthenticated) {
			t.Error(err)
		}
		e, err := s.EnableMFA(system, u)
		if err != nil {
			t.Fatal(err)
		}
		code, err := totp.GenerateCode(e.Secret, now)
		if err != nil {
			t.Fatal(err)
		}
		codes, err := s.VerifyMFA(system, u, code)
		if err != nil {
			t.Fatal(err)
		}
		if in, err = users.SignIn(ctx, try); err != nil || in.Challenge == "" || in.User.ID != 0 {
			t.Fatalf("%+v %v", in, err)
		}
		if _, err := users.SecondFactor(ctx, 1, in.Challenge, "AAAA-AAAA-AAAA-AAAA", try.Address, ""); !fault.Is(err, fault.Unauthenticated) {
			t.Error(err)
		}
		if in, err = users.SecondFactor(ctx, 1, in.Challenge, codes[0], try.Address, ""); err != nil || in.User.ID != u.ID || !slices.Contains(in.Methods, "mfa") {
			t.Errorf("%+v %v", in, err)
		}
		if open, err := s.Sessions(system, 1, u.ID); err != nil || len(open) != 0 {
			t.Errorf("%v %v", open, err)
		}
	})
}
