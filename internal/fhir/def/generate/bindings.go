package main

import (
	"fmt"
	"sort"
)

// valueSet is a value set whose codes can be listed.
type valueSet struct {
	url     string
	systems []string
	codes   map[string][]string // by system
}

type valueSetResource struct {
	URL     string
	Compose struct{ Include, Exclude []include }
}

type include struct {
	System   string
	Concept  []concept
	Filter   []struct{ Op string }
	ValueSet []string
}

type codeSystem struct {
	URL, Content string
	Concept      []concept
}

type concept struct {
	Code     string
	Concept  []concept
	Property []struct {
		Code         string
		ValueBoolean bool
	}
}

// selectable reports whether the code may stand in data; one that may not only groups others.
func (c *concept) selectable() bool {
	for _, p := range c.Property {
		if p.Code == "notSelectable" && p.ValueBoolean {
			return false
		}
	}
	return true
}

// readBindings lists the codes of the value sets that required bindings name. A set of a code system that the package
// does not hold as a whole (UCUM, MIME types, currencies, LOINC) is left out, with a note: the binding is not checked.
func (g *generator) readBindings(pkg string) error {
	sets, err := readAll[valueSetResource](pkg, "ValueSet")
	if err != nil {
		return err
	}
	systems, err := readAll[codeSystem](pkg, "CodeSystem")
	if err != nil {
		return err
	}
	byURL := map[string]*valueSetResource{}
	for _, s := range sets {
		byURL[s.URL] = s
	}
	content := map[string]*codeSystem{}
	for _, s := range systems {
		content[s.URL] = s
	}
	urls := make([]string, 0, len(g.bound))
	for u := range g.bound {
		urls = append(urls, u)
	}
	sort.Strings(urls)
	for _, u := range urls {
		v := byURL[u]
		if v == nil {
			g.leaveOut(u, "not in the package")
			continue
		}
		set, err := expand(v, content)
		if err != nil {
			g.leaveOut(u, err.Error())
			continue
		}
		g.sets = append(g.sets, set)
	}
	return nil
}

func (g *generator) leaveOut(url, why string) {
	g.bound[url] = false
	g.note("value set %s is not checked: %s", url, why)
}

func expand(v *valueSetResource, content map[string]*codeSystem) (*valueSet, error) {
	out := &valueSet{url: v.URL, codes: map[string][]string{}}
	gone := map[string]bool{}
	for _, i := range v.Compose.Exclude {
		codes, err := listed(&i, content)
		if err != nil {
			return nil, err
		}
		for _, c := range codes {
			gone[i.System+"|"+c] = true
		}
	}
	for _, i := range v.Compose.Include {
		codes, err := listed(&i, content)
		if err != nil {
			return nil, err
		}
		for _, c := range codes {
			if key := i.System + "|" + c; !gone[key] {
				gone[key] = true // once
				out.codes[i.System] = append(out.codes[i.System], c)
			}
		}
	}
	for s, codes := range out.codes {
		sort.Strings(codes)
		out.systems = append(out.systems, s)
	}
	sort.Strings(out.systems)
	if len(out.systems) == 0 {
		return nil, fmt.Errorf("empty")
	}
	return out, nil
}

// listed returns the codes that an include or exclude names: its own list, or the whole of a complete code system.
// R4's required value sets use neither filters nor other value sets; one that did would be left out.
func listed(i *include, content map[string]*codeSystem) ([]string, error) {
	if len(i.Filter) > 0 || len(i.ValueSet) > 0 {
		return nil, fmt.Errorf("composed by filter or from other value sets")
	}
	if len(i.Concept) > 0 {
		return flatten(nil, i.Concept), nil
	}
	s := content[i.System]
	if s == nil || s.Content != "complete" {
		return nil, fmt.Errorf("code system %s cannot be listed", i.System)
	}
	return flatten(nil, s.Concept), nil
}

func flatten(out []string, concepts []concept) []string {
	for _, c := range concepts {
		if c.selectable() {
			out = append(out, c.Code)
		}
		out = flatten(out, c.Concept)
	}
	return out
}
