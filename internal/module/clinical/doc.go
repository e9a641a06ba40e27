// Package clinical is the clinical service of the product API: patients, encounters, and what is written about them.
//
// # Patients
//
// The module owns Patient. Its ledger, clinical_patient and the tables beside it, is kept by the rule of the type in the transaction of each change, through either door. It decides what
// exclusion is, and finds what the search index cannot:
//
//   - A national id (identifier of type NI) is one patient's in the tenant; a medical record number (type MR) one patient's in its system. clinical_identifier holds keyed hashes.
//   - A patient whose place another took (link replaced-by) is not changed, and nothing new is written about it in any type of the Patient compartment: [GuardMerged]. That it is so is
//     decided by merging, which moves all records in one set, and entered in clinical_merge with what was moved; undoing it moves back what still points to where
//     the merge put it. No circle, no merge into who was merged away.
//   - Names are found across spellings and scripts: clinical_name is the vocabulary of the tenant's names in the forms of package names, clinical_patient_key leads from a word, two words
//     of one name, or a word and a birth date to patients. Candidates are read as the caller, so that nobody finds, or counts, whom they may not see.
//   - clinical_mrn issues numbers by facility, in a transaction of its own before the registration: none comes twice, and there are gaps.
//
// Allergies, medical history and blood group of the front ends' forms are AllergyIntolerance, Condition and Observation (LOINC 882-1), written with the patient in one set and read a search a
// kind for a page.
//
// Names stand in the ledger as consonants, like in the search index where they stand in clear; phones, e-mail addresses and identifiers do not stand in it but as keyed hashes; reasons of
// merges are sealed. Records of before are adopted; where two have one national id there, the first has it.
//
// Events: patient.created, patient.updated, patient.deleted, patient.merged, patient.unmerged, on patient-events, with ids and names of members alone.
package clinical
