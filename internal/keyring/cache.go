package keyring

import (
	"container/list"
	"sync"
)

// CacheStats counts what the cache of opened keys did.
type CacheStats struct {
	Owners    int    `json:"owners"`
	Limit     int    `json:"limit"`
	Hits      uint64 `json:"hits"`
	Misses    uint64 `json:"misses"`
	Evictions uint64 `json:"evictions"`
}

// cache holds the opened keys of the owners last used. Its generation rises
// whenever something is dropped, so that a load that began before does not put
// back what was dropped meanwhile.
type cache struct {
	mu    sync.Mutex
	limit int
	byOwn map[Owner]*list.Element
	order list.List // newest first, of *ownerKeys
	gen   uint64
	stats CacheStats
	spent []*dataKey // evicted with uses that no block covers, to be counted
}

func (c *cache) init(limit int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if limit <= 0 {
		limit = defaultCached
	}
	c.limit, c.byOwn = limit, map[Owner]*list.Element{}
	c.order.Init()
}

func (c *cache) get(o Owner) *ownerKeys {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byOwn[o]
	if !ok {
		c.stats.Misses++
		return nil
	}
	c.stats.Hits++
	c.order.MoveToFront(e)
	return e.Value.(*ownerKeys)
}

func (c *cache) generation() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gen
}

// put keeps k, unless something was dropped since gen. It answers what is to
// be used: another load may have been first, and its counters count.
func (c *cache) put(gen uint64, k *ownerKeys) *ownerKeys {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byOwn[k.owner]; ok {
		return e.Value.(*ownerKeys)
	}
	if gen != c.gen {
		return k
	}
	c.byOwn[k.owner] = c.order.PushFront(k)
	for c.order.Len() > c.limit {
		c.remove(c.order.Back())
		c.stats.Evictions++
	}
	return k
}

func (c *cache) remove(e *list.Element) {
	k := e.Value.(*ownerKeys)
	c.order.Remove(e)
	delete(c.byOwn, k.owner)
	if k.active != nil && !k.active.blocked.Load() && k.active.left.Load() < smallChange {
		c.spent = append(c.spent, k.active)
	}
}

// drop forgets the owner and whoever's keys are wrapped under its.
func (c *cache) drop(o Owner) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gen++
	var next *list.Element
	for e := c.order.Front(); e != nil; e = next {
		next = e.Next()
		if k := e.Value.(*ownerKeys); k.owner == o || k.isBound && k.bound == o {
			c.remove(e)
		}
	}
}

// reset forgets everything.
func (c *cache) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gen++
	for c.order.Len() > 0 {
		c.remove(c.order.Back())
	}
}

// uncounted takes the uses that no block covers, by key.
func (c *cache) uncounted() []*dataKey {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.spent
	c.spent = nil
	for e := c.order.Front(); e != nil; e = e.Next() {
		k := e.Value.(*ownerKeys).active
		if k != nil && !k.blocked.Load() && k.left.Load() < smallChange {
			out = append(out, k)
		}
	}
	return out
}

func (c *cache) counters() CacheStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.stats
	out.Owners, out.Limit = c.order.Len(), c.limit
	return out
}
