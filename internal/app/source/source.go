// Package source reads what people bring to an import: .json and .ndjson files, these compressed with gzip, folders of them, and
// tar archives. It streams: of a file no more than one unit is in memory.
//
// A unit is what is written in one piece: a .json file, or a line of an .ndjson file.
package source

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// File is a file to read units from.
type File struct {
	Path string
	Size int64 // on the disk, as it is compressed there
	// Early says that, by its name, the file holds what others refer to by conditional references (Synthea's hospitals and
	// practitioners): it should be written before the others.
	Early bool
}

// Find returns the files that paths name, folders opened, each folder's in the order of their names. What stands in a folder
// and is not to be read (hidden files, other kinds) is returned in ignored. A path that is named itself must be of a known kind.
func Find(paths []string) (files []File, ignored []string, err error) {
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			return nil, nil, fmt.Errorf("import: %w", err)
		}
		if !info.IsDir() {
			if kindOf(p) == unknown {
				return nil, nil, fmt.Errorf("import: %s is neither .json, .ndjson, .tar, nor these with .gz", p)
			}
			files = append(files, newFile(p, info))
			continue
		}
		found, other, err := folder(p)
		if err != nil {
			return nil, nil, err
		}
		files, ignored = append(files, found...), append(ignored, other...)
	}
	return files, ignored, nil
}

func newFile(p string, info fs.FileInfo) File {
	return File{Path: p, Size: info.Size(), Early: early(p)}
}

func folder(root string) (files []File, ignored []string, err error) {
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if hidden := strings.HasPrefix(d.Name(), ".") && p != root; hidden {
			if d.IsDir() {
				return filepath.SkipDir
			}
			ignored = append(ignored, p)
			return nil
		}
		if d.IsDir() {
			return nil
		}
		info, err := os.Stat(p) // follows a link to a file
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() || kindOf(p) == unknown {
			ignored = append(ignored, p)
			return nil
		}
		files = append(files, newFile(p, info))
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("import: %w", err)
	}
	slices.SortStableFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return files, ignored, nil
}

// early reports a name under which exporters put what other files refer to.
func early(path string) bool {
	name := strings.ToLower(filepath.Base(path))
	for _, begin := range []string{"hospitalinformation", "practitionerinformation", "organization", "location", "practitioner"} {
		if strings.HasPrefix(name, begin) {
			return true
		}
	}
	return false
}

type kind uint8

const (
	unknown kind = iota
	single       // one JSON text
	lines        // one JSON text a line
	archive      // tar
)

// kindOf goes by the name's ending, .gz left out.
func kindOf(path string) kind {
	name := strings.TrimSuffix(strings.ToLower(path), ".gz")
	switch {
	case strings.HasSuffix(name, ".json"):
		return single
	case strings.HasSuffix(name, ".ndjson"), strings.HasSuffix(name, ".jsonl"):
		return lines
	case strings.HasSuffix(name, ".tar"), strings.HasSuffix(name, ".tgz"):
		return archive
	}
	return unknown
}

func compressed(path string) bool {
	name := strings.ToLower(path)
	return strings.HasSuffix(name, ".gz") || strings.HasSuffix(name, ".tgz")
}
