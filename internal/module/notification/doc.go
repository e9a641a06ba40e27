// Package notification is the notification service of the product API: what people are told, in the program, by mail and by text message.
//
// It owns no FHIR type. Its tables are notification_message, the outbox and the users' lists in one, and notification_preference. Titles, texts
// and addresses stand sealed; users, patients and what a message is about stand as ids.
//
// # From a fact to a message
//
// Whoever wants somebody told prepares the message in the open ([Service.Prepare], which seals it) and puts it in the transaction of the fact
// ([Service.Put]): it goes out if and only if the fact holds, and once a key. Mail and text messages are jobs (internal/job) of the kinds notification.email and
// notification.sms, which only processes with a carrier do: without one messages stay pending, and say so. The address of a patient is looked up when the
// message is sent, as it stands on the record then, and so is the language where the message comes in two.
//
// A carrier is tried again for three days. A message can reach its carrier twice where the program stops between the carrier's answer and its noting so.
// Reasons of failures name kinds and codes, never an address or a carrier's words.
//
// # Live
//
// A message in the program is a row that its user's clients read. [Service.OnNew] tells this process of new and of read ones, whichever process wrote them:
// each reads the rows that were changed lately, once a second, and at once after its own routes' changes. It looks ten seconds back each time, since rows are committed in another order
// than that of their times. A transaction that takes longer than that is not told of; its message stands in the list all the same.
//
// # Invariants
//
//   - A user sees messages of their own; another's only with notifications:manage, and the audit says so.
//   - Texts of mail and text messages are deleted once they went out or were given up; what is left of any message goes after 90 days.
//   - Types that begin with security. or account. cannot be switched off.
package notification
