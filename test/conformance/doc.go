// Package conformance asks the whole program, over HTTP and by its commands, whether it keeps what the specification publishes
// and what real systems send: the official R4 examples and synthetic patients go in, come back equal, are found by their
// values, and SQLite and PostgreSQL give the same answers.
//
// The material stands outside of the repository; tests are skipped, with the reason, where it is absent.
package conformance
