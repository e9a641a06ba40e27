// Package testfind finds the test material that stands outside of the module. It is imported by tests alone.
package testfind

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// Root returns the module's root folder.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

// Shared returns the path of third-party material in the folder `shared` beside the checkout, or skips the test.
func Shared(t testing.TB, elem ...string) string {
	t.Helper()
	return found(t, "the test material beside the checkout is absent: ", filepath.Join(append([]string{Root(), "..", "shared"}, elem...)...))
}

// Examples returns the folder of the official R4 examples and definitions that `make fixtures` fetches, or skips the test.
func Examples(t testing.TB) string {
	t.Helper()
	return found(t, "the official examples are not fetched (make fixtures): ", filepath.Join(Root(), ".cache", "r4-examples", "package"))
}

func found(t testing.TB, why, path string) string {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		t.Skip(why + filepath.Base(path))
	}
	return path
}
