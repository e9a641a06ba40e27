package gateway_test

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nilecare/nilecare/internal/testfind"
)

// databases are what a service with a database cannot do without: the packages of this program that reach one, and those of others.
var databases = []string{
	"github.com/nilecare/nilecare/internal/record", "github.com/nilecare/nilecare/internal/sqldb", "github.com/nilecare/nilecare/internal/flat",
	"github.com/nilecare/nilecare/internal/event", "github.com/nilecare/nilecare/internal/job", "github.com/nilecare/nilecare/internal/storetest", "database/sql", "github.com/jackc/pgx", "modernc.org/sqlite",
}

// It reads the source, and follows the imports through the whole program, so that no way around is missed.
func TestTheGatewayHasNoDatabase(t *testing.T) {
	const program = "github.com/nilecare/nilecare/"
	seen := map[string]bool{}
	var walk func(pkg string, way []string)
	walk = func(pkg string, way []string) {
		way = append(slices.Clone(way), pkg)
		for _, db := range databases {
			if pkg == db || strings.HasPrefix(pkg, db+"/") {
				t.Errorf("the gateway reaches a database: %s", strings.Join(way, " imports "))
				return
			}
		}
		dir, ours := strings.CutPrefix(pkg, program)
		if seen[pkg] || !ours {
			return
		}
		seen[pkg] = true
		files, err := filepath.Glob(filepath.Join(testfind.Root(), dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no source: %v", pkg, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			f, err := parser.ParseFile(token.NewFileSet(), file, text, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range f.Imports {
				path, _ := strconv.Unquote(i.Path.Value)
				walk(path, way)
			}
		}
	}
	walk(program+"internal/module/gateway", nil)
	if !seen[program+"internal/web"] {
		t.Error("the imports were not followed")
	}
}
