package reading

import (
	"strings"

	"github.com/rempart/rempart/internal/audit"
)

// The version of the Open Cybersecurity Schema Framework that events follow.
const ocsfVersion = "1.8.0"

// Classes of OCSF that entries are mapped to.
const (
	ocsfAccountChange    = 3001
	ocsfAuthentication   = 3002
	ocsfEntityManagement = 3004
	ocsfAPIActivity      = 6003
)

// object is a JSON object of OCSF.
type object map[string]any

// classOf maps a kind of entry to a class: what a person proves about herself,
// what becomes of accounts, what is read, and everything else.
func classOf(kind string) int {
	switch word, _, _ := strings.Cut(kind, "."); {
	case word == "signin" || word == "session" || word == "federation":
		return ocsfAuthentication
	case word == "credential" || strings.HasPrefix(kind, "directory.user.") || strings.HasPrefix(kind, "directory.member"):
		return ocsfAccountChange
	case word == "provider" || strings.HasSuffix(kind, ".read") || strings.HasSuffix(kind, ".exported") || kind == "audit.staff_read.recorded":
		return ocsfAPIActivity
	}
	return ocsfEntityManagement
}

// activities are the last words of kinds, and what each is in the classes.
var activities = map[string]map[int]int{
	"added":     {ocsfAccountChange: 1, ocsfEntityManagement: 1, ocsfAPIActivity: 1},
	"created":   {ocsfAccountChange: 1, ocsfEntityManagement: 1, ocsfAPIActivity: 1},
	"invited":   {ocsfAccountChange: 1, ocsfEntityManagement: 1},
	"read":      {ocsfEntityManagement: 2, ocsfAPIActivity: 2},
	"exported":  {ocsfEntityManagement: 2, ocsfAPIActivity: 2},
	"changed":   {ocsfAccountChange: 99, ocsfEntityManagement: 3, ocsfAPIActivity: 3},
	"rotated":   {ocsfAccountChange: 99, ocsfEntityManagement: 3, ocsfAPIActivity: 3},
	"removed":   {ocsfAccountChange: 6, ocsfEntityManagement: 4, ocsfAPIActivity: 4},
	"deleted":   {ocsfAccountChange: 6, ocsfEntityManagement: 4, ocsfAPIActivity: 4},
	"erased":    {ocsfAccountChange: 6, ocsfEntityManagement: 4, ocsfAPIActivity: 4},
	"revoked":   {ocsfAuthentication: 2, ocsfEntityManagement: 4, ocsfAPIActivity: 4},
	"disabled":  {ocsfAccountChange: 5, ocsfEntityManagement: 9},
	"enabled":   {ocsfAccountChange: 2, ocsfEntityManagement: 8},
	"started":   {ocsfAuthentication: 1},
	"succeeded": {ocsfAuthentication: 1},
	"failed":    {ocsfAuthentication: 1},
	"ended":     {ocsfAuthentication: 2},
}

const ocsfOther = 99

// event is one entry as an OCSF event. What the schema has no place for stands
// under unmapped, so that nothing is lost.
func event(origin, software string, r *audit.Record) object {
	class := classOf(r.Kind)
	word := r.Kind[strings.LastIndexByte(r.Kind, '.')+1:]
	activity := activities[word][class]
	if activity == 0 {
		activity = ocsfOther
	}
	status := 1
	if r.Outcome != audit.Success {
		status = 2
	}
	severity := 1
	if r.Outcome == audit.Denied {
		severity = 2
	}
	out := object{
		"category_uid": class / 1000, "class_uid": class, "activity_id": activity, "activity_name": word, "type_uid": class*100 + activity,
		"time": r.Time.UnixMilli(), "severity_id": severity, "status_id": status, "message": r.Text,
		"metadata": object{
			"version": ocsfVersion, "uid": r.ID.String(), "log_name": origin, "event_code": r.Kind,
			"product": object{"name": "Rempart", "vendor_name": "Rempart", "version": software},
		},
		"actor": actor(r),
	}
	if r.Index != nil {
		out["metadata"].(object)["sequence"] = *r.Index
	}
	if r.Code != "" {
		out["status_code"] = r.Code
	}
	if r.Source != "" {
		out["src_endpoint"] = object{"ip": r.Source}
	} else if class == ocsfAPIActivity {
		out["src_endpoint"] = object{"name": "unknown"} // the class requires one
	}
	if r.Destination != "" {
		out["dst_endpoint"] = object{"hostname": r.Destination}
	}
	if r.Device != "" || !r.Request.IsZero() {
		req := object{}
		if r.Device != "" {
			req["user_agent"] = r.Device
		}
		if !r.Request.IsZero() {
			req["uid"] = r.Request.String()
		}
		out["http_request"] = req
	}
	switch class {
	case ocsfAuthentication, ocsfAccountChange:
		out["user"] = user(r)
	case ocsfAPIActivity:
		out["api"] = object{"operation": r.Kind}
	case ocsfEntityManagement:
		out["entity"] = object{"uid": orUnknown(r.Target.ID), "type": orUnknown(r.Target.Kind)}
	}
	un := object{}
	for name, v := range map[string]any{"changes": r.Changes, "facts": r.Facts, "private": r.Private, "erased": r.Erased, "target": r.Target, "node": r.Node} {
		if !empty(v) {
			un[name] = v
		}
	}
	if !r.Cites.IsZero() {
		un["cites"] = r.Cites.String()
	}
	if len(un) > 0 {
		out["unmapped"] = un
	}
	return out
}

func actor(r *audit.Record) object {
	out := object{}
	switch r.Actor.Kind {
	case "user":
		out["user"] = object{"uid": r.Actor.ID, "type_id": 1}
	case "", "visitor":
		out["user"] = object{"uid": "unknown", "type_id": 0}
	default:
		out["app_uid"], out["app_name"] = r.Actor.ID, r.Actor.Kind
	}
	if r.Session != "" {
		out["session"] = object{"uid": r.Session}
	}
	return out
}

// user is whose account an event of the identity category is about.
func user(r *audit.Record) object {
	switch {
	case r.Target.Kind == "user" && r.Target.ID != "":
		return object{"uid": r.Target.ID, "type_id": 1}
	case !r.Person.IsZero():
		return object{"uid": r.Person.String(), "type_id": 1}
	}
	return object{"uid": "unknown", "type_id": 0}
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

func empty(v any) bool {
	switch v := v.(type) {
	case string:
		return v == ""
	case []string:
		return len(v) == 0
	case []audit.Change:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	case audit.Target:
		return v == audit.Target{}
	}
	return v == nil
}
