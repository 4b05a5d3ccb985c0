package web

import (
	"strconv"
	"strings"

	"github.com/rempart/rempart/internal/fault"
)

// ETag is the entity tag of a revision.
func ETag(revision int64) string { return `"` + strconv.FormatInt(revision, 10) + `"` }

// IfMatch checks the If-Match header of a change against the revision that is
// stored. An empty header is refused: whoever changes says what she saw.
func IfMatch(header string, revision int64) error {
	if header == "" {
		return fault.New(fault.Precondition, "web.error.if-match-missing", nil)
	}
	if header == "*" {
		return nil
	}
	for tag := range strings.SplitSeq(header, ",") {
		if strings.TrimSpace(tag) == ETag(revision) {
			return nil
		}
	}
	return fault.New(fault.Precondition, "web.error.changed-meanwhile", nil)
}
