package audit

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"
)

// Anchor is a signed checkpoint, kept outside of the database: that the chain of a tenant had come to this block at this time. It
// is how a chain is found out that was cut off, blocks included, or made anew with another key.
type Anchor struct {
	Tenant    int32     `json:"tenant"`
	Block     int64     `json:"block"`
	Total     int64     `json:"entries"` // all entries up to the block
	Time      time.Time `json:"time"`
	Hash      []byte    `json:"hash"`
	Key       int64     `json:"key"`
	Public    []byte    `json:"public"`
	Signature []byte    `json:"signature"` // Ed25519 over signed()
}

// signed is what the signature is over: the line "nilecare audit checkpoint 1\n", tenant, block, entries, microseconds since 1970 and the key's
// number as 8 bytes each, and the block's hash.
func (a *Anchor) signed() []byte {
	b := []byte("nilecare audit checkpoint 1\n")
	for _, n := range [...]int64{int64(a.Tenant), a.Block, a.Total, a.Time.UnixMicro(), a.Key} {
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	return append(b, a.Hash...)
}

// holds reports whether the signature is right.
func (a *Anchor) holds() bool {
	return len(a.Public) == ed25519.PublicKeySize && ed25519.Verify(a.Public, a.signed(), a.Signature)
}

func newAnchor(b *Block, key *signingKey, now time.Time) Anchor {
	a := Anchor{Tenant: b.Tenant, Block: b.Num, Total: b.Total, Time: now.UTC().Truncate(time.Microsecond), Hash: b.Hash, Key: key.num, Public: key.private.Public().(ed25519.PublicKey)}
	a.Signature = ed25519.Sign(key.private, a.signed())
	return a
}

// anchorFile appends anchors to a file, a line of JSON each.
type anchorFile struct {
	mu   sync.Mutex
	path string
}

func (f *anchorFile) append(a Anchor) error {
	line, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("audit: anchors: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	file, err := os.OpenFile(f.path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("audit: anchors: %w", err)
	}
	if cutOff(file) { // by a crash: what follows begins a line of its own
		line = append([]byte{'\n'}, line...)
	}
	_, err = file.Write(append(line, '\n'))
	if err == nil {
		err = file.Sync()
	}
	if e := file.Close(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("audit: anchors: %w", err)
	}
	return nil
}

// cutOff reports whether the file's last line is not whole.
func cutOff(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return false
	}
	var last [1]byte
	_, err = f.ReadAt(last[:], info.Size()-1)
	return err == nil && last[0] != '\n'
}

// ReadAnchors reads a file of anchors: those of a tenant, in their order. A file that is not there has none. bad counts the lines that are
// no anchors: a crash leaves one at most, cut off.
func ReadAnchors(path string, tenant int32) (anchors []Anchor, bad int, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("audit: anchors: %w", err)
	}
	defer f.Close()
	return parseAnchors(f, tenant)
}

func parseAnchors(r io.Reader, tenant int32) (anchors []Anchor, bad int, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 4096), 1<<16)
	for lines.Scan() {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		var a Anchor
		if json.Unmarshal(lines.Bytes(), &a) != nil {
			bad++
		} else if a.Tenant == tenant {
			anchors = append(anchors, a)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, 0, fmt.Errorf("audit: anchors: %w", err)
	}
	return anchors, bad, nil
}
