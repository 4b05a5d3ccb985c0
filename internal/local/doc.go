// Package local lets one process own a data folder, and the others on the same
// machine speak to it.
//
//	lock, err := local.Acquire(dir)                 // ErrHeld when another process has it
//	l, err := local.Listen(dir)                     // the owner's socket
//	err = l.Serve(ctx, func(ctx, call) int { ... }) // runs commands of others
//	code, err := local.Run(ctx, dir, call)          // ErrNobody when nobody listens
//
// # Protocol
//
// The socket is DIR/rempart.sock, mode 0600. The kernel says whose process has
// connected (SO_PEERCRED); only the owner's own user and root are heard, and
// nothing that the other side writes says who it is. The caller sends one
// frame: four bytes of length, big endian, then JSON {"args":[…],"lang":"…"}.
// The owner answers frames of one byte kind (1 standard output, 2 standard
// error, 3 end), four bytes of length, and the content; that of an end is the
// exit code in decimal. When the caller hangs up, what runs for it is cancelled.
//
// The package knows no command. It is not for other machines.
package local

import "errors"

// Names of the files in the data folder.
const (
	lockName   = "rempart.lock"
	socketName = "rempart.sock"
)

// Errors that callers branch on.
var (
	// ErrHeld is returned by Acquire when another process owns the folder.
	ErrHeld = errors.New("another process owns the data folder")
	// ErrNobody is returned by Run when no process listens in the folder.
	ErrNobody = errors.New("no process listens in the data folder")
)
