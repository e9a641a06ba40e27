// Package facility is the facility service of the product API: facilities, departments, wards and beds, and who lies where.
//
// # What it owns
//
// Organization (a facility is one of type prov, a department one of type dept and part of it) and Location (a site, a ward, a bed, by physicalType). A ward is part of a site and managed by a
// department; a bed is part of a ward, at any depth. A patient lies in a bed where an Encounter that is arrived, triaged, in-progress or onleave has a location of status active that is one.
//
// # What always holds
//
// One patient a bed, one bed a patient; whoever writes, through either API, in a transaction, by a patch or an import, in however many processes. facility_bed decides: it is
// changed in the transaction of the Encounter (SetRule), under locks of the bed and of who lies in it, and has an index that is unique by who lies there. A set of changes is judged
// by its end, so that two patients may change beds in one. A bed is assigned only while it is available, or reserved for that patient; its ward must be open. What does not
// exclude itself is free: the same patient's second Encounter may name the same bed.
//
// Whoever leaves a bed (its location is completed, the Encounter ends, is deleted or entered in error) leaves it to be cleaned. After the facility's bedCleaningDuration it is available again, by
// a durable job, where automaticBedRelease is set.
//
// A bed's Location may say nothing that contradicts the ledger: not that it is free while somebody lies there, not that it is occupied while nobody does. A bed, ward, department or facility
// in which somebody lies is neither deleted nor made inactive. A bed's number is unique in its ward, a ward's code in its facility, a facility's code in the tenant.
//
// # Where the document lags
//
// The product API changes the Encounter and the bed's Location.operationalStatus in one set. Whoever writes an Encounter alone, through the FHIR API, changes the ledger at once;
// the Location follows within about a second: the rule puts a durable job into the same transaction (facility.align), which writes it. Until then the Location says
// what was. Search beds by the product API where that matters: it asks the ledger.
//
// # Ledgers
//
// facility_organization and facility_place are the structure, with the ward, department and facility that each place belongs to. facility_bed is the state of each bed, facility_stay who
// lay in it and when; facility_setting what a facility has set. They hold ids and names of places; nothing of people but ids. Records of before are adopted: where two
// Encounters claim one bed there, the first has it, and the other's stay is marked as contested and takes the bed once that is free.
//
// # Events
//
// facility.created, facility.updated, department.created, department.updated, ward.created, ward.updated, ward.capacity_updated, bed.created, bed.assigned, bed.released, bed.status_changed.
// They follow from changes of Organization, Location and Encounter. That a location is a bed, and of which ward, is not in an Encounter: it is looked up in the ledger when the event is
// told. ward.capacity_updated tells what changed, not how many beds are free: that is no property of a change; ask /api/v1/wards/{id}/occupancy. The module reads no events of others.
package facility
