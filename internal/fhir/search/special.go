package search

import (
	"math"
	"strconv"
	"strings"

	"github.com/nilecare/nilecare/internal/fhir"
)

// specialReader reads a parameter that no atom answers.
type specialReader func(p *parser, ti *typeIndex, modifier, value string) (Pred, *issue)

// special returns the reader of a parameter that is no path, or nil.
func special(ti *typeIndex, name string) specialReader {
	switch name {
	case "_id":
		return readID
	case "_lastUpdated":
		return readLastUpdated
	case "_list":
		return readList
	case "_text", "_content":
		if name == "_text" && ti.params["_text"] == nil {
			return nil
		}
		return func(p *parser, ti *typeIndex, modifier, value string) (Pred, *issue) {
			return p.words(name, modifier, value)
		}
	case "near":
		if ti.name == "Location" {
			return readNear
		}
	case "_filter", "_query":
		return func(*parser, *typeIndex, string, string) (Pred, *issue) {
			return nil, unsupported("this server does not support it")
		}
	}
	return nil
}

func noModifier(modifier string) *issue {
	if modifier != "" {
		return unsupported("the modifier %.40q does not apply to it", ":"+modifier)
	}
	return nil
}

func readID(p *parser, _ *typeIndex, modifier, value string) (Pred, *issue) {
	if modifier != "not" {
		if issue := noModifier(modifier); issue != nil {
			return nil, issue
		}
	}
	values, issue := p.alternatives(value)
	if issue != nil {
		return nil, issue
	}
	ids := make(IDs, 0, len(values))
	for _, v := range values {
		if v == "" {
			return nil, invalid("a value is empty")
		}
		ids = append(ids, unescape(v))
	}
	if modifier == "not" {
		return Not{ids}, p.spend(1)
	}
	return ids, p.spend(1)
}

func readLastUpdated(p *parser, _ *typeIndex, modifier, value string) (Pred, *issue) {
	if issue := noModifier(modifier); issue != nil {
		return nil, issue
	}
	values, issue := p.alternatives(value)
	if issue != nil {
		return nil, issue
	}
	var preds []Pred
	for _, v := range values {
		op, lo, hi, issue := p.dateValue(v)
		if issue != nil {
			return nil, issue
		}
		preds = append(preds, LastUpdated{op, lo, hi})
	}
	return anyOf(preds...), p.spend(len(preds))
}

// readList is _list=ID: the resource is an item of that List.
func readList(p *parser, ti *typeIndex, modifier, value string) (Pred, *issue) {
	if issue := noModifier(modifier); issue != nil {
		return nil, issue
	}
	values, issue := p.alternatives(value)
	if issue != nil {
		return nil, issue
	}
	lists := indexOf("List")
	if lists == nil || lists.params["item"] == nil {
		return nil, unsupported("there are no lists")
	}
	var ids IDs
	for _, v := range values {
		id := strings.TrimPrefix(unescape(v), "List/")
		if strings.HasPrefix(id, "$") {
			return nil, unsupported("functional lists such as $current-problems are not supported")
		}
		if !fhir.ValidID(id) {
			return nil, invalid("it takes the id of a List")
		}
		ids = append(ids, id)
	}
	return ReverseChain{Type: "List", Atoms: narrowed(lists.params["item"].refs, ti.name), Pred: ids}, p.spend(1)
}

// words is _text and _content: every word of the value stands in the narrative, or in any text of the resource.
func (p *parser) words(name, modifier, value string) (Pred, *issue) {
	if issue := noModifier(modifier); issue != nil {
		return nil, issue
	}
	values, issue := p.alternatives(value)
	if issue != nil {
		return nil, issue
	}
	var preds []Pred
	for _, v := range values {
		words := strings.Fields(Fold(unescape(v)))
		if len(words) == 0 {
			return nil, invalid("the value holds no letter or digit")
		}
		preds = append(preds, Opened{name, func(d *Doc) bool { return holdsWords(d.Resource, name == "_text", words) }})
	}
	return anyOf(preds...), p.spend(len(preds))
}

func holdsWords(r *fhir.Resource, narrative bool, words []string) bool {
	if r == nil {
		return false
	}
	missing := make(map[string]struct{}, len(words))
	for _, w := range words {
		missing[w] = struct{}{}
	}
	tick := func(text string) {
		for _, w := range strings.Fields(Fold(text)) {
			delete(missing, w)
		}
	}
	if narrative {
		tick(plainText(r.Get("text").Str("div")))
		return len(missing) == 0
	}
	r.Walk(func(n *fhir.Node) bool {
		if n.Kind == fhir.String {
			if n.Name == "div" {
				tick(plainText(n.Text))
			} else {
				tick(n.Text)
			}
		}
		return len(missing) > 0
	})
	return len(missing) == 0
}

// plainText drops the tags of a narrative; entities that matter to words are resolved by what Fold makes of the rest.
func plainText(xhtml string) string {
	var b strings.Builder
	tag := false
	for _, r := range xhtml {
		switch {
		case r == '<':
			tag = true
			b.WriteByte(' ')
		case r == '>':
			tag = false
		case !tag:
			b.WriteRune(r)
		}
	}
	return entities.Replace(b.String())
}

var entities = strings.NewReplacer("&amp;", "&", "&lt;", " ", "&gt;", " ", "&quot;", " ", "&apos;", " ", "&#39;", " ", "&nbsp;", " ", "&#160;", " ")

// defaultDistance is how far "near" reaches where the query does not say, in metres.
const defaultDistance = 50_000

// metres of the units of length that near takes (UCUM); km is the default.
var metres = map[string]float64{"": 1000, "km": 1000, "m": 1, "[mi_us]": 1609.347, "[mi_i]": 1609.344, "[nmi_i]": 1852, "[ft_i]": 0.3048}

// readNear is Location.near: latitude|longitude[|distance[|units]].
func readNear(p *parser, _ *typeIndex, modifier, value string) (Pred, *issue) {
	if issue := noModifier(modifier); issue != nil {
		return nil, issue
	}
	values, issue := p.alternatives(value)
	if issue != nil {
		return nil, issue
	}
	var preds []Pred
	for _, v := range values {
		lat, lon, reach, ok := nearValue(split(v, '|'))
		if !ok {
			return nil, invalid("it takes latitude|longitude|distance|units")
		}
		preds = append(preds, Opened{"near", func(d *Doc) bool { return isNear(d.Resource, lat, lon, reach) }})
	}
	return anyOf(preds...), p.spend(len(preds))
}

func nearValue(parts []string) (lat, lon, reach float64, ok bool) {
	if len(parts) < 2 || len(parts) > 4 {
		return 0, 0, 0, false
	}
	nums := [3]float64{0, 0, defaultDistance / 1000}
	for i := 0; i < min(3, len(parts)); i++ {
		if parts[i] == "" && i == 2 {
			continue
		}
		v, err := strconv.ParseFloat(parts[i], 64)
		if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
			return 0, 0, 0, false
		}
		nums[i] = v
	}
	unit := ""
	if len(parts) == 4 {
		unit = parts[3]
	}
	scale, known := metres[unit]
	if !known || math.Abs(nums[0]) > 90 || math.Abs(nums[1]) > 180 || nums[2] < 0 {
		return 0, 0, 0, false
	}
	if len(parts) < 3 || parts[2] == "" {
		return nums[0], nums[1], defaultDistance, true
	}
	return nums[0], nums[1], nums[2] * scale, true
}

// earthRadius in metres, the mean one.
const earthRadius = 6_371_008.8

// isNear measures the great circle (haversine).
func isNear(r *fhir.Resource, lat, lon, reach float64) bool {
	if r == nil {
		return false
	}
	pos := r.Get("position")
	la, ok1 := number(pos.Get("latitude"))
	lo, ok2 := number(pos.Get("longitude"))
	if !ok1 || !ok2 {
		return false
	}
	rad := math.Pi / 180
	dLat, dLon := (la-lat)*rad/2, (lo-lon)*rad/2
	h := math.Sin(dLat)*math.Sin(dLat) + math.Cos(lat*rad)*math.Cos(la*rad)*math.Sin(dLon)*math.Sin(dLon)
	return 2*earthRadius*math.Asin(math.Sqrt(min(1, h))) <= reach
}
