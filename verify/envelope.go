package verify

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"golang.org/x/mod/sumdb/note"

	"github.com/rempart/rempart/internal/tlog"
)

// InTotoPayload is the payload type of in-toto statements in an envelope.
const InTotoPayload = "application/vnd.in-toto+json"

const (
	inTotoStatement = "https://in-toto.io/Statement/v1"
	formatEnvelope  = "dsse" // what formatOf calls an envelope
	maxSignatures   = 32
)

// ErrEnvelope: an envelope is malformed, or a signature by a known key does
// not verify, or no known key signed.
var ErrEnvelope = errors.New("verify: envelope does not verify")

// Envelope is a verified DSSE envelope.
type Envelope struct {
	PayloadType string
	Payload     []byte
	// Keys are the ids (<name>+<key hash>) of the keys whose signatures
	// verified.
	Keys []string
}

// SignEnvelope puts a payload in a DSSE envelope (Dead Simple Signing Envelope
// 1.0), signed with Ed25519 by each signer. The keyid is <name>+<key hash> of
// the signer's verifier key. The signers are those of tlog.ParseSigner; by
// custom their name is <host>/statements, and they sign nothing else.
func SignEnvelope(payloadType string, payload []byte, signers ...note.Signer) ([]byte, error) {
	b := append([]byte(nil), `{"payloadType":`...)
	b = appendText(b, payloadType)
	b = append(b, `,"payload":`...)
	b = appendBase64(b, payload)
	b = append(b, `,"signatures":[`...)
	msg := preAuthentication(payloadType, payload)
	for i, s := range signers {
		sig, err := s.Sign(msg)
		if err != nil {
			return nil, fmt.Errorf("verify: sign envelope: %w", err)
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"keyid":`...)
		b = appendText(b, tlog.KeyID(s.Name(), s.KeyHash()))
		b = append(b, `,"sig":`...)
		b = appendBase64(b, sig)
		b = append(b, '}')
	}
	return finish(append(b, ']'))
}

// OpenEnvelope verifies an envelope. At least one of the keys must have
// signed; a bad signature that names one of them spoils the whole; others are
// ignored. Keys of witnesses do not sign envelopes. It returns ErrEnvelope.
func OpenEnvelope(b []byte, keys ...note.Verifier) (*Envelope, error) {
	if len(b) > MaxLine {
		return nil, ErrEnvelope
	}
	type signature struct{ keyid, sig []byte }
	var sigs []signature
	var e Envelope
	s := scan{b: b}
	seen := s.object([]string{"payloadType", "payload", "signatures"}, func(i int) {
		switch i {
		case 0:
			e.PayloadType = string(s.text())
		case 1:
			e.Payload = s.anyBase64()
		case 2:
			s.array(maxSignatures, func() {
				var g signature
				if s.object([]string{"sig", "keyid"}, func(i int) {
					switch i {
					case 0:
						g.sig = s.anyBase64()
					case 1:
						g.keyid = s.text()
					}
				})&1 == 0 {
					s.fail()
				}
				sigs = append(sigs, g)
			})
		}
	})
	if !s.end() || seen != 1<<3-1 || e.PayloadType == "" {
		return nil, ErrEnvelope
	}
	msg := preAuthentication(e.PayloadType, e.Payload)
	for _, g := range sigs {
		for _, k := range keys {
			id := tlog.KeyID(k.Name(), k.KeyHash())
			if tlog.IsCosigner(k) || string(g.keyid) != id {
				continue
			}
			if !k.Verify(msg, g.sig) {
				return nil, ErrEnvelope
			}
			if !slices.Contains(e.Keys, id) {
				e.Keys = append(e.Keys, id)
			}
		}
	}
	if len(e.Keys) == 0 {
		return nil, ErrEnvelope
	}
	return &e, nil
}

// preAuthentication is the PAE of DSSE: what is signed.
func preAuthentication(payloadType string, payload []byte) []byte {
	b := append([]byte(nil), "DSSEv1 "...)
	b = strconv.AppendInt(b, int64(len(payloadType)), 10)
	b = append(b, ' ')
	b = append(b, payloadType...)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(len(payload)), 10)
	b = append(b, ' ')
	return append(b, payload...)
}

var strictURL64 = base64.URLEncoding.Strict()

// anyBase64 reads standard or URL-safe base64: DSSE lets writers choose.
func (s *scan) anyBase64() []byte {
	src := s.plain()
	enc := strict64
	if bytes.ContainsAny(src, "-_") {
		enc = strictURL64
	}
	out, err := enc.AppendDecode(nil, src)
	if s.bad || err != nil {
		s.fail()
		return nil
	}
	return out
}

func (rep *Report) envelope(b []byte, o *Options) {
	if len(o.VerifierKeys) == 0 {
		rep.problem("a statement holds no key: give the verifier key of its signer")
		return
	}
	rep.KeysFrom = "you"
	e, err := OpenEnvelope(b, o.keys...)
	if err != nil {
		rep.problem("the statement is malformed, or not signed by a known key")
		return
	}
	out := &StatementReport{PayloadType: e.PayloadType, Keys: e.Keys}
	rep.Statement = out
	if e.PayloadType != InTotoPayload {
		rep.note("The payload is of a type that is not looked into.")
		return
	}
	var st struct {
		Type    string `json:"_type"`
		Subject []struct {
			Name   string            `json:"name"`
			Digest map[string]string `json:"digest"`
		} `json:"subject"`
		PredicateType string          `json:"predicateType"`
		Predicate     json.RawMessage `json:"predicate"`
	}
	if json.Unmarshal(e.Payload, &st) != nil || st.Type != inTotoStatement || st.PredicateType == "" {
		rep.problem("the payload is signed, but it is not an in-toto statement")
		return
	}
	out.PredicateType, out.Predicate = st.PredicateType, st.Predicate
	for _, s := range st.Subject {
		about := s.Name
		for _, alg := range slices.Sorted(maps.Keys(s.Digest)) {
			about += " " + alg + ":" + s.Digest[alg]
		}
		out.Subjects = append(out.Subjects, about)
	}
}
