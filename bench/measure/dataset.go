package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/nilecare/nilecare/internal/hospital"
)

// dataset writes the synthetic hospital in growing parts: each part goes on where the last one ended.
type dataset struct {
	seed                int64
	patients, resources int
}

// perFile is how many patients' Bundles stand in one file.
const perFile = 500

// write makes files of Bundles in dir, until the whole set has at least size resources, and returns how many these files have.
func (d *dataset) write(dir string, size int) (int, error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return 0, err
	}
	skip, before := d.patients, d.resources
	now := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC) // fixed: the same set each time
	var f *part
	defer func() { f.close() }()
	k := -1
	for text := range hospital.Bundles(d.seed, size, now) {
		k++ // 0 is the hospital itself
		if k == 0 {
			if skip > 0 {
				continue
			}
			if err := os.WriteFile(filepath.Join(dir, "Organization-hospital.json"), text, 0o644); err != nil {
				return 0, err
			}
			d.resources += bytes.Count(text, []byte(`"fullUrl"`))
			continue
		}
		if k <= skip {
			continue
		}
		// Thousands of patients want the same few doctors' hours, which can be booked once.
		text = bytes.ReplaceAll(text, []byte(`"resourceType":"Appointment","status":"booked"`), []byte(`"resourceType":"Appointment","status":"proposed"`))
		var err error
		if (k-skip-1)%perFile == 0 {
			if err = f.close(); err == nil {
				f, err = newPart(filepath.Join(dir, fmt.Sprintf("patients-%06d.ndjson", k)))
			}
		}
		if err == nil {
			err = f.line(text)
		}
		if err != nil {
			return 0, err
		}
		d.patients = k
		if d.resources += bytes.Count(text, []byte(`"fullUrl"`)); d.resources >= size {
			break
		}
	}
	return d.resources - before, f.close()
}

// part is one file under way. A nil one can be closed.
type part struct {
	f *os.File
	w *bufio.Writer
}

func newPart(path string) (*part, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return &part{f, bufio.NewWriterSize(f, 1<<20)}, nil
}

func (p *part) line(text []byte) error {
	if _, err := p.w.Write(text); err != nil {
		return err
	}
	return p.w.WriteByte('\n')
}

// close may be called twice.
func (p *part) close() error {
	if p == nil || p.f == nil {
		return nil
	}
	err := p.w.Flush()
	if e := p.f.Close(); err == nil {
		err = e
	}
	p.f = nil
	return err
}
