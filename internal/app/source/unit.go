package source

import (
	"archive/tar"
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
)

// MaxUnit is the largest unit in bytes; a larger one is not read.
const MaxUnit = 256 << 20

// Unit is one piece of a file. Err says why it could not be read; Data is nil then.
type Unit struct {
	Source string // the file, and behind a ! the archive's member
	N      int    // the unit's number in the file, from 1
	Line   int    // the line in an .ndjson, from 1; 0 elsewhere
	Data   []byte // the JSON text; the receiver's to keep
	Err    error
}

// Units reads the file's units in their order and adds the bytes taken from the disk to read as it goes. Where the file
// cannot be read further, the last unit bears the error.
func (f File) Units(read *atomic.Int64) iter.Seq[Unit] {
	return func(yield func(Unit) bool) {
		r := &reader{name: f.Path, yield: yield}
		if err := r.file(f.Path, read); err != nil && !r.stopped {
			_ = r.emit(Unit{Source: r.name, Err: err}) // the last: whether more is wanted does not matter
		}
	}
}

// reader numbers the units of one file and hands them out.
type reader struct {
	name    string
	n       int
	stopped bool
	yield   func(Unit) bool
}

var errStopped = errors.New("the receiver has enough")

func (r *reader) emit(u Unit) error {
	r.n++
	u.N = r.n
	if !r.yield(u) {
		r.stopped = true
		return errStopped
	}
	return nil
}

func (r *reader) file(path string, read *atomic.Int64) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return r.stream(path, path, bufio.NewReaderSize(&counter{f, read}, 1<<18))
}

// stream reads src, whose kind is that of name; at is how its units are called.
func (r *reader) stream(name, at string, src io.Reader) error {
	if compressed(name) {
		z, err := gzip.NewReader(src)
		if err != nil {
			return fmt.Errorf("gzip: %w", err)
		}
		defer z.Close()
		src = z
	}
	r.name = at
	switch kindOf(name) {
	case single:
		return r.whole(at, src)
	case lines:
		return r.lines(at, src)
	default:
		return r.archive(at, src)
	}
}

var errTooLarge = fmt.Errorf("larger than %d MiB", MaxUnit>>20)

func (r *reader) whole(at string, src io.Reader) error {
	var b bytes.Buffer
	n, err := b.ReadFrom(io.LimitReader(src, MaxUnit+1))
	if err != nil {
		return err
	}
	if n > MaxUnit {
		return r.emit(Unit{Source: at, Err: errTooLarge})
	}
	return r.emit(Unit{Source: at, Data: bytes.TrimPrefix(b.Bytes(), []byte("\xef\xbb\xbf"))})
}

func (r *reader) lines(at string, src io.Reader) error {
	in := bufio.NewReaderSize(src, 1<<18)
	for line := 1; ; line++ {
		data, err := readLine(in)
		end := errors.Is(err, io.EOF)
		if err != nil && !end {
			return err
		}
		if data = bytes.TrimSpace(data); len(data) > 0 {
			if e := r.emit(Unit{Source: at, Line: line, Data: data}); e != nil {
				return e
			}
		}
		if end {
			return nil
		}
	}
}

// readLine returns the next line, copied. Its error is io.EOF on the last.
func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		if len(line)+len(part) > MaxUnit {
			return nil, errTooLarge
		}
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

// archive reads the members of a tar that are of a known kind; an archive within an archive is not opened.
func (r *reader) archive(at string, src io.Reader) error {
	tr := tar.NewReader(src)
	for {
		r.name = at
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if k := kindOf(h.Name); h.Typeflag != tar.TypeReg || k != single && k != lines {
			continue
		}
		if err := r.stream(h.Name, at+"!"+h.Name, tr); err != nil {
			return err
		}
	}
}

// counter adds what is read to a sum.
type counter struct {
	r   io.Reader
	sum *atomic.Int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.sum.Add(int64(n))
	return n, err
}
