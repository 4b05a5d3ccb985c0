package mail

import (
	"bytes"
	"fmt"
	htmltemplate "html/template"
	netmail "net/mail"
	"regexp"
	"strings"
	"text/template"
	"time"

	gomail "github.com/wneessen/go-mail"
)

// Letter is a message as it was written for its reader. What is tagged "-" is
// known only when it is sent.
type Letter struct {
	ID   string          `json:"-"`
	From netmail.Address `json:"-"`
	Host string          `json:"-"` // of the installation
	Date time.Time       `json:"-"`

	To, Name, Lang string
	Subject, Hello string
	Paragraphs     []string
	Action, Link   string
	Code           string
	Facts          [][2]string
	Note, Footer   string
	Product        string
	Purpose        string
	Lines          mailLines
}

// mailLines are the fixed words of the layout in the reader's language.
type mailLines struct{ Code, Link string }

var (
	textLayout = template.Must(template.New("letter.txt").ParseFS(files, "parts/letter.txt"))
	htmlLayout = htmltemplate.Must(htmltemplate.New("letter.html").ParseFS(files, "parts/letter.html"))
)

// Text is the letter as plain text.
func (l *Letter) Text() (string, error) {
	var out bytes.Buffer
	if err := textLayout.Execute(&out, l); err != nil {
		return "", fmt.Errorf("mail: write text: %w", err)
	}
	return wrap(out.String()), nil
}

// HTML is the same content with the product's look.
func (l *Letter) HTML() (string, error) {
	var out bytes.Buffer
	if err := htmlLayout.Execute(&out, l); err != nil {
		return "", fmt.Errorf("mail: write HTML: %w", err)
	}
	return out.String(), nil
}

// wrap breaks lines at 72 characters between words, so that mail programs do
// not. A word that is longer, such as a link, stays whole.
func wrap(s string) string {
	var out []string
	for line := range strings.SplitSeq(strings.TrimSpace(s), "\n") {
		n, words := 0, strings.Fields(line)
		var b strings.Builder
		for _, w := range words {
			size := len([]rune(w))
			if n > 0 && n+1+size > 72 {
				b.WriteString("\n")
				n = 0
			}
			if n > 0 {
				b.WriteString(" ")
				n++
			}
			b.WriteString(w)
			n += size
		}
		out = append(out, b.String())
	}
	text := strings.Join(out, "\n")
	return regexp.MustCompile(`\n{3,}`).ReplaceAllString(text, "\n\n") + "\n"
}

func (l *Letter) helo() string {
	if l.Host == "" {
		return "localhost"
	}
	return l.Host
}

// message is the letter as it travels.
func (l *Letter) message() (*gomail.Msg, error) {
	text, err := l.Text()
	if err != nil {
		return nil, err
	}
	html, err := l.HTML()
	if err != nil {
		return nil, err
	}
	m := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	m.FromMailAddress(&l.From)
	if err := m.To((&netmail.Address{Name: l.Name, Address: l.To}).String()); err != nil {
		return nil, fmt.Errorf("mail: recipient: %w", err)
	}
	m.Subject(l.Subject)
	m.SetDateWithValue(l.Date)
	m.SetMessageIDWithValue(l.ID + "@" + l.helo())
	// RFC 3834: no answers by machines, and none from us to them.
	m.SetGenHeader("Auto-Submitted", "auto-generated")
	m.SetGenHeader("X-Auto-Response-Suppress", "All")
	m.SetGenHeader("Content-Language", l.Lang)
	m.SetBodyString(gomail.TypeTextPlain, text)
	m.AddAlternativeString(gomail.TypeTextHTML, html)
	return m, nil
}
