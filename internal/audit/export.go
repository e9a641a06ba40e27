package audit

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// An export is a file of lines, each a JSON object with one member that says what it is: "audit" (the head), "key", "block" (its entries
// follow), "entry" as it is stored, "patient" (a row of audit_patient), "anchor", and "end", which counts the lines before it. It can be
// verified without the database and without any key; what is sealed in it stays sealed.

type exportHead struct {
	Version int       `json:"version"`
	Tenant  int32     `json:"tenant"`
	Time    time.Time `json:"time"`
}

type exportEntry struct {
	Pos      int64  `json:"pos"`
	ID       int64  `json:"id"`
	Kind     uint8  `json:"kind"`
	Outcome  uint8  `json:"outcome"`
	Action   string `json:"action"`
	Who      string `json:"who"`
	Type     string `json:"type,omitempty"`
	Num      int64  `json:"num,omitempty"`
	VID      int64  `json:"vid,omitempty"`
	Patient  int64  `json:"patient,omitempty"`
	Patients []byte `json:"patients,omitempty"`
	Count    int64  `json:"count,omitempty"`
	Body     []byte `json:"body"`
}

type exportLine struct {
	Head    *exportHead  `json:"audit,omitempty"`
	Key     *PublicKey   `json:"key,omitempty"`
	Block   *Block       `json:"block,omitempty"`
	Entry   *exportEntry `json:"entry,omitempty"`
	Patient *[2]int64    `json:"patient,omitempty"`
	Anchor  *Anchor      `json:"anchor,omitempty"`
	End     *int64       `json:"end,omitempty"`
}

type exporter struct {
	w     *bufio.Writer
	lines int64
	err   error
}

func (x *exporter) line(l *exportLine) {
	if x.err != nil {
		return
	}
	b, err := json.Marshal(l)
	if err == nil {
		_, err = x.w.Write(append(b, '\n'))
	}
	x.err = err
	x.lines++
}

func (x *exporter) begin(b *Block) { x.line(&exportLine{Block: b}) }
func (x *exporter) end()           {}
func (x *exporter) entry(r *Row) {
	x.line(&exportLine{Entry: &exportEntry{r.Pos, r.ID, uint8(r.Kind), uint8(r.Outcome), r.Action, r.Who, r.Type, r.Num, r.VID, r.Patient, r.Patients, r.Count, r.Body}})
}
func (x *exporter) patientRow(patient, id int64) {
	x.line(&exportLine{Patient: &[2]int64{patient, id}})
}

// ExportTo writes the whole chain of a tenant, as it is stored, on one snapshot, for [VerifyFile].
func ExportTo(ctx context.Context, s Store, tenant int32, anchors []Anchor, now time.Time, out io.Writer) error {
	x := &exporter{w: bufio.NewWriterSize(out, 1<<16)}
	x.line(&exportLine{Head: &exportHead{1, tenant, now.UTC()}})
	err := s.View(ctx, tenant, func(q sqldb.Querier) error {
		keys, err := readKeys(ctx, q, tenant)
		if err != nil {
			return err
		}
		for i := range keys {
			x.line(&exportLine{Key: &keys[i].PublicKey})
		}
		for i := range anchors {
			x.line(&exportLine{Anchor: &anchors[i]})
		}
		return walk(ctx, q, tenant, x)
	})
	if err != nil {
		return err
	}
	end := x.lines
	x.line(&exportLine{End: &end})
	if x.err == nil {
		x.err = x.w.Flush()
	}
	if x.err != nil {
		return fmt.Errorf("audit: export: %w", x.err)
	}
	return nil
}

// VerifyFile verifies an export. anchors are those kept elsewhere, beside those in the file. Without any, whoever wrote the file could have
// made the whole chain: compare the keys of the report with what the server says, then.
func VerifyFile(ctx context.Context, in io.Reader, anchors []Anchor) (Report, error) {
	f := &fileChecker{given: anchors}
	defer f.abandon()
	lines := bufio.NewReaderSize(in, 1<<20)
	for n := int64(0); ; n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return Report{}, ctx.Err()
		}
		line, err := readLine(lines)
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return f.close()
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return Report{}, fmt.Errorf("audit: %w", err)
		}
		var l exportLine
		if json.Unmarshal(line, &l) != nil {
			if f.c == nil {
				return Report{}, notExport()
			}
			f.c.find(Problem{Block: f.c.blockNum(), What: fmt.Sprintf("line %d of the file cannot be read", n+1)})
			continue
		}
		if err := f.line(&l, n); err != nil {
			return Report{}, err
		}
	}
}

func notExport() error { return fault.New(fault.Invalid, "this is no export of the audit") }

// maxLine bounds a line: a block of 4,096 entries takes 90 kB.
const maxLine = 16 << 20

func readLine(r *bufio.Reader) ([]byte, error) {
	var all []byte
	for {
		part, err := r.ReadSlice('\n')
		if !errors.Is(err, bufio.ErrBufferFull) && all == nil {
			return part, err
		}
		all = append(all, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return all, err
		}
		if len(all) > maxLine {
			return nil, notExport()
		}
	}
}

// fileChecker leads the lines of a file to a checker.
type fileChecker struct {
	c     *checker
	given []Anchor
	ended bool
}

func (f *fileChecker) line(l *exportLine, n int64) error {
	if f.c == nil {
		if l.Head == nil || l.Head.Version != 1 {
			return notExport()
		}
		f.c = newChecker(l.Head.Tenant, nil)
		return nil
	}
	c := f.c
	if f.ended {
		c.find(Problem{What: fmt.Sprintf("line %d stands behind the end of the file", n+1)})
	}
	switch {
	case l.Key != nil:
		c.key(*l.Key)
	case l.Anchor != nil:
		c.anchor(*l.Anchor)
	case l.Block != nil:
		f.endBlock()
		f.anchorsGiven()
		c.begin(l.Block)
	case l.Entry != nil:
		e := l.Entry
		r := &Row{e.Pos, e.ID, c.Tenant, Kind(e.Kind), Outcome(e.Outcome), e.Action, e.Who, e.Type, e.Num, e.VID, e.Patient, e.Patients, e.Count, e.Body}
		if c.block != nil && c.block.mark().before(mark{r.Pos, r.ID}) {
			f.endBlock()
		}
		c.entry(r)
	case l.Patient != nil:
		f.endBlock()
		c.patientRow(l.Patient[0], l.Patient[1])
	case l.End != nil:
		f.endBlock()
		f.ended = true
		if *l.End != n {
			c.find(Problem{What: fmt.Sprintf("the file had %d lines before its end, and has %d", *l.End, n)})
		}
	default:
		c.find(Problem{Block: c.blockNum(), What: fmt.Sprintf("line %d of the file says nothing", n+1)})
	}
	return nil
}

func (f *fileChecker) anchorsGiven() {
	for _, a := range f.given {
		f.c.anchor(a)
	}
	f.given = nil
}

func (f *fileChecker) endBlock() {
	if f.c.block != nil {
		f.c.end()
	}
}

func (f *fileChecker) abandon() {
	if f.c != nil {
		f.c.abandon()
	}
}

func (f *fileChecker) close() (Report, error) {
	if f.c == nil {
		return Report{}, notExport()
	}
	f.endBlock()
	f.anchorsGiven()
	if !f.ended {
		f.c.find(Problem{What: "the file is cut off: it has no end"})
	}
	if f.c.sum != 0 {
		f.c.find(Problem{What: "the rows of audit_patient are not those of the entries"})
	}
	return f.c.finish(), nil
}

// VerifyTo verifies the chain of a tenant against a file of anchors ("" or absent: none) and says the outcome in lines for people. ok is
// false where something was found.
func VerifyTo(ctx context.Context, s Store, tenant int32, anchors string, out io.Writer) (ok bool, err error) {
	var as []Anchor
	bad := 0
	if anchors != "" {
		if as, bad, err = ReadAnchors(anchors, tenant); err != nil {
			return false, err
		}
	}
	r, err := Verify(ctx, s, tenant, as)
	if err != nil {
		return false, err
	}
	if bad > 1 {
		r.find(Problem{What: fmt.Sprintf("%d lines of the file of anchors cannot be read: it was changed", bad)})
	}
	return r.OK(), r.Print(out)
}

// Print says the report in lines for people.
func (r *Report) Print(out io.Writer) error {
	w := bufio.NewWriter(out)
	fmt.Fprintf(w, "tenant %d: %d entries in %d blocks, %d not yet in a block, %d checkpoints\n", r.Tenant, r.Entries, r.Blocks, r.Unsealed, r.Anchors)
	for i := range r.Keys {
		state := "signs"
		if r.Keys[i].Retired {
			state = "out of use"
		}
		fmt.Fprintf(w, "key %d: %s, %s\n", r.Keys[i].Num, r.Keys[i].Fingerprint(), state)
	}
	for _, p := range r.Problems {
		fmt.Fprintf(w, "%s\n", p)
	}
	switch {
	case r.Found > int64(len(r.Problems)):
		fmt.Fprintf(w, "%d problems, of which the first %d are named\n", r.Found, len(r.Problems))
	case r.Found > 0:
		fmt.Fprintf(w, "%d problems\n", r.Found)
	case r.Anchors == 0 && r.Blocks > 0:
		fmt.Fprintf(w, "whole, as far as can be told without checkpoints: a chain that was cut off at its end looks the same\n")
	default:
		fmt.Fprintf(w, "whole\n")
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}
