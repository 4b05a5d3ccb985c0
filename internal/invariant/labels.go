package invariant

import (
	"strings"

	"github.com/rempart/rempart/internal/capability"
)

// EventLabel is the message key of a kind of entry.
func EventLabel(kind string) string { return kind }

// PermissionLabel is the message key of a permission.
func PermissionLabel(name string) string {
	capability, verb, _ := strings.Cut(name, ".")
	return capability + ".permission." + verb
}

// ControlLabel is the message key of a part of a control, "title" or "how".
func ControlLabel(m capability.Manifest, control, part string) string {
	return m.Name + ".control." + strings.ReplaceAll(control, ".", "-") + "." + part
}

// Labels are the message keys of everything that the manifests name.
func Labels(manifests []capability.Manifest) (out []string) {
	for _, m := range manifests {
		for _, e := range m.Events {
			out = append(out, EventLabel(e.Kind))
		}
		for _, p := range m.Permissions {
			out = append(out, PermissionLabel(p.Name))
		}
		for _, c := range m.Controls {
			out = append(out, ControlLabel(m, c.ID, "title"), ControlLabel(m, c.ID, "how"))
		}
	}
	return out
}
