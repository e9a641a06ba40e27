package record

import (
	"context"
	"io/fs"
	"slices"

	"github.com/nilecare/nilecare/internal/audit"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// Tx is the transaction that a change is made in.
type Tx = sqldb.Tx

// Engine is a database that holds the record. Package record writes the statements that both engines share; an engine adds
// transactions, bulk writing, and where the two databases differ.
type Engine interface {
	// View runs f on one consistent snapshot.
	View(ctx context.Context, tenant int32, f func(sqldb.Querier) error) error
	// Read runs f, which asks a single statement, on the last commit.
	Read(ctx context.Context, tenant int32, f func(sqldb.Querier) error) error
	// Commit runs the job in a transaction, perhaps together with others, and returns once it is durable. A job that fails
	// leaves nothing behind. A body whose key is marked as destroyed is refused with [ErrErased]; the mark cannot come between the
	// look and the commit.
	Commit(ctx context.Context, tenant int32, job *Job) error
	// Settled returns an event id up to which every event is committed, or never will be, and the largest that was given out by then. A database whose
	// transactions commit in the order of their ids has the two alike.
	Settled(ctx context.Context) (settled, last int64, err error)
	// Dialect says where the statements must differ.
	Dialect() Dialect
	// Node is the number of this process among those that write to the database; Last a number not below any given out.
	Node() int
	Last() int64
	// Migrate brings the tables of a module forward, by the files of fsys below the engine's own name ("sqlite", "postgres").
	Migrate(ctx context.Context, module string, fsys fs.FS) error
	// Scrub makes sure, as far as the database allows, that deleted rows cannot be read from its files any more.
	Scrub(ctx context.Context) error
	// Size returns the bytes that the database takes on disk.
	Size(ctx context.Context) (int64, error)
	Close() error
}

// Dialect is the few expressions in which the databases differ.
type Dialect struct {
	// Contains is true where the bytes of the first expression contain those of the second.
	Contains func(haystack, needle string) string
	// Join joins tables in the order in which they are written, where a planner can be told so.
	Join string
	// Probe stands at the end of a subquery that is to stay a look-up a row: planners without statistics make it a join otherwise.
	Probe string
	// Bytes is the bytes of a text.
	Bytes func(text string) string
	// Ordered turns bytes into a value that has min, max and the same order.
	Ordered func(bytes string) string
	// AfterRestore is run after all rows of a backup are in.
	AfterRestore []string
	// ForUpdate stands behind a SELECT whose rows nobody else may change before the transaction ends.
	ForUpdate string
	// Shared says that several processes may have the database open at a time.
	Shared bool
}

// Job is a set of changes for one transaction.
type Job struct {
	// Solo says that Run reads what a group of jobs may not have written yet, or asks rules that write: it gets a
	// transaction of its own, where that makes a difference.
	Solo bool
	// First stands for the first record that Run locks, 0 for none. All jobs lock in the same order; an engine that runs several
	// in one transaction runs them in the order of First.
	First int64
	// Run checks and returns what to write. It may be called more than once, each time in a transaction that has seen nothing of
	// the time before.
	Run func(ctx context.Context, tx Tx) (*Rows, error)
}

// Rows is what a job writes.
type Rows struct {
	Tenant   int32
	Keys     []KeyRow
	Records  []RecordRow
	Versions []VersionRow
	Audit    AuditRow
	Add, Del Index
}

// RecordRow is the current state of a resource. New says that there is no row yet.
type RecordRow struct {
	Type     int
	Num, Seq int64
	VID      int64
	Deleted  bool
	FID      string // "": Num in decimal
	New      bool
}

// VersionRow is one version. Each makes an event row as well.
type VersionRow struct {
	Seq, Num, VID int64
	Type          int
	Op            Op
	KeyNum        int64
	Body          []byte // nil: a tombstone
	Audit         int64  // AuditRow.ID; engines set it
}

// SealedBy returns the numbers of the keys that seal the bodies of r, those of patients alone, in order.
func (r *Rows) SealedBy() []int64 {
	var nums []int64
	for i := range r.Versions {
		if v := &r.Versions[i]; v.Body != nil && v.KeyNum > 0 {
			nums = append(nums, v.KeyNum)
		}
	}
	slices.Sort(nums)
	return slices.Compact(nums)
}

// KeyRow is a new data key.
type KeyRow struct {
	Num       int64
	Parent    int64 // of the key that wraps it
	Wrapped   []byte
	CreatedAt int64
}

// AuditRow says who changed what from where: an entry of the audit.
type AuditRow = audit.Row

// Index is rows of the search index. Val of a blind atom is its keyed hash already.
type Index struct {
	Text []IdxText
	Ref  []IdxRef
	Date []IdxDate
	Num  []IdxNum
}

// IdxText is a row of idx_text.
type IdxText struct {
	Atom     uint32
	Val      string
	Num, Sub int64
}

// IdxRef is a row of idx_ref.
type IdxRef struct {
	Target int64
	Atom   uint32
	Num    int64
}

// IdxDate is a row of idx_date.
type IdxDate struct {
	Atom        uint32
	Wide        bool
	Lo, Hi, Num int64
}

// IdxNum is a row of idx_num.
type IdxNum struct {
	Atom         uint32
	Wide         bool
	Lo, Hi       float64
	Num          int64
	System, Code int64
}

// Len counts the rows.
func (x *Index) Len() int { return len(x.Text) + len(x.Ref) + len(x.Date) + len(x.Num) }

// add appends the rows of y.
func (x *Index) add(y *Index) {
	x.Text = append(x.Text, y.Text...)
	x.Ref = append(x.Ref, y.Ref...)
	x.Date = append(x.Date, y.Date...)
	x.Num = append(x.Num, y.Num...)
}

// Merge appends what r writes, but for its audit row, which stays with the caller.
func (r *Rows) Merge(o *Rows) {
	r.Keys = append(r.Keys, o.Keys...)
	r.Records = append(r.Records, o.Records...)
	r.Versions = append(r.Versions, o.Versions...)
	r.Add.add(&o.Add)
	r.Del.add(&o.Del)
}
