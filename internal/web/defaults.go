package web

import "time"

// The security defaults of the request path.
const (
	DefaultPage = 50  // items of a list
	MaxPage     = 200 // items of a list, at most

	defaultBody  = 1 << 20          // bytes of a body, where the route says nothing
	maxURL       = 8 << 10          // bytes of a request target
	maxHeader    = 32 << 10         // bytes of all header fields
	maxDevice    = 256              // bytes kept of User-Agent
	maxFields    = 2000             // fields of a form
	requestTime  = 30 * time.Second // of a handler, by its context
	headerTime   = 10 * time.Second // to read the header
	readTime     = 30 * time.Second // to read header and body
	writeTime    = 60 * time.Second // to answer
	idleTime     = 75 * time.Second // of a kept connection
	stopTime     = 20 * time.Second // for requests under way when the server stops
	hstsSeconds  = 63_072_000       // two years
	cursorMACLen = 16               // bytes of a cursor's MAC
)
