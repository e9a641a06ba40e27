package gateway

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/nilecare/nilecare/internal/web/api"
)

// maxActivities is how many activities one answer has at most.
const maxActivities = 100

// activity is something that was registered or changed.
type activity struct {
	ID        string `json:"id"`
	Type      string `json:"type"`   // patient, appointment, encounter
	Action    string `json:"action"` // created or updated
	Status    string `json:"status,omitempty"`
	PatientID string `json:"patientId,omitempty"`
	Timestamp string `json:"timestamp"`
}

// listings are where activities come from: the type, the path, the name of the list in data, and how to ask for the last ones where that is not how it
// is sorted anyway.
var listings = [...]struct{ typ, path, list, sort string }{
	{"patient", "/api/v1/patients", "patients", "-updatedAt"}, {"appointment", "/api/v1/appointments", "appointments", "-updatedAt"}, {"encounter", "/api/v1/encounters", "encounters", ""},
}

// activities answers GET /api/v1/dashboard/activities: patients and appointments that were changed last, and encounters that began last.
func (s *Service) activities(w http.ResponseWriter, r *http.Request) error {
	limit := 20
	if v := r.URL.Query().Get("limit"); v != "" {
		limit, _ = strconv.Atoi(v) // the frame has looked at it
	}
	questions := map[string]question{}
	for _, l := range listings {
		query := url.Values{"limit": {strconv.Itoa(limit)}}
		if l.sort != "" {
			query.Set("sort", l.sort)
		}
		questions[l.typ] = question{l.path, query}
	}
	all := []activity{}
	unavailable := map[string]string{}
	parts := s.askAll(r, questions)
	for _, l := range listings {
		p := parts[l.typ]
		if p.err != nil {
			unavailable[l.list] = reason(p.err)
			continue
		}
		for _, text := range p.list(l.list) {
			if a, ok := activityOf(l.typ, text); ok {
				all = append(all, a)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b activity) int { return strings.Compare(b.Timestamp, a.Timestamp) })
	return api.Answer(w, r, http.StatusOK, map[string]any{"activities": all[:min(len(all), limit)], "unavailable": unavailable})
}

// activityOf is what a listing's entry says of when it was made and changed; false where it does not.
func activityOf(typ string, text []byte) (activity, bool) {
	var e struct {
		ID                           json.RawMessage
		Status, CreatedAt, UpdatedAt string
		PatientID                    json.RawMessage `json:"patientId"`
	}
	if err := json.Unmarshal(text, &e); err != nil || e.UpdatedAt == "" && e.CreatedAt == "" {
		return activity{}, false
	}
	a := activity{ID: bare(e.ID), Type: typ, Action: "updated", Status: e.Status, PatientID: bare(e.PatientID), Timestamp: e.UpdatedAt}
	if e.UpdatedAt == "" || e.UpdatedAt == e.CreatedAt {
		a.Action, a.Timestamp = "created", e.CreatedAt
	}
	if typ == "patient" {
		a.PatientID = a.ID
	}
	return a, true
}

// bare is an id in JSON without its quotes.
func bare(text json.RawMessage) string { return strings.Trim(string(text), `"`) }
