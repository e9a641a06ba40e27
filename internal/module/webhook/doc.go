// Package webhook tells other servers what happened, by signed requests.
//
// It owns no FHIR type. Its tables are webhook_subscription, who is told of what, and webhook_delivery, what became of each telling. Addresses, secrets and
// bodies stand sealed.
//
// # From an event to a request
//
// The durable reader "webhook" of the events puts, for each event and each webhook that wants it, a delivery and its job in one transaction, once whatever is read again.
// The job (webhook.deliver) makes the request: the CloudEvent, signed as internal/web says. Any 2xx is success; all else is tried again, 10 s later at first, then
// doubling up to six hours, for three days. A receiver may be told twice, by the same id, and in another order than that of the events.
//
// A receiver that fails is left alone for a while by all of its deliveries, so that one that is dead does not take the places of others. 410 disables a webhook at once,
// and so do 20 failures in a row over three days; whoever made it is told, and the audit notes it.
//
// # Where requests go
//
// Only to public addresses, and to networks that the operator admits. The address is judged when the connection is made, after the name was resolved, so that a name
// that means another address the next time gains nothing. No proxy is used, no redirect followed, and of an answer nothing is kept but its status.
//
// # Invariants
//
//   - A secret is shown once, when it is made; after its replacement the old one signs as well until the overlap ends.
//   - What a webhook's making permits is decided by webhooks:write, which the administrators' roles hold: its receiver gets the events whatever its maker may see.
package webhook
