// Package replay answers a repeated POST with what the first one was answered:
// a client that did not hear the answer may send the request again under the
// same Idempotency-Key, and it is carried out once.
//
// A key belongs to its caller, organization and path; the same key with
// another body is refused. Only success is remembered: a request that failed
// changed nothing and may be tried again. When the server died between the
// change and its answer, the outcome is unknown, and the answer says so.
//
// It owns web_replays: keyed hashes, and the answer sealed for the caller.
package replay

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"embed"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"time"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/clock"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/web"
	"github.com/rempart/rempart/internal/web/input"
)

//go:embed migrations/*.sql
var files embed.FS

// Header names the key of the client.
const Header = "Idempotency-Key"

const (
	label   = "web.replay.answer" // field label of an answer in its seal; fixed for ever
	term    = 24 * time.Hour      // for which an answer is remembered
	patient = time.Minute         // after which a request that did not end is taken for lost
	maxKey  = 128                 // bytes of a key
	maxKept = 256 << 10           // bytes of an answer that is remembered
)

// Replays remembers answers. app fills its fields once; Do is web.Server.Replay.
type Replays struct {
	Store  *store.DB
	Now    clock.Now
	Log    *slog.Logger
	Secret []byte // of the keyed hashes; the same on all nodes

	// Seal seals an answer for the caller, Open undoes it.
	Seal func(ctx context.Context, who caller.Caller, label, row string, plain []byte) ([]byte, error)
	Open func(ctx context.Context, who caller.Caller, label, row string, sealed []byte) ([]byte, error)
}

var q = store.NewSet("web")

var (
	insertReplay = q.Add("insert_replay", `INSERT INTO web_replays (id, request, state, answer, created_at) VALUES ($1, $2, 'running', NULL, $3)
		ON CONFLICT (id) DO UPDATE SET request = $2, state = 'running', answer = NULL, created_at = $3 WHERE web_replays.created_at < $4`, store.ForSystem)
	selectReplay = q.Add("select_replay", `SELECT request, state, answer, created_at FROM web_replays WHERE id = $1`, store.ForSystem)
	keepAnswer   = q.Add("keep_answer", `UPDATE web_replays SET state = 'done', answer = $2 WHERE id = $1 AND state = 'running'`, store.ForSystem)
	deleteReplay = q.Add("delete_replay", `DELETE FROM web_replays WHERE id = $1 AND state = 'running'`, store.ForSystem)
	sweepReplays = q.Add("sweep_replays", `DELETE FROM web_replays WHERE created_at < $1`, store.ForSystem)
)

// Manifest is the capability's; its name is web, whose table this is.
func (s *Replays) Manifest() capability.Manifest {
	dir, err := fs.Sub(files, "migrations")
	if err != nil {
		panic(err) // the folder is embedded
	}
	return capability.Manifest{
		Name: "web", Migrations: dir, Statements: q.All(), Messages: web.Messages(),
		Jobs: []capability.Job{{Name: "web.sweep_replays", Every: time.Hour, Run: s.Sweep}},
		Tables: []capability.Table{{
			Name: "web_replays", Database: "main", Reach: capability.ScopeSystem,
			Unaudited: "the change that is answered has its entry; the copy of its answer changes nothing",
			Export:    "none: a copy of an answer, for a day", Erase: "key",
			Columns: []capability.Column{
				{Name: "id", Hash: "caller, organization, path and key of the client, keyed"},
				{Name: "request", Hash: "body of the request, keyed"},
				{Name: "state", Plain: "state"}, {Name: "answer", Sealed: label}, {Name: "created_at", Plain: "time"},
			},
		}},
	}
}

// answer is what is remembered.
type answer struct {
	Status int               `json:"status"`
	Header map[string]string `json:"header"`
	Body   []byte            `json:"body"`
}

var kept = []string{"Content-Type", "Location", "ETag"}

// Do carries the request out by serve, or repeats the answer. Requests without
// the header, and those of visitors, are simply carried out.
func (s *Replays) Do(w http.ResponseWriter, r *http.Request, who caller.Caller, serve func(http.ResponseWriter, *http.Request) error) error {
	key := r.Header.Get(Header)
	if key == "" || who.Kind == caller.Visitor {
		return serve(w, r)
	}
	if len(key) > maxKey || len(r.Header.Values(Header)) != 1 {
		return fault.New(fault.Invalid, "web.error.invalid", nil).At(Header, "web.field.too-long")
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return input.BodyError(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	row := s.hash("key", who.ID(), who.Org.String(), r.Method, r.URL.RequestURI(), key)
	request := s.hash("request", r.Header.Get("Content-Type"), string(body))

	ctx, now := r.Context(), s.Now()
	var mine int64
	err = s.Store.Maintain(ctx, store.System("web.replay"), func(tx *store.Tx) (err error) {
		mine, err = tx.Exec(insertReplay, row, request, store.Micros(now), store.Micros(now.Add(-term)))
		return err
	})
	if err != nil {
		return fmt.Errorf("replay: take key: %w", err)
	}
	if mine == 0 {
		return s.repeat(w, r, who, row, request)
	}
	rec := &recorder{header: w.Header().Clone(), status: http.StatusOK}
	served := false
	defer func() {
		if !served { // an error, or a panic on its way up
			s.forget(ctx, row)
		}
	}()
	if err := serve(rec, r); err != nil {
		return err
	}
	served = true
	if rec.status >= 200 && rec.status < 300 && rec.body.Len() <= maxKept {
		if err := s.keep(ctx, who, row, rec); err != nil {
			// The change is made: its answer goes out, only a repetition will be refused.
			s.Log.ErrorContext(ctx, "answer was not kept for repetition", "request", who.Request.String(), "error", err)
		}
	} else {
		s.forget(ctx, row)
	}
	return rec.copyTo(w)
}

func (s *Replays) repeat(w http.ResponseWriter, r *http.Request, who caller.Caller, row, request []byte) error {
	var first, sealed []byte
	var state string
	var created int64
	err := s.Store.View(r.Context(), store.System("web.replay"), func(tx *store.Tx) error {
		return tx.Row(selectReplay, row).Scan(&first, &state, &sealed, &created)
	})
	if errors.Is(err, store.ErrNone) {
		return fault.New(fault.Conflict, "web.error.replay-running", nil).After(time.Second) // it failed just now
	}
	if err != nil {
		return fmt.Errorf("replay: read answer: %w", err)
	}
	switch {
	case !hmac.Equal(first, request):
		return fault.New(fault.Conflict, "web.error.replay-differs", nil)
	case state != "done" && s.Now().Sub(store.Time(created)) > patient:
		return fault.New(fault.Conflict, "web.error.replay-unknown", nil)
	case state != "done":
		return fault.New(fault.Conflict, "web.error.replay-running", nil).After(time.Second)
	}
	plain, err := s.Open(r.Context(), who, label, rowName(row), sealed)
	if err != nil {
		return fmt.Errorf("replay: open answer: %w", err)
	}
	var a answer
	if err := json.Unmarshal(plain, &a); err != nil {
		return fmt.Errorf("replay: read answer: %w", err)
	}
	for name, v := range a.Header {
		w.Header().Set(name, v)
	}
	w.Header().Set("Idempotent-Replayed", "true")
	w.WriteHeader(a.Status)
	w.Write(a.Body) // a peer that has gone is nobody to tell
	return nil
}

func (s *Replays) keep(ctx context.Context, who caller.Caller, row []byte, rec *recorder) error {
	ctx = context.WithoutCancel(ctx) // the client may have gone; that is when it will ask again
	a := answer{Status: rec.status, Header: map[string]string{}, Body: rec.body.Bytes()}
	for _, name := range kept {
		if v := rec.header.Get(name); v != "" {
			a.Header[name] = v
		}
	}
	plain, err := json.Marshal(a)
	if err != nil {
		return err
	}
	sealed, err := s.Seal(ctx, who, label, rowName(row), plain)
	if err != nil {
		return err
	}
	return s.Store.Maintain(ctx, store.System("web.replay"), func(tx *store.Tx) error {
		_, err := tx.Exec(keepAnswer, row, sealed)
		return err
	})
}

func (s *Replays) forget(ctx context.Context, row []byte) {
	ctx = context.WithoutCancel(ctx)
	err := s.Store.Maintain(ctx, store.System("web.replay"), func(tx *store.Tx) error {
		_, err := tx.Exec(deleteReplay, row)
		return err
	})
	if err != nil {
		s.Log.ErrorContext(ctx, "key of a failed request was not freed", "error", err)
	}
}

// Sweep forgets what is older than a day.
func (s *Replays) Sweep(ctx context.Context) error {
	err := s.Store.Maintain(ctx, store.System("web.sweep_replays"), func(tx *store.Tx) error {
		_, err := tx.Exec(sweepReplays, store.Micros(s.Now().Add(-term)))
		return err
	})
	if err != nil {
		return fmt.Errorf("replay: sweep: %w", err)
	}
	return nil
}

func (s *Replays) hash(parts ...string) []byte {
	m := hmac.New(sha256.New, s.Secret)
	for _, p := range parts {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		m.Write(n[:])
		m.Write([]byte(p))
	}
	return m.Sum(nil)
}

func rowName(row []byte) string { return fmt.Sprintf("%x", row) }

// recorder holds an answer back until it is kept.
type recorder struct {
	header http.Header
	status int
	begun  bool
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header { return r.header }
func (r *recorder) WriteHeader(status int) {
	if !r.begun {
		r.begun, r.status = true, status
	}
}
func (r *recorder) Write(b []byte) (int, error) {
	r.begun = true
	return r.body.Write(b)
}

func (r *recorder) copyTo(w http.ResponseWriter) error {
	h := w.Header()
	clear(h)
	for name, v := range r.header {
		h[name] = v
	}
	w.WriteHeader(r.status)
	w.Write(r.body.Bytes()) // a peer that has gone is nobody to tell
	return nil
}
