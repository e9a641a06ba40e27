package conformance

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/testfind"
)

func syntheaArchive(t testing.TB) string {
	return testfind.Shared(t, "data", "synthea-100-patients.tar.gz")
}

// eachSynthea calls f with the text of each Bundle of synthetic patients, in the archive's order, until it says no.
func eachSynthea(t testing.TB, f func(name string, text []byte) bool) {
	t.Helper()
	file, err := os.Open(syntheaArchive(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	z, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	for archive := tar.NewReader(z); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(h.Name, ".json") {
			continue
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		if !f(filepath.Base(h.Name), text) {
			return
		}
	}
}

// TestSynthea imports all Bundles of synthetic patients by the program's own command: none is refused, nothing is wrong with
// what stands in the database then, and there is as much of each type as the Bundles hold.
func TestSynthea(t *testing.T) {
	bundles, resources := 0, 0
	types := map[string]int{}
	eachSynthea(t, func(name string, text []byte) bool {
		b, err := fhir.ParseResource(text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		bundles++
		for e := b.Get("entry").First(); e != nil; e = e.Next() {
			resources++
			types[strings.Clone(e.Get("resource").Str("resourceType"))]++
		}
		return true
	})
	if bundles != 100 {
		t.Fatalf("%d Bundles", bundles)
	}
	for _, e := range engines(t) {
		t.Run(e.name, func(t *testing.T) {
			h := e.open(t)
			start := time.Now()
			out := h.must(t, "import", syntheaArchive(t))
			imported := time.Since(start)
			if want := fmt.Sprintf("imported %d resources in ", resources); !strings.Contains(out, want) || !strings.Contains(out, " 0 refused") {
				t.Errorf("import says %q, not %q and 0 refused", out, want)
			}
			start = time.Now()
			out = h.must(t, "verify")
			t.Logf("%d resources imported in %v (%.0f a second), verified in %v: %s", resources, imported.Round(time.Millisecond),
				float64(resources)/imported.Seconds(), time.Since(start).Round(time.Millisecond), strings.TrimSpace(out))
			c := newClient(h.serve(t))
			for typ, want := range types {
				got, err := c.search(typ + "?_summary=count")
				if err != nil || got.total != fmt.Sprint(want) {
					t.Errorf("%s: %s are found, %d were imported: %v", typ, got.total, want, err)
				}
			}
		})
	}
}
