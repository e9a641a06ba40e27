// Package sqldb opens the two databases that the program runs on, SQLite and PostgreSQL, and gives both one small face:
// [Querier], [Tx], migrations, and transactions.
//
// Statements are written once, with $1, $2 … as placeholders, in the dialect that both share; each is prepared once a
// connection. Values are int64 (and the smaller integers), float64, string, []byte, bool (as 0 or 1) and nil.
//
// On SQLite one connection writes. Concurrent writers share its commits: [SQLite.Update] runs each caller's function in a
// savepoint of its own, commits once for all that wait, and answers each with its own outcome after the commit is durable.
// Readers have connections of their own and see the last commit.
//
// On PostgreSQL every transaction is bound to one tenant, which row-level security checks.
package sqldb
