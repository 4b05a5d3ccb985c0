package directory_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rempart/rempart/internal/access"
	"github.com/rempart/rempart/internal/directory"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
)

func TestAttributesAreReadAndWrittenAsDeclared(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx, a := t.Context(), w.acme
		add := func(one directory.Attribute) error {
			_, err := w.dir.AddAttribute(ctx, w.as(a.admin), a.ID, one)
			return err
		}
		of := func(name, kind, readers, writers, claim string) directory.Attribute {
			return directory.Attribute{Subject: directory.OfMember, Name: name, Kind: kind, Readers: readers, Writers: writers, Claim: claim}
		}
		w.must(add(of("cost_center", "text", directory.ForAdmins, directory.ForAdmins, "cost_center")))
		w.must(add(of("nickname", "text", directory.ForMembers, directory.ForSelf, "")))
		w.must(add(of("badge", "number", directory.ForSelf, directory.ForAdmins, "")))
		w.must(add(directory.Attribute{Subject: directory.OfOrganization, Name: "plan", Kind: "choice", Choices: []string{"small", "large"}, Readers: directory.ForMembers, Writers: directory.ForAdmins, Claim: "plan"}))
		w.want("the name twice", add(of("badge", "text", directory.ForAdmins, directory.ForAdmins, "")), directory.ErrAttributeTaken)
		w.want("the claim twice", add(of("other", "text", directory.ForAdmins, directory.ForAdmins, "plan")), directory.ErrClaim)

		set := func(who, whose id.User, name string, v any) error {
			return w.dir.SetValue(ctx, w.as(who), a.ID, whose, name, v)
		}
		w.must(set(a.admin, a.member, "cost_center", "4711"))
		w.must(set(a.admin, a.member, "badge", 12.0))
		w.must(set(a.member, a.member, "nickname", "Mem"))
		w.must(set(a.admin, id.User{}, "plan", "large"))
		w.want("a member writes what is read only", set(a.member, a.member, "badge", 13.0), fault.ErrDenied)
		w.want("a member writes what she can't see", set(a.member, a.member, "cost_center", "1"), directory.ErrNone)
		w.want("a member writes another's", set(a.member, a.admin, "nickname", "X"), fault.ErrDenied)
		w.want("an admin writes an owner's", set(a.admin, a.owner, "cost_center", "1"), access.ErrElevation)
		w.want("what is not declared", set(a.admin, a.member, "shoe_size", 1.0), directory.ErrNone)
		w.want("a wrong kind", set(a.admin, a.member, "badge", "twelve"), directory.ErrAttributeValue)
		w.want("no choice", set(a.admin, id.User{}, "plan", "huge"), directory.ErrAttributeValue)
		w.want("another organization's member", set(a.admin, w.globex.member, "badge", 1.0), directory.ErrNone)

		see := func(who, whose id.User) map[string]any {
			t.Helper()
			vs, err := w.dir.Values(ctx, w.as(who), a.ID, whose)
			w.must(err)
			out := map[string]any{}
			for _, v := range vs {
				out[v.Name] = v.Value
			}
			return out
		}
		for name, c := range map[string]struct {
			who, whose id.User
			want       map[string]any
		}{
			"an administrator sees all":          {a.admin, a.member, map[string]any{"cost_center": "4711", "badge": 12.0, "nickname": "Mem"}},
			"she herself sees what is hers":      {a.member, a.member, map[string]any{"badge": 12.0, "nickname": "Mem"}},
			"a member sees what is for all":      {a.member, id.User{}, map[string]any{"plan": "large"}},
			"and of another what is for members": {a.member, a.admin, map[string]any{}},
		} {
			if d := cmp.Diff(c.want, see(c.who, c.whose)); d != "" {
				t.Errorf("%s (-want +got):\n%s", name, d)
			}
		}
		claims, err := w.dir.Claims(ctx, a.ID, a.member)
		w.must(err)
		if d := cmp.Diff(map[string]any{"cost_center": "4711", "plan": "large"}, claims); d != "" {
			t.Errorf("claims (-want +got):\n%s", d)
		}

		w.must(set(a.admin, a.member, "badge", nil))
		list, err := w.dir.Attributes(ctx, a.ID)
		w.must(err)
		for _, one := range list {
			if one.Name == "cost_center" {
				w.must(w.dir.RemoveAttribute(ctx, w.as(a.admin), a.ID, one.ID))
				w.want("another organization's declaration", w.dir.RemoveAttribute(ctx, w.as(w.globex.admin), w.globex.ID, one.ID), directory.ErrNone)
			}
		}
		if d := cmp.Diff(map[string]any{"nickname": "Mem"}, see(a.admin, a.member)); d != "" {
			t.Errorf("what is left (-want +got):\n%s", d)
		}
		w.must(w.dir.RemoveMember(ctx, w.as(a.admin), a.ID, a.member))
		w.join(a.ID, a.member, access.RoleMember)
		if got := see(a.admin, a.member); len(got) != 0 {
			t.Errorf("a member who comes back has her former values: %v", got)
		}
	})
}

func TestDeclarationsThatContradictThemselves(t *testing.T) {
	w := one(t)
	ok := directory.Attribute{Subject: directory.OfMember, Name: "a", Kind: "text", Readers: directory.ForSelf, Writers: directory.ForSelf}
	for name, c := range map[string]struct {
		change func(*directory.Attribute)
		want   error
	}{
		"as it should be":                 {func(*directory.Attribute) {}, nil},
		"a name with a space":             {func(a *directory.Attribute) { a.Name = "a b" }, directory.ErrAttributeName},
		"a claim that tokens have":        {func(a *directory.Attribute) { a.Claim = "sub" }, directory.ErrClaim},
		"a claim that is ours":            {func(a *directory.Attribute) { a.Claim = "permissions" }, directory.ErrClaim},
		"a choice of nothing":             {func(a *directory.Attribute) { a.Kind = "choice" }, directory.ErrAttributeForm},
		"a text with choices":             {func(a *directory.Attribute) { a.Choices = []string{"x"} }, directory.ErrAttributeForm},
		"the organization herself":        {func(a *directory.Attribute) { a.Subject = directory.OfOrganization }, directory.ErrAttributeForm},
		"written but not read":            {func(a *directory.Attribute) { a.Readers = directory.ForAdmins }, directory.ErrAttributeForm},
		"every member writes everybody's": {func(a *directory.Attribute) { a.Writers = directory.ForMembers }, directory.ErrAttributeForm},
		"the same choice twice":           {func(a *directory.Attribute) { a.Kind, a.Choices = "choice", []string{"x", "x"} }, directory.ErrAttributeForm},
	} {
		a := ok
		c.change(&a)
		_, err := w.dir.AddAttribute(t.Context(), w.as(w.acme.admin), w.acme.ID, a)
		w.want(name, err, c.want)
	}
}

func FuzzParseEmail(f *testing.F) {
	for _, s := range []string{"a@b", "A.B+c@Example.ORG", "ümlaut@example.org", "a@bücher.example", "\"q\"@x", "a@b@c", "a..b@c", ".a@b", "a@-b", "a@b.", "K@kelvin.example", "a b@c", "a@[127.0.0.1]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		email, normalized, err := directory.ParseEmail(s)
		if err != nil {
			return
		}
		again, same, err := directory.ParseEmail(email)
		if err != nil || again != email || same != normalized {
			t.Errorf("%q gives %q, which gives %q, %q, %v", s, email, again, same, err)
		}
		for _, c := range []byte(email) {
			if c <= ' ' || c >= 0x7f {
				t.Errorf("%q gives %q", s, email)
			}
		}
	})
}
