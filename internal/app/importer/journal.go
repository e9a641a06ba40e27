package importer

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// Journal remembers which units of which files were written. A file is known by its size and the digest of its content,
// wherever it lies and whatever it is called.
type Journal struct {
	mu   sync.Mutex
	file *os.File
	done map[string]*units
}

// units is the finished units of one file. Lines of the journal: "F" digest; "U" digest first last.
type units struct {
	whole bool
	n     map[int]struct{}
}

// OpenJournal opens or makes the journal at path. Its last line may have been cut off by a crash: it is left out.
func OpenJournal(path string) (*Journal, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("import journal: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("import journal: %w", err)
	}
	j := &Journal{file: f, done: map[string]*units{}}
	end, err := j.load(f)
	if err == nil {
		err = f.Truncate(end)
	}
	if err == nil {
		_, err = f.Seek(end, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("import journal %s: %w", path, err), f.Close())
	}
	return j, nil
}

// Forget removes the journal at path, so that everything is imported again.
func Forget(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("import journal: %w", err)
	}
	return nil
}

// load reads the lines and returns where the last whole one ends.
func (j *Journal) load(src io.Reader) (end int64, err error) {
	in := bufio.NewReader(src)
	for {
		line, err := in.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return end, nil
		}
		if err != nil {
			return end, err
		}
		end += int64(len(line))
		var digest string
		var first, last int
		switch {
		case strings.HasPrefix(line, "F "):
			j.of(strings.TrimSpace(line[2:])).whole = true
		case strings.HasPrefix(line, "U "):
			if _, err := fmt.Sscanf(line, "U %s %d %d", &digest, &first, &last); err != nil {
				return end, fmt.Errorf("line %q: %w", line, err)
			}
			j.of(digest).add(first, last)
		default:
			return end, fmt.Errorf("line %q is of no known kind", line)
		}
	}
}

func (j *Journal) of(digest string) *units {
	u := j.done[digest]
	if u == nil {
		u = &units{n: map[int]struct{}{}}
		j.done[digest] = u
	}
	return u
}

func (u *units) add(first, last int) {
	for n := first; n <= last; n++ {
		u.n[n] = struct{}{}
	}
}

// Whole reports whether the file with that digest was written to its end.
func (j *Journal) Whole(digest string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	u := j.done[digest]
	return u != nil && u.whole
}

// Has reports whether the file's unit was written.
func (j *Journal) Has(digest string, unit int) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	u := j.done[digest]
	if u == nil {
		return false
	}
	_, ok := u.n[unit]
	return ok || u.whole
}

// Wrote notes units of a file, in rising order.
func (j *Journal) Wrote(digest string, numbers []int) error {
	if len(numbers) == 0 {
		return nil
	}
	var b strings.Builder
	j.mu.Lock()
	defer j.mu.Unlock()
	u := j.of(digest)
	for i := 0; i < len(numbers); {
		k := i
		for k+1 < len(numbers) && numbers[k+1] == numbers[k]+1 {
			k++
		}
		u.add(numbers[i], numbers[k])
		fmt.Fprintf(&b, "U %s %d %d\n", digest, numbers[i], numbers[k])
		i = k + 1
	}
	_, err := j.file.WriteString(b.String())
	return err
}

// Finished notes that all units of a file were written.
func (j *Journal) Finished(digest string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	u := j.of(digest)
	if u.whole {
		return nil
	}
	u.whole, u.n = true, nil
	_, err := fmt.Fprintf(j.file, "F %s\n", digest)
	return err
}

// Close makes the notes durable and closes the journal.
func (j *Journal) Close() error {
	return errors.Join(j.file.Sync(), j.file.Close())
}

// digestOf reads a file through and returns what the journal knows it by.
func digestOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s-%d", hex.EncodeToString(h.Sum(nil)), n), nil
}
