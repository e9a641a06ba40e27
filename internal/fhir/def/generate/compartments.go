package main

import "sort"

type compartmentDefinition struct {
	ID, Code string
	Resource []struct {
		Code  string
		Param []string
	}
}

// compartment is a compartment's members: a line a type, the type before its parameters.
type compartment struct {
	code    string
	members [][]string
}

func (g *generator) readCompartments(pkg string) error {
	all, err := readAll[compartmentDefinition](pkg, "CompartmentDefinition")
	if err != nil {
		return err
	}
	for _, d := range all {
		if d.ID == "example" {
			continue
		}
		c := &compartment{code: d.Code}
		own := []string{d.Code, "{def}"}
		for _, r := range d.Resource {
			if r.Code == d.Code {
				own = append(own, without(r.Param, "{def}")...)
			} else if len(r.Param) > 0 {
				c.members = append(c.members, append([]string{r.Code}, sorted(r.Param)...))
			}
		}
		// The definitions name only three of the five; a resource is always in its own compartment (compartmentdefinition.html).
		c.members = append(c.members, own)
		sort.Slice(c.members, func(i, j int) bool { return c.members[i][0] < c.members[j][0] })
		g.compartments = append(g.compartments, c)
	}
	sort.Slice(g.compartments, func(i, j int) bool { return g.compartments[i].code < g.compartments[j].code })
	return nil
}

func without(list []string, s string) []string {
	var out []string
	for _, x := range list {
		if x != s {
			out = append(out, x)
		}
	}
	return out
}
