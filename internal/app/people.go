package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/app/config"
	"github.com/nilecare/nilecare/internal/module/identity"
)

type userFlags struct{ email, role, first, last, passwordFile, patient, fhirUser string }

func buildUser(p *Program) ([]config.Setting, func(context.Context, []string) error) {
	f := &userFlags{}
	own := []config.Setting{
		{Name: "email", Value: config.Text(&f.email), Help: "the user's e-mail address"},
		{Name: "role", Value: config.Text(&f.role), Help: "of the user to make: admin, doctor, nurse, receptionist, …"},
		{Name: "first-name", Value: config.Text(&f.first), Help: "of the user to make"},
		{Name: "last-name", Value: config.Text(&f.last), Help: "of the user to make"},
		{Name: "fhir-user", Value: config.Text(&f.fhirUser), Help: "who the user is in the record, such as Practitioner/12"},
		{Name: "patient", Value: config.Text(&f.patient), Help: "the user's own record, such as Patient/3"},
		{Name: "password-file", Value: config.Text(&f.passwordFile), Help: "file that holds the password; - is standard input"},
	}
	return own, func(ctx context.Context, args []string) error { return p.user(ctx, f, args[0]) }
}

func (p *Program) user(ctx context.Context, f *userFlags, verb string) error {
	params := url.Values{"do": {verb}}
	switch verb {
	case "list":
		return p.operate(ctx, "user", params, p.Out)
	case "create", "password":
	default:
		return &config.UsageError{Text: "usage: nilecare user create|password|list"}
	}
	if f.email == "" || f.passwordFile == "" || verb == "create" && f.role == "" {
		return &config.UsageError{Text: "user " + verb + ": --email, --password-file" + map[bool]string{true: " and --role"}[verb == "create"] + " are needed"}
	}
	password, err := p.password(f.passwordFile)
	if err != nil {
		return fmt.Errorf("password-file: %w", err)
	}
	for name, v := range map[string]string{"email": f.email, "role": f.role, "first": f.first, "last": f.last, "password": password, "patient": f.patient, "fhirUser": f.fhirUser} {
		params.Set(name, v)
	}
	return p.operateMaking(ctx, "user", params, p.Out)
}

// password reads the file that holds one; "-" is standard input.
func (p *Program) password(path string) (string, error) {
	if path != "-" {
		return secretFile(path)
	}
	text, err := io.ReadAll(io.LimitReader(p.In, 4096))
	return strings.TrimRight(string(text), "\r\n"), err
}

// operateMaking is operate for what may be the first thing that is done to a database: it is made where there is none.
func (p *Program) operateMaking(ctx context.Context, name string, params url.Values, out io.Writer) error {
	params = p.inTenant(params)
	if p.cfg.Database == "" {
		if asked, err := askServer(ctx, p.cfg.Data, name, params, out); asked {
			return err
		}
	}
	store, err := p.open(ctx)
	if err != nil {
		return err
	}
	return errors.Join(runOperation(ctx, name, store, params, out), store.Close())
}

// asOperator is the context of what an operator does at the command line, in the tenant that the parameters name.
func asOperator(ctx context.Context, params url.Values) (context.Context, error) {
	tenant := int64(1)
	if text := params.Get("tenant"); text != "" {
		var err error
		if tenant, err = strconv.ParseInt(text, 10, 32); err != nil || tenant < 1 {
			return nil, errors.New("tenant: must be a number")
		}
	}
	c := access.System(int32(tenant))
	c.Who = "operator"
	return access.With(ctx, c), nil
}

// tenantOf is the tenant that an operation works on.
func tenantOf(ctx context.Context) int32 { return access.From(ctx).Tenant }

func userTo(ctx context.Context, store *opened, params url.Values, out io.Writer) error {
	x, err := store.services(ctx)
	if err != nil {
		return err
	}
	switch params.Get("do") {
	case "list":
		return listUsers(ctx, x, out)
	case "password":
		u, err := x.people.ByEmail(ctx, tenantOf(ctx), params.Get("email"))
		if err != nil {
			return err
		}
		if err := x.people.SetPassword(ctx, tenantOf(ctx), u.ID, params.Get("password"), 0); err != nil {
			return err
		}
		if err := x.people.Unlock(ctx, tenantOf(ctx), u.ID); err != nil {
			return err
		}
		_, err = fmt.Fprintf(out, "user %d has a new password; their sessions have ended\n", u.ID)
		return err
	}
	u, err := x.people.Create(ctx, tenantOf(ctx), identity.NewUser{Email: params.Get("email"), Password: params.Get("password"), Role: params.Get("role"),
		FirstName: params.Get("first"), LastName: params.Get("last"), Patient: params.Get("patient"), FHIRUser: params.Get("fhirUser"), EmailVerified: true})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "made user %d with the role %s\n", u.ID, u.Role)
	return err
}

func listUsers(ctx context.Context, x *platform, out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "id\te-mail\trole\tstatus\tlast sign-in")
	for page := 1; ; page++ {
		users, total, err := x.people.Find(ctx, tenantOf(ctx), identity.Filter{Page: page, Limit: 100})
		if err != nil {
			return err
		}
		for _, u := range users {
			fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\n", u.ID, u.Email, u.Role, u.Status, when(u.LastLogin))
		}
		if page*100 >= total {
			return w.Flush()
		}
	}
}

func when(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(time.RFC3339)
}

type apiKeyFlags struct {
	name, scope, expires, service, addresses string
}

func buildAPIKey(p *Program) ([]config.Setting, func(context.Context, []string) error) {
	f := &apiKeyFlags{}
	own := []config.Setting{
		{Name: "name", Value: config.Text(&f.name), Help: "what the key is for"},
		{Name: "scope", Value: config.Text(&f.scope), Help: "what it may do, with spaces between: system/Patient.rs, users:read, …"},
		{Name: "expires", Value: config.Text(&f.expires), Help: "how long it is good, such as 720h; empty is a year"},
		{Name: "service", Value: config.Text(&f.service), Help: "the service account that it belongs to"},
		{Name: "addresses", Value: config.Text(&f.addresses), Help: "networks that it may come from, with commas between them"},
	}
	return own, func(ctx context.Context, args []string) error {
		params := url.Values{"do": {args[0]}, "name": {f.name}, "scope": {f.scope}, "expires": {f.expires}, "service": {f.service}, "addresses": {f.addresses}}
		switch args[0] {
		case "create":
			if f.name == "" || f.scope == "" {
				return &config.UsageError{Text: "apikey create: --name and --scope are needed"}
			}
			return p.operateMaking(ctx, "apikey", params, p.Out)
		case "revoke":
			if len(args) != 2 {
				return &config.UsageError{Text: "usage: nilecare apikey revoke ID"}
			}
			params.Set("id", args[1])
			return p.operate(ctx, "apikey", params, p.Out)
		case "list":
			return p.operate(ctx, "apikey", params, p.Out)
		}
		return &config.UsageError{Text: "usage: nilecare apikey create|list|revoke [ID]"}
	}
}

func apiKeyTo(ctx context.Context, store *opened, params url.Values, out io.Writer) error {
	x, err := store.services(ctx)
	if err != nil {
		return err
	}
	switch params.Get("do") {
	case "list":
		keys, err := x.people.Keys(ctx, tenantOf(ctx))
		if err != nil {
			return err
		}
		for _, k := range keys {
			if err := json.NewEncoder(out).Encode(map[string]any{"id": strconv.FormatInt(k.ID, 10), "name": k.Name, "prefix": k.Prefix, "scopes": k.Scopes,
				"expires": when(k.Expires), "lastUsed": when(k.LastUsed)}); err != nil {
				return err
			}
		}
		return nil
	case "revoke":
		id, err := strconv.ParseInt(params.Get("id"), 10, 64)
		if err != nil {
			return errors.New("apikey revoke: the id is a number")
		}
		return x.people.RevokeKey(ctx, tenantOf(ctx), id)
	}
	n := identity.NewKey{Name: params.Get("name"), Scopes: strings.Fields(params.Get("scope")), Service: params.Get("service")}
	for _, a := range strings.Split(params.Get("addresses"), ",") {
		if a != "" {
			n.Addresses = append(n.Addresses, a)
		}
	}
	if life := params.Get("expires"); life != "" {
		d, err := time.ParseDuration(life)
		if err != nil || d <= 0 {
			return errors.New("apikey create: --expires is a length of time such as 720h")
		}
		n.Expires = time.Now().Add(d)
	}
	key, _, err := x.people.CreateKey(ctx, tenantOf(ctx), n)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, key)
	return err
}
