package mail

import (
	"context"
	"net"
)

// DialTo makes the transport reach addr under whatever name it is told.
func (s *SMTP) DialTo(addr string) {
	s.dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, addr)
	}
}

// Wrap is wrap, for tests.
func Wrap(s string) string { return wrap(s) }

// QueueLimit is queueLimit; Fill makes the outbox believe that n wait.
const QueueLimit = queueLimit

func (o *Outbox) Fill(n int64) { o.waiting.Store(n) }
