// Package record is the store: the one door through which every change of a resource goes, and reads, history and search.
//
// [Store.Write] takes a set of changes that succeed or fail together. In one database transaction it checks conditions and
// versions, asks the owner's [Rule], and writes document, history, index rows, an event row and an audit row. A change
// is durable before Write returns. Engines (record/sqlite, record/postgres) are judged by one suite, record/recordtest.
package record
