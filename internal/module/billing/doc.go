// Package billing is the billing service of the product API.
//
// It owns nothing yet: it counts what the records say of invoices (Invoice), claims (Claim, ClaimResponse) and payments (PaymentReconciliation), for the
// dashboards. An invoice that is issued is outstanding with its whole amount, since no record tells part payments; R4's Invoice has no day on which it is due, so it is
// overdue 30 days after its date, the product's net term. Sums are told to those alone who may see every invoice.
//
// Ledgers: none. Events out: none. Events in: none.
package billing
