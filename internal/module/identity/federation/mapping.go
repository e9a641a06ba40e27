package federation

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/module/identity"
)

// told is what a provider told of somebody: claims or attributes, each with its values.
type told func(claim string) []string

func (t told) one(claims ...string) string {
	for _, c := range claims {
		if c == "" {
			continue
		}
		if vs := t(c); len(vs) > 0 && strings.TrimSpace(vs[0]) != "" {
			return strings.TrimSpace(vs[0])
		}
	}
	return ""
}

// first of what is set: the row's own name for a claim alone, or the usual ones.
func (t told) named(own string, usual ...string) string {
	if own != "" {
		return t.one(own)
	}
	return t.one(usual...)
}

// rolesFor are the roles that the rules give, each once, in the rules' order; else the default one.
func (p *Provider) rolesFor(t told, privileged func(string) bool) []string {
	var out []string
	for _, r := range p.Config.Roles {
		if privileged(r.Role) && !r.Privileged {
			continue
		}
		if !slices.Contains(out, r.Role) && slices.Contains(t(r.Claim), r.Value) {
			out = append(out, r.Role)
		}
	}
	if len(out) == 0 && p.Config.DefaultRole != "" && !privileged(p.Config.DefaultRole) {
		out = []string{p.Config.DefaultRole}
	}
	return out
}

// admit applies the row's conditions on whom it lets in, and gives roles.
func (s *Service) admit(p *Provider, who *identity.External, t told) error {
	_, domain, _ := cutLast(who.Email, "@")
	if len(p.Config.Domains) > 0 && !slices.ContainsFunc(p.Config.Domains, func(d string) bool { return strings.EqualFold(d, domain) }) {
		return fault.New(fault.Forbidden, "the e-mail address is not of a domain that is let in")
	}
	if p.Config.TrustEmail && who.Email != "" {
		who.EmailVerified = true
	}
	if who.Roles = p.rolesFor(t, s.o.Privileged); len(who.Roles) == 0 {
		return fault.New(fault.Forbidden, "no role is given to this account")
	}
	return nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// valuesOf are a claim's values as text; a dot leads into an object where no claim has the whole name.
func valuesOf(claims map[string]any, name string) []string {
	if v, ok := claims[name]; ok {
		return texts(v)
	}
	head, rest, ok := strings.Cut(name, ".")
	if !ok {
		return nil
	}
	inner, ok := claims[head].(map[string]any)
	if !ok {
		return nil
	}
	return valuesOf(inner, rest)
}

func texts(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case bool, float64:
		return []string{fmt.Sprint(v)}
	case []any:
		var out []string
		for _, one := range v {
			if s, ok := one.(string); ok {
				out = append(out, s)
			}
		}
		return out
	}
	return nil
}
