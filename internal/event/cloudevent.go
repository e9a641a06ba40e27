package event

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// CloudEvent is an event as it leaves the program: CloudEvents 1.0 in its JSON format
// (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md). The members behind data are extension attributes.
type CloudEvent struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`     // TENANT-ID-PART: who has seen it has seen the event
	Source          string          `json:"source"` // the server
	Type            string          `json:"type"`   // "nilecare.appointment.created.v1"
	Subject         string          `json:"subject"`
	Time            time.Time       `json:"time"`
	DataContentType string          `json:"datacontenttype"`
	DataSchema      string          `json:"dataschema"`
	Data            json.RawMessage `json:"data,omitempty"`
	Tenant          int32           `json:"tenant"`
	Topic           string          `json:"topic"`
	Patient         string          `json:"patient,omitempty"` // "Patient/12"
	Actor           string          `json:"actor,omitempty"`   // who made the change: "User/3"
}

// ContentType is what a CloudEvent is sent as.
const ContentType = "application/cloudevents+json; charset=utf-8"

// defaultSource is whose events these are where no address was configured.
const defaultSource = "urn:x-nilecare:server"

// CloudEvent is the event as it leaves the program.
func (e *Event) CloudEvent() CloudEvent {
	source := e.source
	if source == "" {
		source = defaultSource
	}
	return CloudEvent{
		SpecVersion: "1.0", ID: e.Key(), Source: source, Type: e.Type(), Subject: e.Subject, Time: e.Time.UTC(), DataContentType: "application/json",
		DataSchema: schemaURI(source, e.Kind), Data: e.Data, Tenant: e.Tenant, Topic: e.Kind.Topic, Patient: e.Patient, Actor: e.Who,
	}
}

// Key tells the event from all others of the server, for those who must not act on it twice: "1-4711-0".
func (e *Event) Key() string { return fmt.Sprintf("%d-%d-%d", e.Tenant, e.ID, e.Part) }

// Type is the event's type in CloudEvents: "nilecare.appointment.created.v1".
func (e *Event) Type() string { return "nilecare." + e.Kind.Name + ".v" + strconv.Itoa(e.Kind.Version) }

// schemaURI is where the schema of a kind's data is to be had, or what it is called where the server has no address of its own.
func schemaURI(source string, k Kind) string {
	if strings.HasPrefix(source, "urn:") {
		return "urn:x-nilecare:event-schema:" + k.Name + ":" + strconv.Itoa(k.Version)
	}
	return source + "/api/v1/events/schemas/" + k.Name + "/" + strconv.Itoa(k.Version)
}
