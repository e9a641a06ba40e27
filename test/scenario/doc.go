// Package scenario runs the whole program, as a process, through the scripts of testdata/script: once on the embedded database
// and once on PostgreSQL, where NILECARE_TEST_POSTGRES names a server.
package scenario
