package session

import (
	"strconv"

	"github.com/mileusna/useragent"
)

// Device is what a browser says it is. It is shown to people so that they know
// their own sessions; nothing is decided by it.
type Device struct {
	Browser string `json:"browser,omitempty"` // "Firefox"
	Version string `json:"version,omitempty"` // "128"
	System  string `json:"system,omitempty"`  // "Linux"
	Kind    string `json:"kind"`              // "desktop", "mobile", "tablet", "bot" or "other"
}

// ParseDevice reads a User-Agent.
func ParseDevice(agent string) Device {
	if len(agent) > 256 {
		agent = agent[:256]
	}
	ua := useragent.Parse(agent)
	d := Device{Browser: clip(ua.Name), System: clip(ua.OS), Kind: "other"}
	if ua.VersionNo.Major > 0 {
		d.Version = strconv.Itoa(ua.VersionNo.Major)
	}
	switch {
	case ua.Bot:
		d.Kind = "bot"
	case ua.Tablet:
		d.Kind = "tablet"
	case ua.Mobile:
		d.Kind = "mobile"
	case ua.Desktop:
		d.Kind = "desktop"
	}
	return d
}

// Same reports whether two devices look like one: versions move, so they do
// not count.
func (d Device) Same(o Device) bool {
	return d.Browser == o.Browser && d.System == o.System && d.Kind == o.Kind
}

func clip(s string) string {
	if len(s) > 40 {
		return s[:40]
	}
	return s
}
