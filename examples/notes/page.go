package notes

import "html/template"

var page = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Notes</title>
<style>
:root { color-scheme: light dark; --ink: light-dark(#1b1d22, #e8e9ec); --soft: light-dark(#5c616b, #9aa0ab); --line: light-dark(#e3e5e9, #2c2f36); --paper: light-dark(#fff, #191b20); --ground: light-dark(#f6f7f8, #121317); --accent: light-dark(#0b6b5c, #56c7b3); }
* { box-sizing: border-box; }
body { margin: 0; font: 16px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--ground); }
main { max-width: 40rem; margin: 0 auto; padding: 3rem 1.25rem; }
header { display: flex; flex-wrap: wrap; gap: .75rem 1rem; align-items: baseline; justify-content: space-between; margin-bottom: 2rem; }
h1 { font-size: 1.5rem; margin: 0; letter-spacing: -.01em; }
p { margin: 0 0 1rem; } .soft { color: var(--soft); font-size: .9rem; }
form.note { display: grid; gap: .75rem; margin-bottom: 2rem; }
textarea { width: 100%; font: inherit; color: inherit; background: var(--paper); border: 1px solid var(--line); border-radius: 8px; padding: .75rem; min-height: 5rem; }
button, a.button { font: inherit; font-weight: 600; color: light-dark(#fff, #0d1513); background: var(--accent); border: 0; border-radius: 8px; padding: .55rem 1rem; cursor: pointer; text-decoration: none; justify-self: start; }
button.plain { color: var(--accent); background: none; padding: 0; font-weight: 500; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
ul { list-style: none; padding: 0; margin: 0; } li { background: var(--paper); border: 1px solid var(--line); border-radius: 8px; padding: 1rem; margin-bottom: .75rem; overflow-wrap: anywhere; }
[role=alert] { border-left: 4px solid light-dark(#b3261e, #f2938c); background: var(--paper); padding: .75rem 1rem; margin-bottom: 1.5rem; }
</style>
</head>
<body>
<main>
<header>
<h1>Notes</h1>
{{with .Who}}<form method="post" action="/sign-out"><span class="soft">{{.Name}}{{if .OrgName}} · {{.OrgName}}{{end}}</span> <button class="plain" data-action="sign-out">Sign out</button></form>{{end}}
</header>
{{if .Error}}<p role="alert">{{.Error}}</p>{{end}}
{{if not .Who}}
<p>Notes that your organization shares. Sign in to read and write them.</p>
<p><a class="button" href="/sign-in">Sign in</a></p>
{{else if not .Who.Org}}
<p>You are signed in, and belong to no organization yet. Ask an owner of yours for an invitation.</p>
{{else}}
<form class="note" method="post" action="/notes">
<label for="text">New note</label>
<textarea id="text" name="text" maxlength="2000" required></textarea>
<button>Add note</button>
</form>
{{if .Notes}}<ul>{{range .Notes}}<li><p>{{.Text}}</p><span class="soft">{{.By}}, {{.At.UTC.Format "2 January 2006, 15:04"}} UTC</span></li>{{end}}</ul>
{{else}}<p class="soft">There are no notes yet. The first one you write is seen by everyone in {{.Who.OrgName}}.</p>{{end}}
{{end}}
</main>
</body>
</html>
`))
