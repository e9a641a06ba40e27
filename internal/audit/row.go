package audit

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/ident"
)

// Row is an entry as it is stored: what is filtered by in clear, all else in Body, which is sealed. Nothing in clear is about a
// person but numbers and the name that the audit gives who acted.
type Row struct {
	Pos      int64 // with ID, the order of commits; the ledger gives it
	ID       int64
	Tenant   int32
	Kind     Kind
	Outcome  Outcome
	Action   string
	Who      string
	Type     string
	Num, VID int64
	Patient  int64  // the only patient; 0: none or several
	Patients []byte // several: their numbers, in order, 8 bytes each; each is a row of audit_patient too
	Count    int64
	Body     []byte
}

// Time is when the entry was noted, to the millisecond.
func (r *Row) Time() time.Time { return ident.Time(r.ID) }

// SealFunc seals bytes by the tenant's key; what names the place that they stand in. OpenFunc opens them.
type (
	SealFunc func(what string, plain []byte) ([]byte, error)
	OpenFunc func(what string, sealed []byte) ([]byte, error)
)

// Encode makes the row of an entry that has an ID.
func Encode(e *Entry, seal SealFunc) (Row, error) {
	r := Row{ID: e.ID, Tenant: e.Tenant, Kind: e.Kind, Outcome: e.Outcome, Action: e.Action, Who: e.Who, Type: e.Type, Num: e.Num, VID: e.VID, Count: int64(e.Count)}
	r.setPatients(e.Patients)
	var err error
	r.Body, err = seal(r.place(), appendBody(make([]byte, 0, 160), e))
	return r, err
}

// maxPatients is how many patients one entry names; an act about more says how many in Count, and each is found by its own entries.
const maxPatients = 1000

func (r *Row) setPatients(nums []int64) {
	if len(nums) > 1 {
		nums = slices.Clone(nums)
		slices.Sort(nums)
		nums = slices.Compact(nums)
	}
	switch {
	case len(nums) == 1:
		r.Patient = nums[0]
	case len(nums) > 1:
		for _, n := range nums[:min(len(nums), maxPatients)] {
			r.Patients = binary.BigEndian.AppendUint64(r.Patients, uint64(n))
		}
	}
}

// EachPatient calls f for every patient of an entry that is about several.
func (r *Row) EachPatient(f func(num int64)) {
	for b := r.Patients; len(b) >= 8; b = b[8:] {
		f(int64(binary.BigEndian.Uint64(b)))
	}
}

// The members of a body, each written as its tag, a uvarint length, and the bytes.
const (
	tagName = 1 + iota
	tagClient
	tagSession
	tagPurpose
	tagAddress
	tagRequest
	tagQuery
	tagDetail
	tagSeverity
)

// bodyVersion begins every body.
const bodyVersion = 1

func appendBody(b []byte, e *Entry) []byte {
	b = append(b, bodyVersion)
	text := func(tag byte, s string) {
		if s != "" {
			b = append(binary.AppendUvarint(append(b, tag), uint64(len(s))), s...)
		}
	}
	text(tagName, e.Name)
	text(tagClient, e.Client)
	if e.Session != 0 {
		b = binary.BigEndian.AppendUint64(append(b, tagSession, 8), uint64(e.Session))
	}
	text(tagPurpose, e.Purpose)
	text(tagAddress, e.Address)
	text(tagRequest, e.Request)
	text(tagQuery, e.Query)
	text(tagDetail, e.Detail)
	text(tagSeverity, e.Severity)
	return b
}

// errBody is what a body gets that this program did not write.
func errBody(err error) error {
	return fault.New(fault.Internal, "the body of an audit entry cannot be read: it was changed").Because(err)
}

// legacy begins the body of an entry from before bodies were sealed: the request's id, a zero byte, and the address follow, as they
// stood in clear. Such entries have position 0, and are covered by the first blocks.
const legacy = 0

// Sealed reports whether the body is one that a key sealed.
func (r *Row) Sealed() bool { return r.Pos != 0 || len(r.Body) > 0 && r.Body[0] != legacy }

// Decode opens the row. An entry whose body or clear columns were changed does not open; what stands in clear is returned with the error.
func (r *Row) Decode(open OpenFunc) (Entry, error) {
	e := Entry{ID: r.ID, Tenant: r.Tenant, Kind: r.Kind, Action: r.Action, Outcome: r.Outcome, Who: r.Who, Type: r.Type, Num: r.Num, VID: r.VID, Count: int(r.Count)}
	if r.Patient != 0 {
		e.Patients = []int64{r.Patient}
	}
	r.EachPatient(func(n int64) { e.Patients = append(e.Patients, n) })
	if !r.Sealed() {
		e.Request, e.Address = legacyBody(r.Body)
		return e, nil
	}
	plain, err := open(r.place(), r.Body)
	if err != nil {
		return e, errBody(err)
	}
	return e, readBody(plain, &e)
}

func legacyBody(b []byte) (request, address string) {
	if len(b) > 0 {
		b = b[1:]
	}
	if i := slices.Index(b, 0); i >= 0 {
		return string(b[:i]), string(b[i+1:])
	}
	return string(b), ""
}

func readBody(b []byte, e *Entry) error {
	if len(b) == 0 || b[0] != bodyVersion {
		return errBody(fmt.Errorf("audit: unknown form"))
	}
	for b = b[1:]; len(b) > 0; {
		tag := b[0]
		n, used := binary.Uvarint(b[1:])
		if used <= 0 || n > uint64(len(b)-1-used) {
			return errBody(fmt.Errorf("audit: cut off"))
		}
		value := b[1+used : 1+used+int(n)]
		b = b[1+used+int(n):]
		e.set(tag, value)
	}
	return nil
}

// set takes one member of a body; those of later programs are passed over.
func (e *Entry) set(tag byte, value []byte) {
	switch tag {
	case tagName:
		e.Name = string(value)
	case tagClient:
		e.Client = string(value)
	case tagSession:
		if len(value) == 8 {
			e.Session = int64(binary.BigEndian.Uint64(value))
		}
	case tagPurpose:
		e.Purpose = string(value)
	case tagAddress:
		e.Address = string(value)
	case tagRequest:
		e.Request = string(value)
	case tagQuery:
		e.Query = string(value)
	case tagDetail:
		e.Detail = string(value)
	case tagSeverity:
		e.Severity = string(value)
	}
}

// place names where the body stands: everything of the row in clear but its position, so that a body opens with its own columns alone.
func (r *Row) place() string {
	return string(r.appendClear(append(make([]byte, 0, 128), "audit.entry\x00"...)))
}

// appendClear appends the columns in clear, without the position, in one form: numbers as 8 bytes, big end first; texts and bytes behind
// their length, 8 bytes as well.
func (r *Row) appendClear(b []byte) []byte {
	for _, n := range [...]int64{r.ID, int64(r.Tenant), int64(r.Kind), int64(r.Outcome), r.Num, r.VID, r.Patient, r.Count} {
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	for _, s := range [...]string{r.Action, r.Who, r.Type} {
		b = append(binary.BigEndian.AppendUint64(b, uint64(len(s))), s...)
	}
	return append(binary.BigEndian.AppendUint64(b, uint64(len(r.Patients))), r.Patients...)
}

// appendStored appends the whole row in the one form that blocks are made over: position, columns in clear, and the body as it is stored.
func (r *Row) appendStored(b []byte) []byte {
	b = r.appendClear(binary.BigEndian.AppendUint64(b, uint64(r.Pos)))
	return append(binary.BigEndian.AppendUint64(b, uint64(len(r.Body))), r.Body...)
}
