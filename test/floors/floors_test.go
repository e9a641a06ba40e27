package floors

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nilecare/nilecare/internal/testfind"
)

const module = "github.com/nilecare/nilecare"

// rooms gives the floor of each folder, with all folders below it that have no line of their own. A package imports only
// from lower floors and from its own room; a room on the same floor is a neighbour, and not imported.
var rooms = map[string]int{
	"cmd/nilecare":        70,
	"bench":               60,
	"test":                65,
	"internal/app":        60,
	"internal/app/config": 55, "internal/app/source": 55, "internal/app/importer": 58,
	"internal/module":        50,
	"internal/fhirrest":      50,
	"internal/record/sqlite": 36, "internal/record/postgres": 36,
	"internal/record/recordtest": 34,
	"internal/record":            30,
	"internal/audit":             25,
	"internal/flat":              45,
	"internal/idempotency":       45,
	"internal/recur":             10,
	"internal/event":             40,
	"internal/job":               40,
	"internal/token":             40,
	"internal/storetest":         38,
	"internal/web":               20,
	"internal/hospital":          12,
	"internal/access":            16,
	"internal/seal":              10,
	"internal/sqldb":             10,
	"internal/interval":          10,
	"internal/fhir":              10,
	"internal/pack":              14,
	"internal/names":             10,
	"internal/ident":             5,
	"internal/fault":             0, "internal/clock": 0, "internal/testfind": 0,
}

// httpRooms may import net/http.
var httpRooms = []string{"internal/flat", "internal/idempotency", "internal/web", "internal/fhirrest", "internal/app", "internal/module", "cmd/nilecare", "bench", "test"}

// pure may import neither the clock, nor a database, nor the network, nor files.
var pure = []string{"internal/fhir", "internal/names", "internal/interval"}

var impure = []string{"database/sql", "net", "net/http", "os", "os/exec", "log", "log/slog", "math/rand", "math/rand/v2", "crypto/rand"}

// nothingNames are package names that say nothing.
var nothingNames = []string{"util", "utils", "common", "helpers", "helper", "base", "models", "misc"}

type source struct {
	dir  string // folder, from the module's root
	file string
	ast  *ast.File
	test bool
}

func (s source) room() string { return roomOf(s.dir) }

// roomOf returns the room of a folder: the longest line of the table that is it or a folder above it; "" where none is.
func roomOf(dir string) string {
	for ; dir != "."; dir = path.Dir(dir) {
		if _, ok := rooms[dir]; ok {
			return dir
		}
	}
	return ""
}

func sources(t *testing.T) []source {
	t.Helper()
	var out []source
	root := testfind.Root()
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, name)
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if base := d.Name(); rel != "." && (strings.HasPrefix(base, ".") || base == "testdata" || base == "node_modules") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(rel, ".go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		if !ignored(f) {
			out = append(out, source{path.Dir(rel), rel, f, strings.HasSuffix(rel, "_test.go")})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// ignored reports a file that is no part of any build, such as a generator.
func ignored(f *ast.File) bool {
	for _, g := range f.Comments {
		if g.Pos() > f.Package {
			break
		}
		for _, c := range g.List {
			if strings.HasPrefix(c.Text, "//go:build ignore") {
				return true
			}
		}
	}
	return false
}

func importsOf(s source) []string {
	var out []string
	for _, i := range s.ast.Imports {
		p, _ := strconv.Unquote(i.Path.Value)
		out = append(out, p)
	}
	return out
}

func TestEveryFolderHasAFloor(t *testing.T) {
	for _, s := range sources(t) {
		if s.room() == "" {
			t.Errorf("%s stands on no floor: give its folder a line in the table of rooms", s.file)
		}
	}
}

func TestImportsGoDown(t *testing.T) {
	for _, s := range sources(t) {
		for _, imported := range importsOf(s) {
			dir, ours := strings.CutPrefix(imported, module+"/")
			if !ours {
				continue
			}
			to := roomOf(dir)
			if s.test && to != "" && rooms[to] == rooms[s.room()] {
				continue // a test may hold two neighbours against each other
			}
			if why := forbidden(s.room(), to); why != "" {
				t.Errorf("%s imports %s: %s", s.file, dir, why)
			}
		}
	}
}

// forbidden says why a room may not import from another, "" where it may. The program's own modules do not import each
// other although they share the line of their floor.
func forbidden(from, to string) string {
	switch {
	case to == "":
		return "it stands on no floor"
	case from == to:
		return ""
	case rooms[to] > rooms[from]:
		return "it is on a higher floor"
	case rooms[to] == rooms[from]:
		return "it is a neighbour on the same floor"
	}
	return ""
}

func TestModulesDoNotImportEachOther(t *testing.T) {
	moduleOf := func(dir string) string {
		rest, ok := strings.CutPrefix(dir, "internal/module/")
		if !ok {
			return ""
		}
		name, _, _ := strings.Cut(rest, "/")
		return name
	}
	for _, s := range sources(t) {
		for _, imported := range importsOf(s) {
			dir, _ := strings.CutPrefix(imported, module+"/")
			if a, b := moduleOf(s.dir), moduleOf(dir); a != "" && b != "" && a != b {
				t.Errorf("%s imports %s", s.file, dir)
			}
		}
	}
}

func TestHTTPStaysAtTheEdge(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || slices.ContainsFunc(httpRooms, func(r string) bool { return under(s.dir, r) }) {
			continue
		}
		if slices.Contains(importsOf(s), "net/http") {
			t.Errorf("%s imports net/http", s.file)
		}
	}
}

func TestPureRoomsStayPure(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || s.ast.Name.Name == "main" || !slices.ContainsFunc(pure, func(r string) bool { return under(s.dir, r) }) {
			continue
		}
		for _, imported := range importsOf(s) {
			if slices.Contains(impure, imported) {
				t.Errorf("%s imports %s", s.file, imported)
			}
		}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && (sel.Sel.Name == "Now" || sel.Sel.Name == "Since") {
				if x, ok := sel.X.(*ast.Ident); ok && x.Name == "time" {
					t.Errorf("%s asks the clock: time.%s", s.file, sel.Sel.Name)
				}
			}
			return true
		})
	}
}

func under(dir, room string) bool { return dir == room || strings.HasPrefix(dir, room+"/") }

func TestTestMaterialStaysInTests(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || under(s.dir, "internal/testfind") || under(s.dir, "internal/record/recordtest") || under(s.dir, "internal/storetest") || strings.HasSuffix(s.dir, "test") {
			continue
		}
		for _, imported := range importsOf(s) {
			if imported == "testing" || imported == module+"/internal/testfind" || strings.HasSuffix(imported, "/recordtest") {
				t.Errorf("%s imports %s outside of a test", s.file, imported)
			}
		}
	}
}

func TestNoInit(t *testing.T) {
	for _, s := range sources(t) {
		for _, d := range s.ast.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s has an init function", s.file)
			}
		}
	}
}

func TestPackagesSayWhatTheyHold(t *testing.T) {
	documented := map[string]bool{}
	for _, s := range sources(t) {
		if slices.Contains(nothingNames, s.ast.Name.Name) || slices.Contains(nothingNames, path.Base(s.dir)) {
			t.Errorf("%s: a package named %s says nothing", s.file, s.ast.Name.Name)
		}
		if s.test {
			continue
		}
		documented[s.dir] = documented[s.dir] || s.ast.Doc != nil
	}
	for dir, has := range documented {
		if !has {
			t.Errorf("%s: the package has no doc comment", dir)
		}
	}
}
