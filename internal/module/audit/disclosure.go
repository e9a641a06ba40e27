package audit

import (
	"context"
	"slices"
	"time"

	ledger "github.com/nilecare/nilecare/internal/audit"
)

// DisclosureYears is how far back an accounting reaches (45 CFR 164.528(a)(1)).
const DisclosureYears = 6

// usualPurposes are the codes of v3-PurposeOfUse that stand for treatment, payment, operations, and access by the individual: what 45 CFR
// 164.528(a)(1)(i) and (ii) leave out of an accounting. Legal purposes are left in, though the code system files them under operations.
var usualPurposes = []string{
	"TREAT", "TREATDS", "CAREMGT", "ETREAT", "BTG", "ERTREAT", "POPHLTH", "CLINTRCH", "COC",
	"HPAYMT", "CLMATTCH", "COVAUTH", "COVERAGE", "ELIGDTRM", "ELIGVER", "ENROLLM", "MILDCRG", "REMITADV",
	"HOPERAT", "CREDENTIAL", "DONAT", "FRAUD", "GOV", "HACCRED", "HCOMPL", "HDECD", "HDIRECT", "HDM", "HOUTCOMS", "HPRGRP", "HQUALIMP", "HSYSADMIN", "HTEST",
	"LABELING", "MEMADMIN", "METAMGT", "MILCDM", "PATADMIN", "PATSFTY", "PERFMSR", "RECORDMGT", "SYSDEV", "TRAIN",
	"PATRQT", "PWATRNY", "FAMRQT",
}

// reading are the acts by which records leave.
var reading = []string{"read", "vread", "history", "history-instance", "history-type", "history-system", "search", "search-type", "search-system", "export", "batch", "operation"}

// disclosed reports whether an entry is a disclosure that a patient is to be told of: records that went out, by an export or to whoever asked
// for them, for a purpose that is neither treatment, payment nor operations, and not to the patient.
func disclosed(e *ledger.Entry) bool {
	if e.Outcome != ledger.Success || e.Who == "system" {
		return false
	}
	out := e.Kind == ledger.Export || e.Kind == ledger.Rest && slices.Contains(reading, e.Action)
	return out && e.Purpose != "" && !slices.Contains(usualPurposes, e.Purpose)
}

// disclosuresAtMost bounds an accounting; whoever has more asks for a shorter time.
const disclosuresAtMost = 10_000

// Disclosures is the accounting of disclosures of a patient's records between two times, the oldest first; from is moved up to six years ago. Purposes
// are sealed, so the entries about the patient are opened one and all.
func (s *Service) Disclosures(ctx context.Context, patient int64, from, to time.Time) ([]Log, error) {
	from = later(from, s.clock().AddDate(-DisclosureYears, 0, 0))
	var out []Log
	err := s.Each(ctx, ledger.Filter{Patient: patient, From: from, To: to, Outcomes: []ledger.Outcome{ledger.Success}}, func(l Log) error {
		if disclosed(&l.Entry) && len(out) < disclosuresAtMost {
			out = append(out, l)
		}
		return nil
	})
	return out, err
}
