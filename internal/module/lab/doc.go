// Package lab is the laboratory service of the product API.
//
// It owns nothing yet: it counts what the records say of orders and results, for the dashboards. Orders are ServiceRequests whose category is the laboratory's, results
// Observations of the category laboratory, reports DiagnosticReports of one of the laboratory's sections (v2-0074).
//
// Ledgers: none. Events out: none. Events in: none.
package lab
