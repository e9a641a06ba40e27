package gateway

import (
	"reflect"
	"strings"
)

// The types of the answers, for the description of the API. Those of dashboards are made of the tables of their figures, so that the two cannot part.

// metadataJSON is the envelope's metadata.
type metadataJSON struct {
	Timestamp string `json:"timestamp"`
	RequestID string `json:"requestId"`
	Version   string `json:"version"`
}

// entry is what a service says of one of its things: its own description has the members.
type entry map[string]any

// completeJSON is a patient with what there is about them.
type completeJSON struct {
	Success bool `json:"success"`
	Data    struct {
		Patient      entry   `json:"patient" doc:"as GET /api/v1/patients/{id} has it; null where it could not be had"`
		Appointments []entry `json:"appointments"`
		Medications  []entry `json:"medications"`
		LabOrders    []entry `json:"labOrders"`
		VitalSigns   []entry `json:"vitalSigns"`
	} `json:"data"`
	Errors struct {
		Patient      *string `json:"patient" doc:"why the part is missing; null: it is not"`
		Appointments *string `json:"appointments"`
		Medications  *string `json:"medications"`
		LabOrders    *string `json:"labOrders"`
		VitalSigns   *string `json:"vitalSigns"`
	} `json:"errors"`
	Metadata metadataJSON `json:"metadata"`
}

// foundPatientsJSON is a page of patients.
type foundPatientsJSON struct {
	Success bool `json:"success"`
	Data    struct {
		Patients []entry `json:"patients" doc:"as GET /api/v1/patients has them"`
	} `json:"data"`
	Pagination entry        `json:"pagination"`
	Metadata   metadataJSON `json:"metadata"`
}

// activitiesJSON is what was registered or changed last.
type activitiesJSON struct {
	Activities  []activity        `json:"activities"`
	Unavailable map[string]string `json:"unavailable" doc:"listings that could not be had, and why"`
}

// servicesJSON is which services are ready.
type servicesJSON struct {
	Services map[string]struct {
		Status string `json:"status" enum:"up,down"`
	} `json:"services"`
	Up   int `json:"up"`
	Down int `json:"down"`
}

var (
	floatType   = reflect.TypeFor[*float64]()
	stringType  = reflect.TypeFor[string]()
	reasonsType = reflect.TypeFor[map[string]string]()
	entryType   = reflect.TypeFor[entry]()
)

// field is a member of an answer.
func field(name string, t reflect.Type, doc string) reflect.StructField {
	return reflect.StructField{Name: "F" + strings.ToUpper(name[:1]) + name[1:], Type: t, Tag: reflect.StructTag(`json:"` + name + `" doc:"` + doc + `"`)}
}

// dataOf is the type of a dashboard's figures, under the names that rename gives them.
func (d *dashboard) dataOf(figures []figure, rename func(string) string) reflect.Type {
	var fields []reflect.StructField
	for _, f := range figures {
		fields = append(fields, field(rename(f.name), floatType, "null: it is not known, and unavailable says why"))
	}
	if d.own {
		fields = append(fields, field(rename("scope"), stringType, "own: what the caller does; all: the caller is linked to no practitioner"))
	}
	if d.health {
		fields = append(fields, field(rename("system_health"), stringType, "healthy, or degraded where a service is not ready"),
			field(rename("services_status"), reflect.TypeFor[struct {
				Up   int `json:"up"`
				Down int `json:"down"`
			}](), "how many services are ready, and how many are not"))
	}
	return reflect.StructOf(append(fields, field("unavailable", reasonsType, "by the name of a figure, why it is not known")))
}

// answerOf is a zero value of the whole answer of a dashboard.
func (d *dashboard) answerOf() any {
	return reflect.New(reflect.StructOf([]reflect.StructField{
		field("status", reflect.TypeFor[int](), "200"), field("success", reflect.TypeFor[bool](), "true"), field("message", stringType, "what it is"),
		field("data", d.dataOf(d.figures, func(name string) string { return name }), "the figures"),
		field("timestamp", stringType, "when"), field("request_id", stringType, "the request's id"),
	})).Elem().Interface()
}

// statsData is a zero value of what GET /api/v1/dashboard/stats answers: without a role the services' own statistics, with one that role's figures.
func statsData() any {
	seen := map[string]bool{}
	var fields []reflect.StructField
	add := func(f reflect.StructField) {
		if !seen[f.Name] {
			seen[f.Name] = true
			fields = append(fields, f)
		}
	}
	for _, name := range []string{"patients", "appointments", "labs", "medications", "invoices", "facilities"} {
		add(field(name, entryType, "without a role: as GET /api/v1/stats/"+name+" has it; null: it could not be had"))
	}
	for i := range dashboards {
		d := &dashboards[i]
		for _, f := range append(append([]figure{}, d.figures...), doctorsExtra...) {
			add(field(camel(f.name), floatType, "with the role that has it"))
		}
	}
	add(field("unavailable", reasonsType, "what is not known, and why"))
	return reflect.New(reflect.StructOf(fields)).Elem().Interface()
}

// totalsData is a zero value of what older dashboards read.
func totalsData() any {
	var fields []reflect.StructField
	for _, name := range []string{"totalPatients", "totalUsers", "todayAppointments", "pendingLabs", "activeMedications", "lowStockItems"} {
		fields = append(fields, field(name, floatType, "null: it is not known"))
	}
	return reflect.New(reflect.StructOf(append(fields, field("unavailable", reasonsType, "why")))).Elem().Interface()
}
