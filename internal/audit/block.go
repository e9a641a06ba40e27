package audit

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"

	"github.com/nilecare/nilecare/internal/sqldb"
)

// A Block covers the entries of a tenant behind the block before it, up to and with (Pos, ID) in the order of commits.
//
// The hash of an entry is SHA-256 over its row as it is stored (appendStored: position, columns in clear, sealed body; every number
// 8 bytes, big end first, every text behind its length). Leaves holds for each entry its id and the first 8 bytes of its hash, so that a
// verifier can say which one differs. The hash of the block is SHA-256 over the line "nilecare audit block 1\n", then Tenant, Num, Pos, ID,
// Count, Total, MadeAt and Key as 8 bytes each, Prev, SHA-256 of Leaves, and SHA-256 of the entries' whole hashes one behind the other. The
// signature is Ed25519 over that hash.
type Block struct {
	Tenant    int32  `json:"tenant"`
	Num       int64  `json:"num"` // 1, 2, 3 …
	Pos       int64  `json:"pos"`
	ID        int64  `json:"id"`
	Count     int64  `json:"count"`
	Total     int64  `json:"total"`   // entries of this and all blocks before
	MadeAt    int64  `json:"made_at"` // microseconds since 1970
	Key       int64  `json:"key"`     // the number of the key that signed
	Prev      []byte `json:"prev"`    // the hash of the block before; zeros for the first
	Leaves    []byte `json:"leaves"`
	Hash      []byte `json:"hash"`
	Signature []byte `json:"signature"`
}

func (b *Block) mark() mark { return mark{b.Pos, b.ID} }

// leafSize is how many bytes of Leaves stand for an entry; leafHash how many of them are of its hash.
const (
	leafSize = 16
	leafHash = 8
)

func appendLeaf(b []byte, id int64, hash *[sha256.Size]byte) []byte {
	return append(binary.BigEndian.AppendUint64(b, uint64(id)), hash[:leafHash]...)
}

// sum computes the block's hash from its members and the digest of its entries' hashes.
func (b *Block) sum(entries []byte) []byte {
	h := append(make([]byte, 0, 256), "nilecare audit block 1\n"...)
	for _, n := range [...]int64{int64(b.Tenant), b.Num, b.Pos, b.ID, b.Count, b.Total, b.MadeAt, b.Key} {
		h = binary.BigEndian.AppendUint64(h, uint64(n))
	}
	leaves := sha256.Sum256(b.Leaves)
	h = append(append(append(h, b.Prev...), leaves[:]...), entries...)
	out := sha256.Sum256(h)
	return out[:]
}

const blockColumns = "num, pos, id, count, total, made_at, keynum, prev, leaves, hash, signature"

func scanBlock(rows sqldb.Rows, tenant int32, b *Block) error {
	*b = Block{Tenant: tenant}
	return rows.Scan(&b.Num, &b.Pos, &b.ID, &b.Count, &b.Total, &b.MadeAt, &b.Key, &b.Prev, &b.Leaves, &b.Hash, &b.Signature)
}

// lastBlock reads the last block of a tenant; nil where there is none.
func lastBlock(ctx context.Context, q sqldb.Querier, tenant int32) (*Block, error) {
	var b *Block
	err := sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
		b = &Block{}
		return scanBlock(rows, tenant, b)
	}, "SELECT "+blockColumns+" FROM audit_block WHERE tenant = $1 ORDER BY num DESC LIMIT 1", tenant)
	return b, err
}

// blocksAfter reads up to limit blocks behind that number.
func blocksAfter(ctx context.Context, q sqldb.Querier, tenant int32, num int64, limit int) ([]Block, error) {
	var out []Block
	err := sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
		var b Block
		err := scanBlock(rows, tenant, &b)
		out = append(out, b)
		return err
	}, "SELECT "+blockColumns+" FROM audit_block WHERE tenant = $1 AND num > $2 ORDER BY num LIMIT $3", tenant, num, limit)
	return out, err
}

// blockEntries is how many entries a block covers at most.
const blockEntries = 4096

// makeBlock makes the block of the rows that follow prev, unsigned.
func makeBlock(tenant int32, prev *Block, rows []Row) *Block {
	last := &rows[len(rows)-1]
	b := &Block{Tenant: tenant, Num: 1, Pos: last.Pos, ID: last.ID, Count: int64(len(rows)), Total: int64(len(rows)), Prev: make([]byte, sha256.Size)}
	if prev != nil {
		b.Num, b.Total, b.Prev = prev.Num+1, prev.Total+b.Count, prev.Hash
	}
	b.Leaves = make([]byte, 0, len(rows)*leafSize)
	all := sha256.New()
	var buf []byte
	for i := range rows {
		buf = rows[i].appendStored(buf[:0])
		h := sha256.Sum256(buf)
		_, _ = all.Write(h[:])
		b.Leaves = appendLeaf(b.Leaves, rows[i].ID, &h)
	}
	b.Hash = all.Sum(nil) // for sign, which makes the block's own of it
	return b
}

// sign gives the block its time and key, its hash and its signature.
func (b *Block) sign(key *signingKey, now int64) {
	b.Key, b.MadeAt = key.num, now
	b.Hash = b.sum(b.Hash)
	b.Signature = ed25519.Sign(key.private, b.Hash)
}

func (b *Block) insert(ctx context.Context, tx sqldb.Tx) error {
	_, err := tx.Exec(ctx, "INSERT INTO audit_block (tenant, "+blockColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
		b.Tenant, b.Num, b.Pos, b.ID, b.Count, b.Total, b.MadeAt, b.Key, b.Prev, b.Leaves, b.Hash, b.Signature)
	return err
}

// same reports that both are the same block, as far as the chain tells.
func (b *Block) same(o *Block) bool { return b.Num == o.Num && bytes.Equal(b.Hash, o.Hash) }
