package web

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/nilecare/nilecare/internal/fault"
)

// openedBody reads a compressed body opened, up to a limit of opened bytes, so that a small body cannot become a huge one.
type openedBody struct {
	coding string
	inner  io.ReadCloser // as sent
	from   io.Reader     // opened
	left   int64
	limit  int64
	pool   *sync.Pool
	codec  any // what goes back to the pool
	err    error
}

// open returns the opened body of one of the codings gzip, zstd and deflate (zlib's format is what RFC 9110 means by it;
// what many send is bare deflate: both are read).
func (c *codecs) open(coding string, body io.ReadCloser, limit int64) (*openedBody, error) {
	o := &openedBody{coding: strings.ToLower(strings.TrimSpace(coding)), inner: body, left: limit, limit: limit}
	var err error
	switch o.coding {
	case "gzip", "x-gzip":
		r := c.gunzip.Get().(*gzip.Reader)
		o.pool, o.codec, o.from = &c.gunzip, r, r
		err = r.Reset(body)
	case "zstd":
		r := c.unzstd.Get().(*zstd.Decoder)
		o.pool, o.codec, o.from = &c.unzstd, r, r
		err = r.Reset(body)
	case "deflate":
		r := c.inflate.Get().(io.ReadCloser)
		o.pool, o.codec, o.from = &c.inflate, r, r
		in := bufio.NewReader(body)
		skipZlibHeader(in)
		err = r.(flate.Resetter).Reset(in, nil)
	default:
		return nil, fault.New(fault.UnsupportedMedia, "Content-Encoding %.40q is not one of zstd, gzip, deflate", coding)
	}
	if err != nil {
		o.release()
		return nil, o.told(err)
	}
	return o, nil
}

// skipZlibHeader passes over the two bytes of RFC 1950 where they stand. Its checksum at the end is left unread: what
// follows the last deflate block is not asked for.
func skipZlibHeader(in *bufio.Reader) {
	h, err := in.Peek(2)
	if err == nil && h[0]&0x0f == 8 && (uint(h[0])<<8|uint(h[1]))%31 == 0 && h[1]&0x20 == 0 {
		// Two bytes were seen: they can be discarded.
		_, _ = in.Discard(2)
	}
}

// Read implements io.Reader.
func (o *openedBody) Read(p []byte) (int, error) {
	if o.err != nil {
		return 0, o.err
	}
	if int64(len(p)) > o.left+1 {
		p = p[:o.left+1]
	}
	n, err := o.from.Read(p)
	if int64(n) > o.left {
		n = int(o.left)
		err = &http.MaxBytesError{Limit: o.limit}
	}
	o.left -= int64(n)
	if err != nil && err != io.EOF {
		err = o.told(err)
	}
	o.err = err
	return n, err
}

// told says which of the reader's errors are the sender's fault.
func (o *openedBody) told(err error) error {
	var big *http.MaxBytesError
	if errors.As(err, &big) {
		return err
	}
	if errors.Is(err, zstd.ErrWindowSizeExceeded) || errors.Is(err, zstd.ErrDecoderSizeExceeded) {
		return &http.MaxBytesError{Limit: o.limit}
	}
	return fault.New(fault.Invalid, "the body is no valid %s", o.coding).WithCode("structure").Because(err)
}

// Close implements io.Closer.
func (o *openedBody) Close() error { return o.inner.Close() }

// release gives the decompressor back; nothing may read any more.
func (o *openedBody) release() {
	if o.codec == nil {
		return
	}
	o.err = http.ErrBodyReadAfterClose
	if d, ok := o.codec.(*zstd.Decoder); ok {
		// Only to drop its reference to the body.
		_ = d.Reset(nil)
	}
	o.pool.Put(o.codec)
	o.codec, o.from = nil, nil
}
