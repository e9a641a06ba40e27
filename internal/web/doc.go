// Package web is the HTTP edge: what every request passes before a handler sees it, and what every answer passes on
// its way out.
//
// [Edge] gives a request its id, its caller, its deadline and its bounds, and opens a compressed body; it answers a
// panic, compresses what is worth it, and leaves one log line, one measurement and, where traces are on, one span.
// Handlers return errors; [Fail] turns them into an OperationOutcome by the one table from kind of failure to status,
// which [KindOf] reads backwards for a client of a peer.
//
// Nothing here logs, labels or traces a query string, a path with ids, a peer's address or a body.
package web
