package audit

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"

	ledger "github.com/nilecare/nilecare/internal/audit"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/ident"
)

// Code systems of AuditEvent, and of IHE's Basic Audit Log Patterns (https://profiles.ihe.net/ITI/BALP).
const (
	auditType    = "http://terminology.hl7.org/CodeSystem/audit-event-type"
	restful      = "http://hl7.org/fhir/restful-interaction"
	dicom        = "http://dicom.nema.org/resources/ontology/DCM"
	participant  = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
	actReason    = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
	sourceType   = "http://terminology.hl7.org/CodeSystem/security-source-type"
	entityType   = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
	entityRole   = "http://terminology.hl7.org/CodeSystem/object-role"
	balpEntity   = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType"
	ownActions   = "urn:nilecare:audit-action"
	ownUsers     = "urn:nilecare:user"
	ownClients   = "urn:nilecare:client"
	ownSessions  = "urn:nilecare:session"
	ownResources = "urn:nilecare:resource"
)

type coding struct {
	System  string `json:"system"`
	Code    string `json:"code"`
	Display string `json:"display,omitempty"`
}

type concept struct {
	Coding []coding `json:"coding"`
}

type identifier struct {
	System string `json:"system,omitempty"`
	Value  string `json:"value"`
}

type reference struct {
	Reference  string      `json:"reference,omitempty"`
	Identifier *identifier `json:"identifier,omitempty"`
	Display    string      `json:"display,omitempty"`
}

type network struct {
	Address string `json:"address"`
	Type    string `json:"type"`
}

type agent struct {
	Type         *concept   `json:"type,omitempty"`
	Who          *reference `json:"who,omitempty"`
	AltID        string     `json:"altId,omitempty"`
	Name         string     `json:"name,omitempty"`
	Requestor    bool       `json:"requestor"`
	Network      *network   `json:"network,omitempty"`
	PurposeOfUse []concept  `json:"purposeOfUse,omitempty"`
}

type detail struct {
	Type        string `json:"type"`
	ValueString string `json:"valueString"`
}

type entity struct {
	What        *reference `json:"what,omitempty"`
	Type        *coding    `json:"type,omitempty"`
	Role        *coding    `json:"role,omitempty"`
	Description string     `json:"description,omitempty"`
	Query       string     `json:"query,omitempty"`
	Detail      []detail   `json:"detail,omitempty"`
}

type source struct {
	Observer reference `json:"observer"`
	Type     []coding  `json:"type"`
}

type event struct {
	ResourceType string `json:"resourceType"`
	ID           string `json:"id"`
	Meta         struct {
		VersionID   string `json:"versionId"`
		LastUpdated string `json:"lastUpdated"`
	} `json:"meta"`
	Type        coding   `json:"type"`
	Subtype     []coding `json:"subtype,omitempty"`
	Action      string   `json:"action"`
	Recorded    string   `json:"recorded"`
	Outcome     string   `json:"outcome"`
	OutcomeDesc string   `json:"outcomeDesc,omitempty"`
	Agent       []agent  `json:"agent"`
	Source      source   `json:"source"`
	Entity      []entity `json:"entity,omitempty"`
}

// interactions are the actions that are interactions of FHIR's REST API, with the letter of http://hl7.org/fhir/audit-event-action.
var interactions = map[string]string{
	"read": "R", "vread": "R", "history": "R", "history-instance": "R", "history-type": "R", "history-system": "R", "create": "C", "update": "U", "patch": "U", "delete": "D",
	"search": "E", "search-type": "E", "search-system": "E", "transaction": "E", "batch": "E", "operation": "E", "capabilities": "E",
}

// letter is the action's in the terms of AuditEvent.
func letter(action string) string {
	if l, ok := interactions[action]; ok {
		return l
	}
	return "E"
}

// actionsOf are the actions of a letter; for E those of all others, which are not wanted then.
func actionsOf(l string) (wanted, without []string) {
	for a, of := range interactions {
		switch {
		case l == "E" && of != "E":
			without = append(without, a)
		case l != "E" && of == l:
			wanted = append(wanted, a)
		}
	}
	slices.Sort(wanted)
	slices.Sort(without)
	return wanted, without
}

// dicomTypes are the kinds that DICOM has a type for.
var dicomTypes = map[ledger.Kind]coding{
	ledger.Session:  {dicom, "110114", "User Authentication"},
	ledger.Admin:    {dicom, "110113", "Security Alert"},
	ledger.Security: {dicom, "110113", "Security Alert"},
	ledger.Export:   {dicom, "110106", "Export"},
}

// dicomSubtypes are the actions that DICOM has a code for.
var dicomSubtypes = map[string]coding{
	"login":                     {dicom, "110122", "Login"},
	"logout":                    {dicom, "110123", "Logout"},
	"break-glass":               {dicom, "110127", "Emergency Override Started"},
	"break-glass-end":           {dicom, "110138", "Emergency Override Stopped"},
	"privileges-changed":        {dicom, "110136", "Security Roles Changed"},
	"user-security-changed":     {dicom, "110137", "User Security Attributes Changed"},
	"audit-verification-failed": {dicom, "110135", "Object Security Attributes Changed"},
}

// Render makes the AuditEvent of an entry, after the patterns of IHE BALP: the user and the client are agents, the patients, what was acted
// upon, the query and the request's id are entities. Records are referred to by their number.
func Render(e ledger.Entry) *fhir.Resource {
	return render(&e, nil, "nilecare")
}

// render is Render that knows FHIR ids which are no numbers.
func render(e *ledger.Entry, ids map[resource]string, site string) *fhir.Resource {
	at := ident.Time(e.ID).UTC().Format("2006-01-02T15:04:05.000Z")
	x := &event{ResourceType: "AuditEvent", ID: strconv.FormatInt(e.ID, 10), Action: letter(e.Action), Recorded: at, Outcome: strconv.Itoa(int(e.Outcome))}
	x.Meta.VersionID, x.Meta.LastUpdated = "1", at
	x.setType(e)
	if e.Outcome != ledger.Success || e.Kind != ledger.Rest {
		x.OutcomeDesc = e.Detail
	}
	x.Agent = agents(e)
	x.Source = source{Observer: reference{Display: site}, Type: []coding{{sourceType, "4", "Application Server"}}}
	x.Entity = entities(e, ids)
	text, err := json.Marshal(x)
	if err == nil {
		var r *fhir.Resource
		if r, err = fhir.ParseResource(text); err == nil {
			return r
		}
	}
	panic("audit: " + err.Error()) // the structure has nothing that JSON cannot say, and the parser reads all JSON
}

func (x *event) setType(e *ledger.Entry) {
	x.Type = coding{auditType, "rest", "RESTful Operation"}
	if t, ok := dicomTypes[e.Kind]; ok {
		x.Type = t
	}
	if e.Action == "" {
		return
	}
	sub := coding{System: ownActions, Code: e.Action}
	if s, ok := dicomSubtypes[e.Action]; ok {
		sub = s
	} else if _, ok := interactions[e.Action]; ok {
		sub.System = restful
	}
	x.Subtype = []coding{sub}
}

func agents(e *ledger.Entry) []agent {
	user := agent{
		Type: &concept{[]coding{{participant, "IRCP", "information recipient"}}}, Requestor: true, Name: e.Name,
		Who: &reference{Identifier: &identifier{ownUsers, orUnknown(e.Who)}, Display: e.Name},
	}
	if e.Address != "" {
		user.Network = &network{e.Address, "2"}
	}
	if e.Purpose != "" {
		user.PurposeOfUse = []concept{{[]coding{{System: actReason, Code: e.Purpose}}}}
	}
	if e.Session != 0 {
		user.AltID = ownSessions + ":" + strconv.FormatInt(e.Session, 10)
	}
	out := []agent{user}
	if e.Client != "" {
		out = append(out, agent{Type: &concept{[]coding{{dicom, "110153", "Source Role ID"}}}, Who: &reference{Identifier: &identifier{ownClients, e.Client}}})
	}
	return out
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

func entities(e *ledger.Entry, ids map[resource]string) []entity {
	id := func(typ string, num int64) string {
		if s := ids[resource{typ, num}]; s != "" {
			return s
		}
		return strconv.FormatInt(num, 10)
	}
	var out []entity
	for _, p := range e.Patients {
		out = append(out, entity{What: &reference{Reference: "Patient/" + id("Patient", p)}, Type: &coding{entityType, "1", "Person"}, Role: &coding{entityRole, "1", "Patient"}})
	}
	if e.Num != 0 && e.Type != "" {
		out = append(out, entity{What: dataOf(e, id), Type: &coding{entityType, "2", "System Object"}, Role: &coding{entityRole, "4", "Domain Resource"}})
	}
	if e.Action == "search" || e.Query != "" {
		q := e.Query
		if q == "" {
			q = e.Type
		}
		// Base64 of the query as it was asked, with its type as the path.
		if e.Type != "" && e.Query != "" {
			q = e.Type + "?" + e.Query
		}
		if q != "" {
			out = append(out, entity{Type: &coding{entityType, "2", "System Object"}, Role: &coding{entityRole, "24", "Query"}, Query: base64.StdEncoding.EncodeToString([]byte(q))})
		}
	}
	if e.Request != "" {
		out = append(out, entity{What: &reference{Identifier: &identifier{Value: e.Request}}, Type: &coding{balpEntity, "XrequestId", ""}})
	}
	if e.Severity != "" || e.Count > 0 && e.Kind != ledger.Session {
		x := entity{Type: &coding{entityType, "4", "Other"}}
		if e.Severity != "" {
			x.Detail = append(x.Detail, detail{"severity", e.Severity})
		}
		if e.Count > 0 {
			x.Detail = append(x.Detail, detail{"count", strconv.Itoa(e.Count)})
		}
		out = append(out, x)
	}
	return out
}

// dataOf refers to what was acted upon: a FHIR resource by its reference, all else by an identifier.
func dataOf(e *ledger.Entry, id func(string, int64) string) *reference {
	if !isResource(e.Type) {
		return &reference{Identifier: &identifier{ownResources, e.Type + "/" + strconv.FormatInt(e.Num, 10)}}
	}
	ref := e.Type + "/" + id(e.Type, e.Num)
	if e.VID != 0 {
		ref += "/_history/" + strconv.FormatInt(e.VID, 10)
	}
	return &reference{Reference: ref}
}
