package console

import (
	"net/http"
	"strconv"
	"sync"

	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/web"
)

type apiView struct {
	Frame
	Ref      web.Reference
	Problems []Pair
}

// apiDoc is the description of the API, made once when first asked for: the
// registry is complete by then.
type apiDoc struct {
	once sync.Once
	doc  []byte
	ref  web.Reference
	err  error
}

func (c *Console) api() (*apiDoc, error) {
	c.apiDoc.once.Do(func() {
		d := &c.apiDoc
		if d.doc, d.err = web.OpenAPI(c.Routes); d.err == nil {
			d.ref, d.err = web.NewReference(d.doc)
		}
	})
	return &c.apiDoc, c.apiDoc.err
}

func (c *Console) apiReference(w http.ResponseWriter, r *http.Request) error {
	d, err := c.api()
	if err != nil {
		return err
	}
	v := apiView{Frame: c.Frame(r, "console.footer.api", Public("api"), Lead("console.api.lead")), Ref: d.ref}
	for _, p := range []struct {
		kind fault.Kind
		key  string
	}{
		{fault.Invalid, "web.error.invalid"}, {fault.Unknown, "web.error.unauthenticated"}, {fault.Denied, "web.error.denied"},
		{fault.StepUp, "web.error.step-up"}, {fault.NotFound, "web.error.not-found"}, {fault.Conflict, "web.error.conflict"},
		{fault.Precondition, "web.error.changed-meanwhile"}, {fault.TooLarge, "web.error.too-large"}, {fault.Throttled, "web.error.throttled"},
		{fault.Internal, "web.error.internal"}, {fault.Unavailable, "web.error.unavailable"},
	} {
		v.Problems = append(v.Problems, Pair{Name: p.kind.String(), Value: strconv.Itoa(p.kind.Status()) + " · " + v.T(p.key)})
	}
	return c.Render(w, r, http.StatusOK, own.Get("api"), v)
}

func (c *Console) openAPI(w http.ResponseWriter, r *http.Request) error {
	d, err := c.api()
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	w.Write(d.doc) // a peer that has gone is nobody to tell
	return nil
}
