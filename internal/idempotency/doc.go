// Package idempotency keeps which requests with an Idempotency-Key were done, and what they were answered: [Store] implements [api.Uses] on a ledger.
//
// # What is kept
//
// One row a key, in idempotency_use. A key belongs to a tenant, a caller, a method and a path: another caller's equal key is another key. The row knows the
// request by a keyed hash of its query and body, so that the same key with another body is refused; neither key nor body stands there. The
// answer is sealed by the tenant's key, and kept for a day ([Kept]).
//
// # What happens when
//
//   - The first request takes the key, in a transaction of its own, before anything is done. Whoever comes with the same key meanwhile gets a conflict, to be tried again shortly.
//   - Its answer is stored before it is sent: whoever got an answer gets the same one again.
//   - It failed by the program's fault, or for a reason that may pass (5xx, 401, 403, 423, 429): the key is forgotten, and a repetition is done.
//   - The process died, or could not store the answer: the key stays taken until the attempt must be over (the edge's limit of a request and [Slack]); until
//     then a repetition is a conflict. After that the audit tells, whose entries are written in the same transaction as changes of records, whether the lost
//     attempt had changed any: if so a repetition stays a conflict that says so, and is not done a second time; if not it is done.
//
// What remains: a lost attempt that changed only rows of a module's own ledger, without an audit entry in the same transaction, is done again; and so is a
// request that comes again after the day. An answer that is kept may hold data of a patient who is erased meanwhile, for the rest of its day.
//
// The table is not part of backups: a record that was restored is an older one, in which a request of later has not been done.
package idempotency
