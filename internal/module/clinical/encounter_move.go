package clinical

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/web/api"
)

// mayEnd refuses who may change encounters but not end them.
func (s *Service) mayEnd(ctx context.Context, to string) error {
	c := access.From(ctx)
	if to == "finished" && !c.Permits("encounters:complete") {
		return fault.New(fault.Forbidden, "this needs the permission encounters:complete")
	}
	return nil
}

// moveIn is the body of the verbs; it may be absent.
type moveIn struct {
	Status  *string `json:"status"` // of PATCH …/status
	Time    *string `json:"time"`   // when it happened; now where it is absent
	EndDate *string `json:"endDate"`
	Reason  *string `json:"reason"`
	Version *int64  `json:"version"`
}

// moveTo serves a verb that brings an encounter to a status; "": to the one that the body names.
func (s *Service) moveTo(to string) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		var in moveIn
		if err := api.DecodeOptional(r, &in); err != nil {
			return err
		}
		target, err := encounterStatuses.asked(to, in.Status)
		if err != nil {
			return err
		}
		return s.step(w, r, target, &in, nil)
	}
}

// step moves an encounter and answers with it; more is done in the same change.
func (s *Service) step(w http.ResponseWriter, r *http.Request, to string, in *moveIn, more func(*fhir.Resource) error) error {
	ctx := r.Context()
	if err := s.mayEnd(ctx, to); err != nil {
		return err
	}
	version, err := api.Version(r, in.Version)
	if err != nil {
		return err
	}
	if _, err := s.happened(said(in.Time, in.EndDate)); err != nil {
		return err
	}
	reason, err := plainText("reason", said(in.Reason), maxLine)
	if err != nil {
		return err
	}
	one, err := s.Records.Update(ctx, "Encounter", r.PathValue("id"), version, func(e *fhir.Resource) error {
		at, err := s.happened(said(in.Time, in.EndDate))
		if err == nil {
			err = move(e, to, at)
		}
		if err != nil {
			return err
		}
		if err := setExtension(e.Node, statusReasonURL, "valueString", reason); err != nil {
			return err
		}
		if more != nil {
			return more(e)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.answerEncounter(w, r, http.StatusOK, one, nil)
}

// happened is when something happened: now where nothing is said, never later than that.
func (s *Service) happened(text string) (time.Time, error) {
	now := s.Records.Now()
	if text == "" {
		return now, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return now, fault.At(fault.Invalid, "time", "must be a moment with its offset: 2026-01-31T10:00:00+02:00").WithCode("value")
	}
	if at.After(now) {
		return now, fault.At(fault.Unprocessable, "time", "is in the future")
	}
	return at, nil
}

type dischargeIn struct {
	moveIn

	Disposition          *string `json:"disposition"`
	DischargeDisposition *string `json:"dischargeDisposition"`
}

func (s *Service) discharge(w http.ResponseWriter, r *http.Request) error {
	var in dischargeIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	name := said(in.Disposition, in.DischargeDisposition)
	if name == "" {
		return missing("disposition")
	}
	code, err := dispositions.code("disposition", name)
	if err != nil {
		return err
	}
	return s.step(w, r, "finished", &in.moveIn, func(e *fhir.Resource) error {
		h := e.Get("hospitalization")
		if h == nil {
			h = fhir.NewObject()
		} else {
			h = h.Clone()
		}
		if err := flat.Set(h, "dischargeDisposition", concept("http://terminology.hl7.org/CodeSystem/discharge-disposition", code, "", strings.ReplaceAll(dispositions.name(code), "_", " "))); err != nil {
			return err
		}
		return flat.Set(e.Node, "hospitalization", h)
	})
}

type diagnosisIn struct {
	ConditionID *string `json:"conditionId"` // one that is known; else a new one is made of the other fields
	Description *string `json:"description"`
	Code        *string `json:"code"` // ICD-10
	Use         *string `json:"use"`  // AD, DD, CC, CM, pre-op, post-op, billing
	Rank        *int    `json:"rank"`
	Version     *int64  `json:"version"`
}

func (s *Service) addDiagnosis(w http.ResponseWriter, r *http.Request) error {
	var in diagnosisIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	version, err := api.Version(r, in.Version)
	if err != nil {
		return err
	}
	link, err := in.link()
	if err != nil {
		return err
	}
	var one *flat.Record
	for tries := 0; ; tries++ { // the set names the version that it was made of: where others were faster and the writer named none, it is made anew
		one, err = s.linkDiagnosis(r.Context(), r.PathValue("id"), version, &in, link)
		if version != 0 || !fault.Is(err, fault.VersionConflict) || tries == 5 {
			break
		}
	}
	if err != nil {
		return err
	}
	return s.answerEncounter(w, r, http.StatusCreated, one, nil)
}

// link is the element of Encounter.diagnosis, without its condition.
func (in *diagnosisIn) link() (obj, error) {
	link := obj{}
	if use := said(in.Use); use != "" {
		if err := oneOf("use", use, "AD", "DD", "CC", "CM", "pre-op", "post-op", "billing"); err != nil {
			return nil, err
		}
		link["use"] = concept("http://terminology.hl7.org/CodeSystem/diagnosis-role", use, "", "")
	}
	if in.Rank != nil {
		if *in.Rank < 1 {
			return nil, fault.At(fault.Invalid, "rank", "must be 1 or more").WithCode("value")
		}
		link["rank"] = *in.Rank
	}
	return link, nil
}

// linkDiagnosis writes the encounter with its diagnosis and, where that is new, the condition, as one set.
func (s *Service) linkDiagnosis(ctx context.Context, id string, version int64, in *diagnosisIn, link obj) (*flat.Record, error) {
	e, err := s.Records.Read(ctx, "Encounter", id)
	if err != nil {
		return nil, err
	}
	if version == 0 {
		version = e.VID
	}
	patient := flat.RefOf(e.Res.Get("subject"))
	ref := placeholder(1)
	var changes []record.Change
	if known := said(in.ConditionID); known != "" {
		if ref, err = s.samePatient(ctx, "conditionId", "Condition", known, patient, "subject"); err != nil {
			return nil, err
		}
		for _, d := range flat.Items(e.Res.Get("diagnosis")) {
			if flat.RefOf(d.Get("condition")) == ref {
				return nil, fault.At(fault.Conflict, "conditionId", "is a diagnosis of this encounter already")
			}
		}
	} else {
		c, err := s.newDiagnosis(ctx, in, e.Ref(), patient)
		if err != nil {
			return nil, err
		}
		changes = append(changes, record.Change{Op: record.Create, Type: "Condition", Resource: c, FullURL: ref})
	}
	link["condition"] = reference(ref)
	if err := appendTo(e.Res.Node, "diagnosis", link); err != nil {
		return nil, err
	}
	change := record.Change{Op: record.Update, Type: "Encounter", ID: e.Version.ID, Resource: e.Res, IfMatch: version}
	written, err := s.Records.Write(ctx, append([]record.Change{change}, changes...)...)
	if err != nil {
		return nil, err
	}
	return written[0], nil
}

func (s *Service) newDiagnosis(ctx context.Context, in *diagnosisIn, encounter, patient string) (*fhir.Resource, error) {
	code, err := diseaseCode(said(in.Code), said(in.Description), "description")
	if err != nil {
		return nil, err
	}
	_, now := s.now()
	return flat.Make("Condition", obj{"clinicalStatus": clinicalStatus("active"), "verificationStatus": verification("confirmed"), "category": []any{conditionCategory("encounter-diagnosis")},
		"code": code, "subject": reference(patient), "encounter": reference(encounter), "recordedDate": now, "recorder": reference(self(ctx, "Practitioner"))})
}
