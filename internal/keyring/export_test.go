package keyring

import (
	"context"

	"github.com/rempart/rempart/internal/id"
)

// OpenVector opens a published vector on the path that Open takes.
func OpenVector(key, nonce, ct, tag, aad []byte) ([]byte, error) {
	return newGCM(key).Open(nil, nil, append(append(append([]byte(nil), nonce...), ct...), tag...), aad)
}

// LoneRing is a ring with one key, for benchmarks of sealing alone.
func LoneRing(o Owner, kid id.DataKey) *Ring {
	k := newDataKey(kid, 1, newKey())
	k.left.Store(1 << 60)
	return newRing([]*ownerKeys{{owner: o, active: k, versions: []*dataKey{k}, index: newIndexKey(newKey())}})
}

// Spend leaves the owner's cached key only n uses.
func (s *Service) Spend(o Owner, n int64) { s.cache.get(o).active.left.Store(n) }

// Blocks tells the uses left of the owner's cached key.
func (s *Service) Blocks(o Owner) int64 { return s.cache.get(o).active.left.Load() }

const (
	SmallChange = smallChange
	Block       = block
)

// Poll is one look of Watch.
func (s *Service) Poll(ctx context.Context) error { return s.poll(ctx) }

// ParseObjectName tells whether a name is one of an object at the second place.
func ParseObjectName(name string) bool { _, ok := parseObject(name); return ok }
