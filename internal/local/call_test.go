package local

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"
)

func frame(kind []byte, body string) []byte {
	return append(binary.BigEndian.AppendUint32(kind, uint32(len(body))), body...)
}

// FuzzCall reads what any process of ours may write into the socket.
func FuzzCall(f *testing.F) {
	f.Add(frame(nil, `{"args":["check"],"lang":"nl"}`))
	f.Add(frame(nil, `{"args":["check"],"name":"0@elsewhere"}`))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := readCall(bytes.NewReader(b))
		if err == nil && c.Name != "" {
			t.Fatalf("the caller named itself %q", c.Name)
		}
	})
}

// FuzzAnswer reads what the owner of a folder may answer.
func FuzzAnswer(f *testing.F) {
	f.Add(append(frame([]byte{kindOut}, "text"), frame([]byte{kindEnd}, "0")...))
	f.Add(frame([]byte{kindEnd}, "x"))
	f.Add(frame([]byte{9}, ""))
	f.Add([]byte{kindOut, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = follow(bytes.NewReader(b), io.Discard, io.Discard)
	})
}
