package tlog

import (
	"errors"
	"strconv"
	"strings"
)

// Tiles have height 8, as C2SP tlog-tiles has it: 256 hashes, 8 KiB.
const (
	tileHeight = 8
	TileWidth  = 1 << tileHeight // hashes of a complete tile
)

// ErrTilePath: a path is not one that TileID.Path gives.
var ErrTilePath = errors.New("tlog: malformed tile path")

// TileID names a tile, or its beginning. The tile at level l, index n holds
// the hashes of the perfect subtrees of 256^l leaves, from subtree n*256 on.
type TileID struct {
	// Level is 0 for leaf hashes, and one more for each 8 levels of the tree.
	Level int
	// Index is the place within the level.
	Index int64
	// Width is the number of hashes, 1 to 256; 256 is a complete tile.
	Width int
}

// Complete reports whether all 256 hashes are there, so that the tile never
// changes again.
func (t TileID) Complete() bool { return t.Width == TileWidth }

// Path is the C2SP tlog-tiles path: tile/<level>/<index>[.p/<width>], the
// index in groups of three digits, such as tile/1/x001/x234/067.p/8.
func (t TileID) Path() string {
	n := t.Index
	index := pad3(n % 1000)
	for n >= 1000 {
		n /= 1000
		index = "x" + pad3(n%1000) + "/" + index
	}
	path := "tile/" + strconv.Itoa(t.Level) + "/" + index
	if !t.Complete() {
		path += ".p/" + strconv.Itoa(t.Width)
	}
	return path
}

func pad3(n int64) string {
	s := strconv.FormatInt(n, 10)
	return "000"[len(s):] + s
}

// ParseTilePath reads what Path gives. It returns ErrTilePath for anything
// else: each tile has exactly one path.
func ParseTilePath(path string) (TileID, error) {
	rest, ok := strings.CutPrefix(path, "tile/")
	level, index, ok2 := strings.Cut(rest, "/")
	if !ok || !ok2 || len(path) > 64 {
		return TileID{}, ErrTilePath
	}
	t := TileID{Width: TileWidth}
	if i := strings.Index(index, ".p/"); i >= 0 {
		w, err := strconv.Atoi(index[i+3:])
		if err != nil || w < 1 || w >= TileWidth {
			return TileID{}, ErrTilePath
		}
		t.Width, index = w, index[:i]
	}
	l, err := strconv.Atoi(level)
	if err != nil || l < 0 || l > 63 {
		return TileID{}, ErrTilePath
	}
	t.Level = l
	groups := strings.Split(index, "/")
	for i, g := range groups {
		if i < len(groups)-1 {
			if g, ok = strings.CutPrefix(g, "x"); !ok {
				return TileID{}, ErrTilePath
			}
		}
		n, err := strconv.ParseUint(g, 10, 63)
		if err != nil || len(g) != 3 || t.Index > (1<<62)/1000 {
			return TileID{}, ErrTilePath
		}
		t.Index = t.Index*1000 + int64(n)
	}
	if t.Path() != path { // signs, leading zeros, empty groups
		return TileID{}, ErrTilePath
	}
	return t, nil
}

// Tile is a tile with its hashes.
type Tile struct {
	TileID
	// Data is Width hashes one after the other.
	Data []byte
}

// TileReader gives the data of the tiles asked for, in that order, each at
// least Width hashes long; a longer one (the same tile, grown since) is as
// good. All tiles that a proof needs are asked for in one call, so that a
// reader on a database can answer with one query.
//
// The reader serves two sources. Complete tiles, and growing tiles of level 1
// and up, are rows that Edge.TakeTiles gave. The growing tile of level 0 is
// never a row: its hashes are the leaf hashes of the last entries, from leaf
// Index*256 on.
type TileReader func(tiles []TileID) ([][]byte, error)
