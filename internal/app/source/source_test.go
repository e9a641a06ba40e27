package source_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nilecare/nilecare/internal/app/source"
)

func zip(t *testing.T, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func tarred(t *testing.T, members ...[2]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		if err := w.WriteHeader(&tar.Header{Name: m[0], Mode: 0o600, Size: int64(len(m[1]))}); err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(w, m[1])
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func put(t *testing.T, dir, name string, data []byte) string {
	t.Helper()
	p := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

func read(t *testing.T, dir string, paths ...string) (units []string, taken, size int64) {
	t.Helper()
	files, _, err := source.Find(paths)
	if err != nil {
		t.Fatal(err)
	}
	var sum atomic.Int64
	for _, f := range files {
		size += f.Size
		for u := range f.Units(&sum) {
			what := string(u.Data)
			if u.Err != nil {
				what = "error: " + u.Err.Error()
			}
			units = append(units, fmt.Sprintf("%s #%d line %d: %s", strings.TrimPrefix(u.Source, dir+"/"), u.N, u.Line, what))
		}
	}
	return units, sum.Load(), size
}

func TestUnits(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "b.json", []byte("\xef\xbb\xbf{1}"))
	put(t, dir, "a/x.ndjson", []byte("{2}\n\n  {3}\r\n{4}"))
	put(t, dir, "c.json.gz", zip(t, []byte("{5}")))
	put(t, dir, "d.NDJSON.gz", zip(t, []byte("{6}\n{7}\n")))
	put(t, dir, "e.tgz", zip(t, tarred(t, [2]string{"m/1.json", "{8}"}, [2]string{"readme.txt", "no"}, [2]string{"2.ndjson", "{9}\n{10}\n"}, [2]string{"in.tar", "x"})))
	put(t, dir, "f.tar", tarred(t, [2]string{"1.json.gz", string(zip(t, []byte("{11}")))}))
	put(t, dir, "notes.txt", []byte("not read"))
	put(t, dir, ".hidden.json", []byte("not read"))
	got, taken, size := read(t, dir, dir)
	want := []string{
		"a/x.ndjson #1 line 1: {2}", "a/x.ndjson #2 line 3: {3}", "a/x.ndjson #3 line 4: {4}",
		"b.json #1 line 0: {1}", "c.json.gz #1 line 0: {5}",
		"d.NDJSON.gz #1 line 1: {6}", "d.NDJSON.gz #2 line 2: {7}",
		"e.tgz!m/1.json #1 line 0: {8}", "e.tgz!2.ndjson #2 line 1: {9}", "e.tgz!2.ndjson #3 line 2: {10}",
		"f.tar!1.json.gz #1 line 0: {11}",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if taken != size {
		t.Errorf("took %d bytes of %d", taken, size)
	}
}

func TestBrokenFilesSayWhere(t *testing.T) {
	dir := t.TempDir()
	noise := make([]byte, 200_000) // is not compressed, so that the first member stands in the file before the cut
	rand.New(rand.NewSource(1)).Read(noise)
	whole := zip(t, tarred(t, [2]string{"1.json", "{1}"}, [2]string{"2.json", string(noise)}))
	put(t, dir, "cut.tgz", whole[:len(whole)-60])
	put(t, dir, "no.json.gz", []byte("not gzip"))
	got, _, _ := read(t, dir, dir)
	if len(got) != 3 || !strings.HasPrefix(got[0], "cut.tgz!1.json #1 line 0: {1}") || !strings.HasPrefix(got[1], "cut.tgz") ||
		!strings.Contains(got[1], "error: ") || !strings.HasPrefix(got[2], "no.json.gz #1 line 0: error: gzip") {
		t.Errorf("got %q", got)
	}
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	text := put(t, dir, "x.txt", nil)
	for _, p := range []string{filepath.Join(dir, "absent"), text} {
		if _, _, err := source.Find([]string{p}); err == nil {
			t.Errorf("%s was taken", p)
		}
	}
	put(t, dir, "hospitalInformation123.json", nil)
	put(t, dir, "anna.json", nil)
	files, ignored, err := source.Find([]string{dir})
	if err != nil || len(files) != 2 || files[0].Early || !files[1].Early || len(ignored) != 1 {
		t.Errorf("got %v, %v, %v", files, ignored, err)
	}
}

func TestStopsWhenTheReceiverHasEnough(t *testing.T) {
	p := put(t, t.TempDir(), "x.ndjson", []byte("1\n2\n3\n"))
	files, _, err := source.Find([]string{p})
	if err != nil {
		t.Fatal(err)
	}
	var n int
	for range files[0].Units(new(atomic.Int64)) {
		n++
		break
	}
	if n != 1 {
		t.Errorf("got %d units", n)
	}
}
