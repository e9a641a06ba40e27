package web

import "sync"

// maxKept is the largest buffer that goes back to the pool: one huge answer must not stay in memory for good.
const maxKept = 1 << 20

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4096); return &b }}

// GetBuffer lends an empty buffer to build an answer in; give it back with [PutBuffer] when the answer is written.
func GetBuffer() *[]byte {
	b := buffers.Get().(*[]byte)
	*b = (*b)[:0]
	return b
}

// PutBuffer takes a lent buffer back. Nothing may use its bytes any more.
func PutBuffer(b *[]byte) {
	if b != nil && cap(*b) <= maxKept {
		buffers.Put(b)
	}
}
