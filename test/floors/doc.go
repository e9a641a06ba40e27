// Package floors holds the test of the house's rules: which package may import which, and what the tree must not contain.
// It reads the source with go/parser, so that it sees what stands in the tree and nothing cached.
package floors
