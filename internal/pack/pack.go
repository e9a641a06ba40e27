package pack

import (
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/nilecare/nilecare/internal/fault"
)

// MaxSize is the largest body in bytes that any [Codec.Unpack] gives back, whatever limit it is called with.
const MaxSize = 256 << 20

// window is how far back the encoder looks beyond the dictionary. Bodies are a few KB; a larger window only costs memory.
const window = 128 << 10

// slack is room behind a body that lets the decoder copy in whole words.
const slack = 32

//go:embed fhir1.dict
var fhir1 []byte

// dictionaries returns every dictionary ever released, the one to pack with last.
func dictionaries() [][]byte { return [][]byte{fhir1} }

// ErrCorrupt is the cause of every failure to unpack other than a body over the limit.
var ErrCorrupt = errors.New("pack: not a packed body")

// Codec packs and unpacks. It is safe for concurrent use; one serves the whole program. Idle encoders, about 1 MB each, are given
// back to the garbage collector.
type Codec struct {
	encoders sync.Pool
	decoder  *zstd.Decoder
}

// New returns a codec of all dictionaries.
func New() (*Codec, error) {
	dicts := dictionaries()
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderDicts(dicts...), zstd.WithDecoderConcurrency(0),
		zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(MaxSize), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		return nil, fmt.Errorf("pack: decoder: %w", err)
	}
	newest := dicts[len(dicts)-1]
	// One is made now, so that a bad dictionary shows at the start and not at the first write.
	first, err := newEncoder(newest)
	if err != nil {
		return nil, fmt.Errorf("pack: encoder: %w", err)
	}
	c := &Codec{decoder: decoder}
	c.encoders.New = func() any {
		e, err := newEncoder(newest)
		if err != nil {
			panic("pack: the dictionary was good at the start: " + err.Error())
		}
		return e
	}
	c.encoders.Put(first)
	return c, nil
}

// newEncoder leaves the checksum out, because bodies are sealed and their digests kept, which is stronger.
func newEncoder(dict []byte) (*zstd.Encoder, error) {
	return zstd.NewWriter(nil, zstd.WithEncoderDict(dict), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(window), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false), zstd.WithSingleSegment(true), zstd.WithZeroFrames(true))
}

// Pack appends the packed form of plain to dst and returns the whole. The same plain gives the same bytes within one release, but
// not for ever: compare bodies by digests of the plain form.
func (c *Codec) Pack(dst, plain []byte) []byte {
	e := c.encoders.Get().(*zstd.Encoder)
	dst = e.EncodeAll(plain, dst)
	c.encoders.Put(e)
	return dst
}

// Unpack appends the body that packed holds to dst and returns the whole. A body of more than limit bytes is a fault of kind TooLarge, found
// before any room is taken for it; anything that [Codec.Pack] did not make is a fault of kind Internal with the cause [ErrCorrupt].
func (c *Codec) Unpack(dst, packed []byte, limit int) ([]byte, error) {
	size, err := unpackedSize(packed)
	if err != nil {
		return nil, corrupt(err)
	}
	if limit = min(max(limit, 0), MaxSize); size > uint64(limit) {
		return nil, fault.New(fault.TooLarge, "a stored body has %d bytes, more than the limit of %d", size, limit)
	}
	// The decoder writes no further than the capacity that it is given, whatever stands behind the first frame.
	start, room := len(dst), int(size)+slack
	dst = slices.Grow(dst, room)
	out, err := c.decoder.DecodeAll(packed, dst[:start:start+room])
	if err != nil {
		return nil, corrupt(err)
	}
	if uint64(len(out)-start) != size {
		return nil, corrupt(errors.New("its length is not the promised one"))
	}
	return out, nil
}

// unpackedSize reads the length that the frame promises; Pack always states it.
func unpackedSize(packed []byte) (uint64, error) {
	var h zstd.Header
	if err := h.Decode(packed); err != nil {
		return 0, err
	}
	if h.Skippable || !h.HasFCS {
		return 0, errors.New("it does not state its length")
	}
	return h.FrameContentSize, nil
}

func corrupt(err error) error {
	return fault.New(fault.Internal, "a stored body cannot be unpacked").Because(errors.Join(ErrCorrupt, err))
}
