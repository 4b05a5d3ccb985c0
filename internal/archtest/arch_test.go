package archtest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const module = "github.com/rempart/rempart/"

type pkg struct {
	ImportPath string
	Dir        string
	Imports    []string
	GoFiles    []string
	Doc        string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,Imports,GoFiles,Doc", "./...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []pkg
	dec := json.NewDecoder(bytes.NewReader(out))
	for {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func TestImportsGoDown(t *testing.T) {
	tier := map[string]int{}
	for i, names := range tiers {
		for _, n := range names {
			tier[n] = i
		}
	}
	for _, p := range packages(t) {
		from := strings.TrimPrefix(p.ImportPath, module)
		if strings.HasPrefix(from, "examples/") || strings.HasPrefix(from, "tools/") {
			for _, imp := range p.Imports {
				if strings.HasPrefix(imp, module+"internal/") && !strings.HasPrefix(from, "tools/") {
					t.Errorf("%s imports %s: an example uses only what a stranger can", from, imp)
				}
			}
			continue
		}
		lf, ok := tier[from]
		if !ok {
			t.Errorf("%s is in no tier of imports.go", from)
			continue
		}
		for _, imp := range p.Imports {
			to, own := strings.CutPrefix(imp, module)
			if !own {
				continue
			}
			lt, ok := tier[to]
			switch {
			case !ok:
				t.Errorf("%s imports %s, which is in no tier", from, to)
			case lt > lf:
				t.Errorf("%s imports %s: imports go down", from, to)
			case lt == lf && from != to:
				if edges[[2]string{from, to}] == "" {
					t.Errorf("%s imports %s of its own tier; imports.go lists no such edge", from, to)
				}
			}
		}
		if from != "internal/store" && from != "internal/store/storetest" {
			for _, imp := range p.Imports {
				if imp == "database/sql" || strings.HasPrefix(imp, "github.com/jackc/pgx") || imp == "modernc.org/sqlite" {
					t.Errorf("%s imports %s: rows are reached through internal/store", from, imp)
				}
			}
		}
		if from == "internal/console" {
			continue
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	for _, p := range packages(t) {
		if len(p.GoFiles) > 0 && len(p.Doc) < 20 {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}

// large lists the files and packages that may be larger, with the reason.
var large = map[string]string{
	"internal/directory": "organizations, people and invitations share rows and transactions; what shows them is internal/directory/desk",
	"internal/audit":     "what is written, signed, proven and verified is one format; its face is a package of its own",
	"internal/keyring":   "keys, their copies and their ledger are one state: apart, they would have to export wrapped keys to each other",
	"internal/signin":    "flows, mailed links and the account's pages share how a credential changes together with its session and letters",
	"internal/provider":  "one protocol: its endpoints, clients and keys share what is in memory",
}

func TestFilesAndPackagesStaySmall(t *testing.T) {
	for _, p := range packages(t) {
		total := 0
		for _, f := range p.GoFiles {
			n := lines(t, filepath.Join(p.Dir, f))
			total += n
			name := strings.TrimPrefix(p.ImportPath, module) + "/" + f
			if n > 600 && large[name] == "" {
				t.Errorf("%s has %d lines: it holds two ideas", name, n)
			}
		}
		if name := strings.TrimPrefix(p.ImportPath, module); total > 2500 && large[name] == "" {
			t.Errorf("%s has %d lines: it holds two ideas", name, total)
		}
	}
}

func lines(t *testing.T, path string) int {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := 0
	for s := bufio.NewScanner(f); s.Scan(); {
		n++
	}
	return n
}

var forbidden = map[string]bool{"util": true, "utils": true, "common": true, "helpers": true, "models": true, "types": true, "base": true, "core": true, "manager": true, "auth": true}

func TestNamesAndSources(t *testing.T) {
	for _, p := range packages(t) {
		if forbidden[filepath.Base(p.ImportPath)] {
			t.Errorf("%s: the name says nothing", p.ImportPath)
		}
		for _, f := range p.GoFiles {
			fset := token.NewFileSet()
			file, err := parser.ParseFile(fset, filepath.Join(p.Dir, f), nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.ImportSpec:
					if n.Path.Value == `"math/rand"` {
						t.Errorf("%s: math/rand is no source of randomness", fset.Position(n.Pos()))
					}
				case *ast.FuncDecl:
					if n.Recv == nil && n.Name.Name == "init" {
						t.Errorf("%s: nothing registers itself in init", fset.Position(n.Pos()))
					}
				case *ast.CallExpr:
					sel, ok := n.Fun.(*ast.SelectorExpr)
					if !ok {
						return true
					}
					x, ok := sel.X.(*ast.Ident)
					name := strings.TrimPrefix(p.ImportPath, module)
					if ok && x.Name == "time" && sel.Sel.Name == "Sleep" {
						t.Errorf("%s: nothing sleeps", fset.Position(n.Pos()))
					}
					capabilities := strings.HasPrefix(name, "internal/") && !strings.HasPrefix(name, "internal/store") && name != "internal/clock" && name != "internal/local" && name != "internal/web" && name != "internal/app" && name != "internal/demo" && name != "internal/scenario"
					if ok && capabilities && x.Name == "time" && sel.Sel.Name == "Now" {
						t.Errorf("%s: time comes from Now of the service", fset.Position(n.Pos()))
					}
				}
				return true
			})
		}
	}
}
