package desk

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/console"
	"github.com/rempart/rempart/internal/directory"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/web"
)

// Texts of the words of a declaration; the keys are spelled out so that they
// can be found.
var attributeTexts = map[string]string{
	directory.OfMember:       "directory.attribute.of-member",
	directory.OfOrganization: "directory.attribute.of-organization",
	directory.ForAdmins:      "directory.attribute.for-admins",
	directory.ForSelf:        "directory.attribute.for-self",
	directory.ForMembers:     "directory.attribute.for-members",
	"text":                   "directory.attribute.text",
	"number":                 "directory.attribute.number",
	"boolean":                "directory.attribute.boolean",
	"date":                   "directory.attribute.date",
	"choice":                 "directory.attribute.choice",
}

type attributesView struct {
	frame
	Items                             []directory.Attribute
	In                                directory.Attribute
	Choices                           string
	Subjects, Kinds, Readers, Writers []console.Choice
}

// Word is the text of a word of a declaration.
func (v attributesView) Word(name string) string { return v.T(attributeTexts[name]) }

func (s *Service) attributesPage(w http.ResponseWriter, r *http.Request) error {
	in := directory.Attribute{Subject: directory.OfMember, Kind: "text", Readers: directory.ForAdmins, Writers: directory.ForAdmins}
	return s.showAttributes(w, r, 200, nil, in, "")
}

func (s *Service) showAttributes(w http.ResponseWriter, r *http.Request, status int, failed error, in directory.Attribute, choices string) error {
	list, err := s.Directory.Attributes(r.Context(), web.Who(r).Org)
	if err != nil {
		return err
	}
	opts := []console.Option{console.InOrg("attributes"), console.Lead("directory.attributes.lead")}
	if failed != nil {
		opts = append(opts, console.Failed(failed))
	}
	v := attributesView{frame: s.frame(r, "directory.attributes.title", opts...), Items: list, In: in, Choices: choices}
	pick := func(selected string, names ...string) (out []console.Choice) {
		for _, n := range names {
			out = append(out, console.Choice{Value: n, Label: v.Word(n), Selected: n == selected})
		}
		return out
	}
	v.Subjects = pick(in.Subject, directory.OfMember, directory.OfOrganization)
	v.Kinds = pick(in.Kind, "text", "number", "boolean", "date", "choice")
	v.Readers = pick(in.Readers, directory.ForAdmins, directory.ForSelf, directory.ForMembers)
	v.Writers = pick(in.Writers, directory.ForAdmins, directory.ForSelf)
	return s.Console.Render(w, r, status, views.Get("attributes"), v)
}

func (s *Service) attributeAdd(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(r)
	if err != nil {
		return err
	}
	in := directory.Attribute{
		Subject: form.Get("subject"), Name: form.Get("name"), Kind: form.Get("kind"), Readers: form.Get("readers"), Writers: form.Get("writers"), Claim: form.Get("claim"),
	}
	for line := range strings.Lines(form.Get("choices")) {
		if line = strings.TrimSpace(line); line != "" {
			in.Choices = append(in.Choices, line)
		}
	}
	who := web.Who(r)
	if _, err := s.Directory.AddAttribute(r.Context(), who, who.Org, in); err != nil {
		if again(err) {
			return s.showAttributes(w, r, web.StatusOf(err), err, in, form.Get("choices"))
		}
		return err
	}
	web.Redirect(w, r, path(r, "/attributes", "directory.attribute.declared.done"))
	return nil
}

func (s *Service) attributeRemove(w http.ResponseWriter, r *http.Request) error {
	attribute, err := pathID(id.ParseAttribute, r, "attribute")
	if err != nil {
		return err
	}
	who := web.Who(r)
	if err := s.Directory.RemoveAttribute(r.Context(), who, who.Org, attribute); err != nil {
		return err
	}
	web.Redirect(w, r, path(r, "/attributes", "directory.attribute.taken-back.done"))
	return nil
}

// fillValues adds the member's attributes, as far as the reader may see them.
func (s *Service) fillValues(ctx context.Context, who caller.Caller, v *memberView) error {
	list, err := s.Directory.Attributes(ctx, who.Org)
	if err != nil {
		return err
	}
	values, err := s.Directory.Values(ctx, who, who.Org, v.Member.User)
	if err != nil {
		return err
	}
	for _, one := range values {
		v.Values = append(v.Values, console.Pair{Name: one.Name, Value: fmt.Sprint(one.Value)})
	}
	admin := v.May(directory.MembersWrite)
	for _, a := range list {
		if a.Subject == directory.OfMember && (admin || v.Self && a.Writers == directory.ForSelf) {
			v.Attributes = append(v.Attributes, console.Choice{Value: a.Name, Label: a.Name})
		}
	}
	return nil
}

func (s *Service) memberValue(w http.ResponseWriter, r *http.Request) error {
	return s.act(w, r, "directory.attribute.value.done", func(who caller.Caller, user id.User, form url.Values) error {
		list, err := s.Directory.Attributes(r.Context(), who.Org)
		if err != nil {
			return err
		}
		name := form.Get("attribute")
		i := slices.IndexFunc(list, func(a directory.Attribute) bool { return a.Subject == directory.OfMember && a.Name == name })
		if i < 0 {
			return directory.ErrNone
		}
		return s.Directory.SetValue(r.Context(), who, who.Org, user, name, typed(list[i].Kind, form.Get("value")))
	})
}

// typed reads what a person typed as a value of the kind; nothing is nil, which
// takes the value away.
func typed(kind, text string) any {
	text = strings.TrimSpace(text)
	switch kind {
	case "number":
		if f, err := strconv.ParseFloat(text, 64); err == nil {
			return f
		}
	case "boolean":
		if b, err := strconv.ParseBool(text); err == nil {
			return b
		}
	}
	if text == "" {
		return nil
	}
	return text
}
