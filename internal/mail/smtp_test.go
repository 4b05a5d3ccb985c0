package mail_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net"
	netmail "net/mail"
	"strings"
	"testing"
	"time"

	"github.com/rempart/rempart/internal/mail"
)

// server is a mail server that says what it is told to.
type server struct {
	cert tls.Certificate
	tls  bool   // offers STARTTLS
	rcpt string // its answer to RCPT
	got  chan string
}

func (s *server) listen(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	s.got = make(chan string, 10)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.talk(c)
		}
	}()
	return l.Addr().String()
}

func (s *server) talk(c net.Conn) {
	defer func() { c.Close() }()
	secured := false
	r := bufio.NewReader(c)
	say := func(line string) { fmt.Fprintf(c, "%s\r\n", line) }
	say("220 mail.example")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		switch verb := strings.ToUpper(strings.Fields(line + " x")[0]); verb {
		case "EHLO":
			if s.tls && !secured {
				say("250-mail.example")
				say("250 STARTTLS")
			} else {
				say("250 mail.example")
			}
		case "STARTTLS":
			say("220 go on")
			tc := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{s.cert}})
			c, r, secured = tc, bufio.NewReader(tc), true
		case "RCPT":
			say(s.rcpt)
		case "DATA":
			say("354 go on")
			var b strings.Builder
			for {
				line, err := r.ReadString('\n')
				if err != nil || line == ".\r\n" {
					break
				}
				b.WriteString(line)
			}
			s.got <- fmt.Sprintf("secured=%v\n%s", secured, b.String())
			say("250 taken")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 fine")
		}
	}
}

func serverCert(t *testing.T, name string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, _ := x509.ParseCertificate(der)
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func TestSMTPInsistsOnTLSAndSaysWhatIsFinal(t *testing.T) { // ASVS 12.3.1, 12.3.2
	right, pool := serverCert(t, "mail.example")
	wrong, _ := serverCert(t, "other.example")
	for _, c := range []struct {
		name      string
		host      string
		server    server
		sent      bool
		permanent bool
		code      string
	}{
		{"a server with TLS takes the letter", "mail.example", server{cert: right, tls: true, rcpt: "250 ok"}, true, false, ""},
		{"a server whose STARTTLS was stripped gets nothing", "mail.example", server{rcpt: "250 ok"}, false, false, ""},
		{"a server with another's certificate gets nothing", "mail.example", server{cert: wrong, tls: true, rcpt: "250 ok"}, false, false, ""},
		{"the loopback may do without TLS", "127.0.0.1", server{rcpt: "250 ok"}, true, false, ""},
		{"an unknown mailbox is final", "mail.example", server{cert: right, tls: true, rcpt: "550 5.1.1 no such user"}, false, true, "550"},
		{"a full mailbox is not", "mail.example", server{cert: right, tls: true, rcpt: "452 4.2.2 full"}, false, false, "452"},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := c.server
			smtp := &mail.SMTP{Host: c.host, Port: 587, TLS: &tls.Config{RootCAs: pool}}
			smtp.DialTo(srv.listen(t))
			l := &mail.Letter{ID: "msg_1", From: netmail.Address{Name: "Rempart", Address: "no-reply@id.example"}, Host: "id.example", Date: time.Date(2026, 11, 22, 7, 0, 0, 0, time.UTC),
				To: "ines@acme.example", Name: "Inès, \"B\"\r\nBcc: x@evil.example", Lang: "fr", Subject: "Réinitialisation\r\nBcc: y@evil.example", Paragraphs: []string{"été"}, Note: "n"}
			err := smtp.Send(context.Background(), l)
			if c.sent != (err == nil) {
				t.Fatalf("sent %v: %v", err == nil, err)
			}
			var refused *mail.Refused
			if errors.As(err, &refused) != (c.code != "") || refused != nil && (refused.Permanent != c.permanent || refused.Code != c.code) {
				t.Errorf("refused %+v: %v", refused, err)
			}
			if !c.sent {
				return
			}
			got := <-srv.got
			msg, err := netmail.ReadMessage(strings.NewReader(got[strings.Index(got, "\n")+1:]))
			if err != nil {
				t.Fatal(err)
			}
			if msg.Header.Get("Bcc") != "" || msg.Header.Get("Auto-Submitted") != "auto-generated" || msg.Header.Get("Message-Id") != "<msg_1@id.example>" || !strings.HasPrefix(msg.Header.Get("Content-Type"), "multipart/alternative") {
				t.Errorf("headers %v", msg.Header)
			}
			if c.host != "127.0.0.1" && !strings.HasPrefix(got, "secured=true") {
				t.Error("the letter travelled in clear")
			}
		})
	}
}
