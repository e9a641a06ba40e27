// Package gateway is the main service of the product API: dashboards, the search for patients, and a patient's record in one answer, composed of what the other
// services answer. It has no database: a test proves that no package that reaches one is among what it imports.
//
// # How it asks
//
// Each part of an answer is a request to the service that knows it, with the caller's own credentials, all parts at once. So nobody is told by a dashboard what they
// would be refused elsewhere, and each part may fail by itself: its figures are then null, and "unavailable" says of each why. No figure is ever put
// in the place of one that is not known. The caller's Authorization, cookies, API key, tenant, purpose of use, request id and trace go along with every part; the deadline
// is the request's own.
//
// Ledgers: none. Events out: none. Events in: none.
package gateway
