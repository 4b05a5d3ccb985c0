package verify

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"sync"

	"github.com/rempart/rempart/internal/tlog"
)

// Bounds that keep memory independent of the size of an export.
const (
	batchLines   = 256
	batchBytes   = 256 << 10
	maxWorkers   = 8
	maxPending   = 1 << 20 // entries referred to and not yet seen
	maxRanges    = 1000
	maxProblems  = 100
	readerBuffer = 64 << 10
)

// errLine: a line is longer than MaxLine.
var errLine = errors.New("a line is longer than the format allows")

// readLine appends the next line to dst, without its newline. At the end of
// the file it returns io.EOF with what was left without a newline.
func readLine(r *bufio.Reader, dst []byte) ([]byte, error) {
	for {
		chunk, err := r.ReadSlice('\n')
		if len(dst)+len(chunk) > MaxLine {
			return dst, errLine
		}
		dst = append(dst, chunk...)
		switch {
		case err == nil:
			return dst[:len(dst)-1], nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return dst, err
		}
	}
}

// batch is a run of lines on its way from the reader, through a worker, to the
// tree.
type batch struct {
	buf     []byte // the lines, one after the other
	ends    []int
	line    []byte // scratch of fill
	records []record
	done    chan struct{}
	err     error // why reading ended after these lines
}

// eachRecord reads the lines that are left and gives them to fn in order,
// decoded and hashed by as many workers as there are cores: leaves are
// independent of each other, and ten million of them are worth it. No goroutine
// outlives the call. It returns the error that ended reading;
// io.EOF is none. A last line without newline is an error.
func eachRecord(r *bufio.Reader, origin string, fn func(*record)) error {
	workers := min(runtime.GOMAXPROCS(0), maxWorkers)
	work := make(chan *batch, workers)
	order := make(chan *batch, workers)
	free := make(chan *batch, 2*workers+2)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			d := decoder{origin: origin}
			for b := range work {
				b.records = b.records[:0]
				from := 0
				for _, to := range b.ends {
					b.records = append(b.records, record{})
					d.line(b.buf[from:to], &b.records[len(b.records)-1])
					from = to
				}
				b.done <- struct{}{}
			}
		})
	}
	wg.Go(func() {
		defer close(order)
		defer close(work)
		for {
			var b *batch
			select {
			case b = <-free:
			default:
				b = &batch{done: make(chan struct{}, 1)}
			}
			b.fill(r)
			work <- b
			order <- b
			if b.err != nil {
				return
			}
		}
	})
	var end error
	for b := range order {
		<-b.done
		for i := range b.records {
			fn(&b.records[i])
		}
		end = b.err
		select {
		case free <- b:
		default:
		}
	}
	wg.Wait()
	if errors.Is(end, io.EOF) {
		return nil
	}
	return end
}

func (b *batch) fill(r *bufio.Reader) {
	b.buf, b.ends, b.err = b.buf[:0], b.ends[:0], nil
	for len(b.ends) < batchLines && len(b.buf) < batchBytes {
		line, err := readLine(r, b.line[:0])
		b.line = line
		if err != nil {
			if b.err = err; errors.Is(err, io.EOF) && len(line) > 0 {
				b.err = io.ErrUnexpectedEOF
			}
			return
		}
		b.buf = append(b.buf, line...)
		b.ends = append(b.ends, len(b.buf))
	}
}

// Range is a run of leaves with one outcome.
type Range struct {
	First int64 `json:"first"`
	Last  int64 `json:"last"`
	State State `json:"state"`
	By    int64 `json:"by,omitempty"`
}

// Counts are the leaves of an export by state.
type Counts struct {
	Present int64 `json:"present"`
	Erased  int64 `json:"erased"`
	Pruned  int64 `json:"pruned"`
	Missing int64 `json:"missing"`
	Altered int64 `json:"altered"`
	// Opened are those of Present whose contents were all given and agree.
	Opened int64 `json:"opened"`
}

func (c *Counts) of(s State) *int64 {
	return [...]*int64{&c.Present, &c.Erased, &c.Pruned, &c.Missing, &c.Altered}[s]
}

// waiting are leaves that refer to an entry not yet seen.
type waiting struct {
	erased, pruned int64 // leaves that count by this reference
	also           int64 // leaves that count by another, of a part before
	first          int64 // the first of them
}

// collector takes the leaves in order.
type collector struct {
	report  *Report
	counts  Counts
	edge    tlog.Edge
	size    int64 // of the checkpoint
	next    int64 // index that is due
	line    int64
	gap     bool // leaves without a hash: the root cannot be computed
	ended   bool
	pending map[int64]waiting
	each    func(Leaf)
}

func (c *collector) take(r *record) {
	c.line++
	rep := c.report
	switch {
	case c.ended:
		rep.problem("line %d comes after the closing line", c.line)
		return
	case r.broken:
		rep.problem("line %d is not a line of an export", c.line)
		r.Leaf, r.nrefs, r.opened = Leaf{Index: c.next, State: Altered, Problem: "its line cannot be read"}, 0, false
		if c.next >= c.size {
			return
		}
		c.gap = true
		c.count(r)
		c.next++
		return
	case r.end:
		c.ended = true
		if r.leaves != c.next {
			rep.problem("the closing line says %d leaves, and there are %d", r.leaves, c.next)
		}
		return
	case r.Index >= c.size:
		rep.problem("line %d: leaf %d lies beyond the checkpoint", c.line, r.Index)
		return
	case r.Index < c.next:
		rep.problem("line %d: leaf %d comes again or too late", c.line, r.Index)
		return
	}
	c.missing(r.Index)
	if !c.gap {
		c.edge.Append(r.hash)
		if c.edge.Size()%tlog.TileWidth == 0 {
			c.edge.TakeTiles()
		}
	}
	c.resolve(r)
	c.count(r)
	c.next++
}

// missing counts the leaves up to the one that came.
func (c *collector) missing(until int64) {
	if c.next == until {
		return
	}
	c.gap = true
	rep := c.report
	rep.problem("%s missing", leaves(c.next, until-1))
	c.counts.Missing += until - c.next
	rep.add(Range{c.next, until - 1, Missing, 0})
	if c.each != nil {
		c.each(Leaf{Index: c.next, Last: until - 1, State: Missing, Problem: "not in the file"})
	}
	// What refers to a leaf that is not there stays in pending.
	c.next = until
}

func (c *collector) count(r *record) {
	*c.counts.of(r.State)++
	if r.opened && r.State == Present {
		c.counts.Opened++
	}
	if r.Problem != "" && !r.broken {
		c.report.problem("leaf %d is %s: %s", r.Index, r.State, r.Problem)
	}
	c.report.add(Range{r.Index, r.Index, r.State, r.By})
	if r.State == Erased || r.State == Pruned {
		c.refer(r)
	}
	if c.each != nil {
		r.Last = r.Index
		c.each(r.Leaf)
	}
}

// refer notes which entries the leaf refers to. A leaf may name several, one a
// part; it counts by the first.
func (c *collector) refer(r *record) {
	for i, by := range r.refs[:r.nrefs] {
		w, known := c.pending[by]
		if !known {
			if by >= c.size || len(c.pending) == maxPending {
				c.refuse(by, waiting{first: r.Index}, r.State, 1)
				return
			}
			w.first = r.Index
		}
		switch {
		case i > 0:
			w.also++
		case r.State == Erased:
			w.erased++
		default:
			w.pruned++
		}
		c.pending[by] = w
	}
}

// resolve looks whether the leaf is what earlier ones say of it. Only an entry
// that is itself in order can speak.
func (c *collector) resolve(r *record) {
	w, known := c.pending[r.Index]
	if !known {
		return
	}
	sound := r.State == Present || r.State == Erased
	c.settle(r.Index, w, sound && tlog.Erases(r.Kind), sound && tlog.Prunes(r.Kind))
	delete(c.pending, r.Index)
}

func (c *collector) settle(by int64, w waiting, erases, prunes bool) {
	if !erases && w.erased > 0 {
		c.refuse(by, w, Erased, w.erased)
	}
	if !erases && w.also > 0 {
		c.report.problem("%d leaves have a further part that is said to be erased by entry %d, which does not say so", w.also, by)
	}
	if !prunes && w.pruned > 0 {
		c.refuse(by, w, Pruned, w.pruned)
	}
}

// refuse turns n leaves from what they are said to be into missing ones.
func (c *collector) refuse(by int64, w waiting, s State, n int64) {
	*c.counts.of(s) -= n
	c.counts.Missing += n
	c.report.problem("%d leaves, the first of them leaf %d, are said to be %s by entry %d, which does not say so: missing", n, w.first, s, by)
}

func (c *collector) finish(root tlog.Hash) {
	rep := c.report
	c.missing(c.size)
	for _, by := range slices.Sorted(maps.Keys(c.pending)) {
		c.settle(by, c.pending[by], false, false)
	}
	if !c.ended {
		rep.problem("the file has no closing line: it was cut short")
	}
	switch {
	case c.gap:
		rep.problem("the root cannot be recomputed, since leaves are missing or unreadable")
	case c.edge.Root() != root:
		rep.problem("the root recomputed from all leaves is not that of the checkpoint: at least one leaf is not what was logged")
	}
	rep.Counts = &c.counts
}

// export verifies an export whose first line is the manifest.
func (rep *Report) export(manifest []byte, r *bufio.Reader, o *Options) error {
	var origin, checkpoint []byte
	var vkeys []string
	s := scan{b: manifest}
	seen := s.object([]string{"format", "origin", "verifier_keys", "checkpoint"}, func(i int) {
		switch i {
		case 0:
			s.plain()
		case 1:
			origin = s.plain()
		case 2:
			vkeys = s.strings(maxKeys)
		case 3:
			checkpoint = s.text()
		}
	})
	if !s.end() || seen != 1<<4-1 {
		rep.problem("the first line is not the manifest of an export")
		return nil
	}
	cp := rep.checkpoint(checkpoint, string(origin), vkeys, o)
	if cp == nil {
		return nil
	}
	c := collector{report: rep, size: cp.Size, line: 1, pending: map[int64]waiting{}, each: o.Each}
	err := eachRecord(r, cp.Origin, c.take)
	switch {
	case errors.Is(err, errLine):
		rep.problem("line %d is longer than %d bytes", c.line+1, MaxLine)
	case errors.Is(err, io.ErrUnexpectedEOF):
		rep.problem("the last line is cut short")
	case err != nil:
		return fmt.Errorf("verify: read: %w", err)
	}
	c.finish(cp.Root)
	return nil
}

func leaves(first, last int64) string {
	if first == last {
		return fmt.Sprintf("leaf %d is", first)
	}
	return fmt.Sprintf("leaves %d to %d are", first, last)
}
