// Package eventtest holds the kinds of events against the schemas that were told to the world.
package eventtest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"

	"github.com/nilecare/nilecare/internal/event"
)

var fileName = regexp.MustCompile(`^(.+)\.v([1-9][0-9]*)\.json$`)

// Check holds the kinds against the files of the folder and says what is wrong. With update it writes what may be written: files of new kinds and
// versions, and compatible changes.
func Check(folder string, kinds []event.Kind, update bool) (problems []string, err error) {
	versions := map[string]int{}
	for _, k := range kinds {
		versions[k.Name] = k.Version
		for older := 1; older < k.Version; older++ {
			if _, err := os.Stat(filepath.Join(folder, event.SchemaFile(k.Name, older))); err != nil {
				problems = append(problems, fmt.Sprintf("%s is of version %d, and version %d has no file", k.Name, k.Version, older))
			}
		}
		problem, err := checkOne(folder, k, update)
		if err != nil {
			return nil, err
		}
		if problem != "" {
			problems = append(problems, problem)
		}
	}
	files, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		m := fileName.FindStringSubmatch(f.Name())
		if m == nil {
			continue
		}
		switch n, _ := strconv.Atoi(m[2]); {
		case versions[m[1]] == 0:
			problems = append(problems, fmt.Sprintf("%s: nobody tells of %s any more; readers may wait for it", f.Name(), m[1]))
		case n > versions[m[1]]:
			problems = append(problems, fmt.Sprintf("%s: the kind is of version %d: versions do not go back", f.Name(), versions[m[1]]))
		}
	}
	return problems, nil
}

func checkOne(folder string, k event.Kind, update bool) (problem string, err error) {
	is, err := k.Schema()
	if err != nil {
		return err.Error(), nil //nolint:nilerr // it is what the check is to find
	}
	path := filepath.Join(folder, event.SchemaFile(k.Name, k.Version))
	was, err := os.ReadFile(path)
	fresh := errors.Is(err, fs.ErrNotExist)
	if err != nil && !fresh {
		return "", err
	}
	if bytes.Equal(was, is) {
		return "", nil
	}
	if !fresh {
		broken, err := event.Breaks(was, is)
		if err != nil {
			return "", fmt.Errorf("%s: %w", path, err)
		}
		if len(broken) > 0 {
			return fmt.Sprintf("%s version %d breaks those who read it: %v. Undo that, or raise the kind's Version to %d and run this test with -args -update", k.Name, k.Version, broken, k.Version+1), nil
		}
	}
	if !update {
		return fmt.Sprintf("%s version %d has changed, or is new: run this test with -args -update", k.Name, k.Version), nil
	}
	return "", os.WriteFile(path, is, 0o644) //nolint:gosec // a file of the source
}
