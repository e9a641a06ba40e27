package flat

import (
	"time"

	"github.com/nilecare/nilecare/internal/ident"
)

// createdAt is the time in a record's number. A record whose id a client chose before it stood got its number when it was first referred to.
func createdAt(num int64) time.Time { return ident.Time(num) }
