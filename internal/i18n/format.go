package i18n

import (
	"embed"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

//go:embed messages/*.json
var files embed.FS

// asMap accepts any map type whose keys are strings, such as fault.Args.
func asMap(v any) (map[string]any, bool) {
	if m, ok := v.(map[string]any); ok {
		return m, true
	}
	r := reflect.ValueOf(v)
	if r.Kind() != reflect.Map || r.Type().Key().Kind() != reflect.String {
		return nil, false
	}
	out := make(map[string]any, r.Len())
	for it := r.MapRange(); it.Next(); {
		out[it.Key().String()] = it.Value().Interface()
	}
	return out, true
}

// integer reads any integer type, durations excepted: they have words.
func integer(v any) (int64, bool) {
	switch n := v.(type) {
	case int:
		return int64(n), true
	case int64:
		return n, true
	case int32:
		return int64(n), true
	case int16:
		return int64(n), true
	case int8:
		return int64(n), true
	case uint:
		return int64(n), true
	case uint64:
		return int64(n), true
	case uint32:
		return int64(n), true
	case uint16:
		return int64(n), true
	case uint8:
		return int64(n), true
	}
	return 0, false
}

// style is how a language writes numbers and dates, after CLDR.
type style struct {
	group, decimal string
	short, long    [12]string // months
	at             string     // between date and time
}

var styles = map[string]style{
	"en": {",", ".",
		[12]string{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"},
		[12]string{"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"}, ", "},
	"fr": {"\u202f", ",",
		[12]string{"janv.", "févr.", "mars", "avr.", "mai", "juin", "juil.", "août", "sept.", "oct.", "nov.", "déc."},
		[12]string{"janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre", "décembre"}, " à "},
	"nl": {".", ",",
		[12]string{"jan", "feb", "mrt", "apr", "mei", "jun", "jul", "aug", "sep", "okt", "nov", "dec"},
		[12]string{"januari", "februari", "maart", "april", "mei", "juni", "juli", "augustus", "september", "oktober", "november", "december"}, " om "},
}

func styleOf(lang string) style {
	if s, ok := styles[lang]; ok {
		return s
	}
	return styles[Languages[0]]
}

// Number writes an integer with the language's separators; four digits stand
// without one.
func Number(lang string, n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, s = "\u2212", s[1:]
	}
	if len(s) <= 4 {
		return sign + s
	}
	var out strings.Builder
	for i, c := range s {
		if i > 0 && (len(s)-i)%3 == 0 {
			out.WriteString(styleOf(lang).group)
		}
		out.WriteRune(c)
	}
	return sign + out.String()
}

// Decimal writes a number with at most the given digits after the separator.
func Decimal(lang string, v float64, digits int) string {
	whole, frac, _ := strings.Cut(strconv.FormatFloat(math.Abs(v), 'f', digits, 64), ".")
	frac = strings.TrimRight(frac, "0")
	n, err := strconv.ParseInt(whole, 10, 64)
	out := whole
	if err == nil {
		out = Number(lang, n)
	}
	if frac != "" {
		out += styleOf(lang).decimal + frac
	}
	if v < 0 && strings.Trim(whole+frac, "0") != "" {
		out = "\u2212" + out
	}
	return out
}

// Percent writes a share (0.995 as 99.5 %).
func Percent(lang string, share float64, digits int) string {
	s := Decimal(lang, share*100, digits)
	if lang == "fr" {
		return s + "\u202f%"
	}
	return s + "%"
}

// Bytes writes a size in decimal units.
func Bytes(lang string, n int64) string {
	units := []string{"B", "kB", "MB", "GB", "TB", "PB"}
	if lang == "fr" {
		units = []string{"o", "ko", "Mo", "Go", "To", "Po"}
	}
	v, i := float64(n), 0
	for ; math.Abs(v) >= 1000 && i < len(units)-1; i++ {
		v /= 1000
	}
	return Decimal(lang, v, 1) + "\u00a0" + units[i]
}

// Date writes the day, in UTC: 22 Nov 2026.
func Date(lang string, t time.Time) string {
	t = t.UTC()
	return day(lang, t) + " " + styleOf(lang).short[t.Month()-1] + " " + strconv.Itoa(t.Year())
}

// LongDate writes the day with the month in full.
func LongDate(lang string, t time.Time) string {
	t = t.UTC()
	return day(lang, t) + " " + styleOf(lang).long[t.Month()-1] + " " + strconv.Itoa(t.Year())
}

func day(lang string, t time.Time) string {
	if lang == "fr" && t.Day() == 1 {
		return "1er"
	}
	return strconv.Itoa(t.Day())
}

// Time writes the time of day, in UTC, to the minute.
func Time(lang string, t time.Time) string { return t.UTC().Format("15:04") }

// DateTime writes day and time, in UTC, and says so.
func DateTime(lang string, t time.Time) string {
	return Date(lang, t) + styleOf(lang).at + Time(lang, t) + "\u00a0UTC"
}

// Duration writes a length of time in its two largest units, in words.
func (b *Bundle) Duration(lang string, d time.Duration) string {
	if d < 0 {
		d = -d
	}
	if d < time.Second {
		return b.T(lang, "i18n.duration.milliseconds", "Count", d.Milliseconds())
	}
	units := []struct {
		key  string
		size time.Duration
	}{
		{"i18n.duration.days", 24 * time.Hour}, {"i18n.duration.hours", time.Hour},
		{"i18n.duration.minutes", time.Minute}, {"i18n.duration.seconds", time.Second},
	}
	var parts []string
	for _, u := range units {
		n := d / u.size
		d -= n * u.size
		if n > 0 {
			parts = append(parts, b.T(lang, u.key, "Count", int64(n)))
		} else if len(parts) > 0 {
			break // "1 day 5 seconds" says less than "1 day"
		}
		if len(parts) == 2 {
			break
		}
	}
	return strings.Join(parts, " ")
}

// Ago writes how far t lies from now: "3 minutes ago", "in 2 days". Beyond 30
// days it is the date.
func (b *Bundle) Ago(lang string, t, now time.Time) string {
	d := now.Sub(t)
	past := d >= 0
	if !past {
		d = -d
	}
	key, n := "", int64(0)
	switch {
	case d < 45*time.Second:
		return b.T(lang, "i18n.ago.now")
	case d < 45*time.Minute:
		key, n = "minutes", int64((d+30*time.Second)/time.Minute)
	case d < 22*time.Hour:
		key, n = "hours", int64((d+30*time.Minute)/time.Hour)
	case d < 30*24*time.Hour:
		key, n = "days", int64((d+12*time.Hour)/(24*time.Hour))
	default:
		return Date(lang, t)
	}
	if n == 0 {
		n = 1
	}
	if past {
		return b.T(lang, "i18n.ago."+key, "Count", n)
	}
	return b.T(lang, "i18n.in."+key, "Count", n)
}
