package scim

import (
	"strings"
)

// The URNs of schemas and messages.
const (
	userURN       = "urn:ietf:params:scim:schemas:core:2.0:User"
	groupURN      = "urn:ietf:params:scim:schemas:core:2.0:Group"
	enterpriseURN = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
	messages      = "urn:ietf:params:scim:api:messages:2.0:"
	listURN       = messages + "ListResponse"
	errorURN      = messages + "Error"
	patchURN      = messages + "PatchOp"
	bulkURN       = messages + "BulkRequest"
	bulkAnswerURN = messages + "BulkResponse"
	searchURN     = messages + "SearchRequest"
	core          = "urn:ietf:params:scim:schemas:core:2.0:"
)

// known reports the URN of a schema of resources.
func known(urn string) bool {
	for _, one := range []string{userURN, groupURN, enterpriseURN} {
		if strings.EqualFold(urn, one) {
			return true
		}
	}
	return false
}

// attribute is one attribute of a schema (RFC 7643 section 7).
type attribute struct {
	Name       string      `json:"name"`
	Type       string      `json:"type"`
	Multi      bool        `json:"multiValued"`
	About      string      `json:"description"`
	Required   bool        `json:"required"`
	Exact      bool        `json:"caseExact"`
	Mutability string      `json:"mutability"`
	Returned   string      `json:"returned"`
	Unique     string      `json:"uniqueness"`
	Refers     []string    `json:"referenceTypes,omitempty"`
	Sub        []attribute `json:"subAttributes,omitempty"`
}

func attr(name, typ, about string, change ...func(*attribute)) attribute {
	a := attribute{Name: name, Type: typ, About: about, Mutability: "readWrite", Returned: "default", Unique: "none"}
	for _, c := range change {
		c(&a)
	}
	return a
}

func readOnly(a *attribute) { a.Mutability = "readOnly" }
func required(a *attribute) { a.Required = true }
func exact(a *attribute)    { a.Exact = true }
func unique(a *attribute)   { a.Unique = "server" }
func never(a *attribute)    { a.Mutability, a.Returned = "writeOnly", "never" }

func multi(sub ...attribute) func(*attribute) {
	return func(a *attribute) { a.Multi, a.Sub = true, sub }
}

func of(sub ...attribute) func(*attribute) { return func(a *attribute) { a.Sub = sub } }

// valued are the sub-attributes that most multi-valued attributes have (RFC 7643 section 2.4).
func valued(more ...attribute) func(*attribute) {
	return multi(append([]attribute{attr("value", "string", "The value"), attr("display", "string", "For people"), attr("type", "string", "What it is for"),
		attr("primary", "boolean", "The preferred one")}, more...)...)
}

func commonAttributes() []attribute {
	return []attribute{
		attr("id", "string", "Given by this service", readOnly, exact, unique),
		attr("externalId", "string", "The client's own", exact),
		attr("schemas", "reference", "The schemas of the resource", exact, func(a *attribute) { a.Multi = true }),
		attr("meta", "complex", "About the resource", readOnly, of(attr("resourceType", "string", "", readOnly, exact), attr("created", "dateTime", "", readOnly),
			attr("lastModified", "dateTime", "", readOnly), attr("location", "reference", "", readOnly, exact), attr("version", "string", "", readOnly, exact))),
	}
}

func userAttributes() []attribute {
	text := func(name, about string) attribute { return attr(name, "string", about) }
	return []attribute{
		attr("userName", "string", "What the user is known by in the directory; unique", required, unique),
		attr("name", "complex", "The user's names", of(text("formatted", "The whole name"), text("familyName", "Family name"), text("givenName", "Given name"),
			text("middleName", "Middle names"), text("honorificPrefix", "Title"), text("honorificSuffix", "Suffix"))),
		text("displayName", "The name to show"), text("nickName", "A casual name"), attr("profileUrl", "reference", "A page about the user"),
		text("title", "Such as Consultant"), text("userType", "Such as Employee"), text("preferredLanguage", "As of Accept-Language"), text("locale", "Such as ar-SD"),
		text("timezone", "Such as Africa/Khartoum"),
		attr("active", "boolean", "The user may sign in"),
		attr("password", "string", "Only when a user is made", never),
		attr("emails", "complex", "The primary one signs in", valued()),
		attr("phoneNumbers", "complex", "Phone numbers", valued()),
		attr("addresses", "complex", "Addresses", multi(text("formatted", ""), text("streetAddress", ""), text("locality", ""), text("region", ""), text("postalCode", ""),
			text("country", ""), text("type", ""), attr("primary", "boolean", ""))),
		attr("groups", "complex", "The user's roles", readOnly, multi(attr("value", "string", "The group's id", readOnly), attr("$ref", "reference", "", readOnly, exact),
			attr("display", "string", "", readOnly), attr("type", "string", "", readOnly))),
	}
}

func enterpriseAttributes() []attribute {
	text := func(name string) attribute { return attr(name, "string", "") }
	return []attribute{text("employeeNumber"), text("costCenter"), text("organization"), text("division"), text("department"),
		attr("manager", "complex", "", of(text("value"), attr("$ref", "reference", ""), attr("displayName", "string", "", readOnly)))}
}

func groupAttributes() []attribute {
	return []attribute{
		attr("displayName", "string", "The group's name", required),
		attr("members", "complex", "The users who have the role", multi(attr("value", "string", "The user's id", func(a *attribute) { a.Mutability = "immutable" }),
			attr("$ref", "reference", "", exact, func(a *attribute) { a.Mutability = "immutable"; a.Refers = []string{"User"} }), attr("display", "string", "", readOnly),
			attr("type", "string", "Always User", func(a *attribute) { a.Mutability = "immutable" }))),
	}
}

// kind is a type of resources.
type kind struct {
	name, urn, path string
	attributes      []attribute
	extension       []attribute // of the enterprise schema; nil: none
}

func userKind() *kind {
	return &kind{"User", userURN, "/Users", append(commonAttributes(), userAttributes()...), enterpriseAttributes()}
}

func groupKind() *kind {
	return &kind{"Group", groupURN, "/Groups", append(commonAttributes(), groupAttributes()...), nil}
}

// find returns the attribute that a path names, and its sub-attribute where it names one; nil where the schema has none.
func (k *kind) find(p Path) (a, sub *attribute) {
	in := k.attributes
	switch {
	case p.URI == "" || strings.EqualFold(p.URI, k.urn):
	case strings.EqualFold(p.URI, enterpriseURN):
		in = k.extension
	default:
		return nil, nil
	}
	if a = named(in, p.Attr); a != nil && p.Sub != "" {
		sub = named(a.Sub, p.Sub)
	}
	return a, sub
}

func named(in []attribute, name string) *attribute {
	for i := range in {
		if strings.EqualFold(in[i].Name, name) {
			return &in[i]
		}
	}
	return nil
}

func (s *Service) schemas(base string) []any {
	one := func(urn, name, about string, attributes []attribute) any {
		return map[string]any{"schemas": []string{core + "Schema"}, "id": urn, "name": name, "description": about, "attributes": attributes,
			"meta": map[string]any{"resourceType": "Schema", "location": base + "/Schemas/" + urn}}
	}
	return []any{one(userURN, "User", "A user", userAttributes()), one(groupURN, "Group", "A role and who has it", groupAttributes()),
		one(enterpriseURN, "EnterpriseUser", "What an employer knows", enterpriseAttributes())}
}

func (s *Service) resourceTypes(base string) []any {
	one := func(k *kind) any {
		m := map[string]any{"schemas": []string{core + "ResourceType"}, "id": k.name, "name": k.name, "endpoint": k.path, "schema": k.urn,
			"meta": map[string]any{"resourceType": "ResourceType", "location": base + "/ResourceTypes/" + k.name}}
		if k.extension != nil {
			m["schemaExtensions"] = []any{map[string]any{"schema": enterpriseURN, "required": false}}
		}
		return m
	}
	return []any{one(s.users), one(s.groups)}
}

func config(base string) any {
	on, off := map[string]any{"supported": true}, map[string]any{"supported": false}
	return map[string]any{"schemas": []string{core + "ServiceProviderConfig"}, "documentationUri": "https://www.rfc-editor.org/rfc/rfc7644",
		"patch": on, "changePassword": off, "sort": on, "etag": on,
		"bulk":   map[string]any{"supported": true, "maxOperations": maxBulk, "maxPayloadSize": maxBody},
		"filter": map[string]any{"supported": true, "maxResults": maxCount},
		"authenticationSchemes": []any{map[string]any{"type": "oauthbearertoken", "name": "Bearer token", "description": "An API key with the permission users:write",
			"primary": true}},
		"meta": map[string]any{"resourceType": "ServiceProviderConfig", "location": base + "/ServiceProviderConfig"}}
}
