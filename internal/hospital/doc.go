// Package hospital makes the records of a hospital group that does not exist: the Nile Hospitals Group, in Khartoum, Omdurman, Wad Madani
// and Port Sudan. Its patients, staff, numbers and streets are drawn by a random generator from lists of common names; none is a real person.
// Telephone numbers follow Sudan's numbering plan and are drawn too: one may by chance be somebody's, so nothing may ever be sent to them.
//
// It serves to try the server on its first run, to train the compression dictionary and to load benchmarks. The records are valid R4 and plausible
// in time and value (a child is vaccinated when it is due, a diabetic's HbA1c is high, an answer comes after its question); they are no epidemiology of Sudan,
// and no treatment in them is advice.
//
// Codes are drawn from short lists of our own choosing: ICD-10, LOINC, UCUM, ATC and CVX codes stand with names of our own wording in text. What is
// local has its own code system under [Base], on a domain that is reserved for examples (RFC 2606).
package hospital
