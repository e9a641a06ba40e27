// Package scheduling is the appointment service of the product API: calendars of providers, rooms and devices, free times, and appointments.
//
// # What it owns
//
// The FHIR types Appointment, Schedule and Slot, and the ledgers beside them:
//
//   - scheduling_claim: whose time each appointment takes, from when to when. It decides; the Appointment tells.
//   - scheduling_actor: how a calendar is kept (a [Plan]), which a Schedule bears as an extension ([PlanExtension]); the row of nobody is the tenant's.
//   - scheduling_role: whose a PractitionerRole is and when there is time, as PractitionerRole.availableTime says.
//   - scheduling_slot, scheduling_schedule, scheduling_slot_claim: Slots of FHIR clients, whose they are, and the one appointment that each is in.
//   - scheduling_absence, scheduling_preference: holidays and time off; what patients like (sealed).
//   - scheduling_reminder, scheduling_waiting, scheduling_queue: reminders, places on the waiting list and numbers of the day, which follow the appointment.
//   - scheduling_series, scheduling_feed: rules of appointments that recur, and addresses of calendar feeds.
//
// # What always holds
//
// A rule writes the claims in the transaction of the appointment, whoever writes it: the product API, a FHIR create, update, patch or delete, a transaction Bundle, an import.
// So at no time has anybody more appointments at once than the capacity, and the overbooking that was asked for and permitted, and ledger and documents
// never differ. A set of changes is judged as a whole ([SetRule]): all give up what they had, then each takes what it needs. Writers who want the same
// calendar wait for each other on a lock of that calendar; a set takes its locks at once, in one order. The loser is told which times are free. What holds time is an
// appointment that is pending (held), booked, arrived or checked-in, for each participant that has not declined; a fulfilled one, one that was missed or cancelled, a proposed
// one and one on the waiting list hold nothing.
//
// The same rule holds the order of statuses, for both doors: see [transitions].
//
// # Events
//
// It tells appointment.created, .updated, .confirmed, .cancelled, .completed and .noshow, patient.checked_in and schedule.updated, all derived from the record. It reads none.
package scheduling
