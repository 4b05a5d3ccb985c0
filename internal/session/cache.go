package session

import (
	"sync"
	"time"

	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/store"
)

// cache keeps the sessions that were asked for lately, in two generations: when
// the young one is full it becomes the old one, and what was in the old one is
// forgotten. It holds at most cacheMax bytes.
//
// A change made on this node is taken out by whoever makes it, before the call
// that makes it returns. Changes made on other nodes are found by polling.
type cache struct {
	mu         sync.Mutex
	young, old map[[32]byte]cached
	hashes     map[id.Session][32]byte
	epoch      uint64    // rises with every removal
	polled     time.Time // when the last good poll began; zero: never
}

type cached struct {
	session Session
	entered map[id.Org]bool // organizations that it has entered; guarded by mu
}

const (
	half       = cacheMax / cacheEntry / 2
	enteredMax = 8 // organizations remembered for one session
)

// find gives the cached session.
func (c *cache) find(hash [32]byte) (Session, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.young[hash]
	if !ok {
		if v, ok = c.old[hash]; ok {
			c.put(hash, v)
		}
	}
	return v.session, ok
}

// put keeps v; mu is held.
func (c *cache) put(hash [32]byte, v cached) {
	if c.young == nil {
		c.young, c.hashes = map[[32]byte]cached{}, map[id.Session][32]byte{}
	}
	if _, have := c.young[hash]; !have && len(c.young) >= half {
		for h, v := range c.old {
			if _, have := c.young[h]; !have && c.hashes[v.session.ID] == h {
				delete(c.hashes, v.session.ID)
			}
		}
		c.old, c.young = c.young, map[[32]byte]cached{}
	}
	c.young[hash] = v
	c.hashes[v.session.ID] = hash
}

// at gives the number to hand to keep: a row read before a removal must not
// be kept after it.
func (c *cache) at() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.epoch
}

// keep remembers a session read at the epoch.
func (c *cache) keep(hash [32]byte, s Session, epoch uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.epoch == epoch {
		c.put(hash, cached{session: s, entered: map[id.Org]bool{}})
	}
}

// entered reports whether the cached session is known to have entered the organization.
func (c *cache) entered(s id.Session, org id.Org) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	h, ok := c.hashes[s]
	if !ok {
		return false
	}
	v, ok := c.young[h]
	if !ok {
		v = c.old[h]
	}
	return v.entered[org]
}

// enter remembers, of a cached session, what was read or written at the epoch.
func (c *cache) enter(s id.Session, org id.Org, epoch uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h, ok := c.hashes[s]
	if !ok || c.epoch != epoch {
		return
	}
	for _, m := range []map[[32]byte]cached{c.young, c.old} {
		if v, ok := m[h]; ok && len(v.entered) < enteredMax {
			v.entered[org] = true
			return
		}
	}
}

// get gives the cached session by its id.
func (c *cache) get(s id.Session) (Session, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h, ok := c.hashes[s]
	if !ok {
		return Session{}, false
	}
	v, ok := c.young[h]
	if !ok {
		v, ok = c.old[h]
	}
	return v.session, ok
}

// seen moves the last request of a cached session.
func (c *cache) seen(hash [32]byte, at time.Time, pause time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range []map[[32]byte]cached{c.young, c.old} {
		if v, ok := m[hash]; ok && v.session.Seen.Before(at) {
			v.session.Seen, v.session.Pause = at, pause
			m[hash] = v
		}
	}
}

// drop forgets the sessions.
func (c *cache) drop(ids ...id.Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch++
	for _, s := range ids {
		if h, ok := c.hashes[s]; ok {
			delete(c.young, h)
			delete(c.old, h)
			delete(c.hashes, s)
		}
	}
}

// trusted reports whether the cache may be believed: always where this process
// is the only one, else while polls succeed.
func (c *cache) trusted(now time.Time, engine store.Engine) bool {
	if engine == store.SQLite {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.polled.IsZero() && now.Sub(c.polled) < pollLimit
}

func (c *cache) compared(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.polled = at
}
