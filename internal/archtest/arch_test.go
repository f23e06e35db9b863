package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// pkg is one package as go list describes it.
type pkg struct {
	ImportPath   string
	Standard     bool
	Imports      []string
	TestImports  []string
	XTestImports []string
	Deps         []string
}

func (p *pkg) name() string { return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/") }

// list asks the go command for packages, from the root of the module.
func list(t *testing.T, args ...string) []*pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-e", "-json=ImportPath,Standard,Imports,TestImports,XTestImports,Deps"}, args...)...)
	cmd.Dir = "../.."
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("go list %v: %v\n%s", args, err, stderr.String())
	}
	var all []*pkg
	for dec := json.NewDecoder(&stdout); ; {
		p := new(pkg)
		err := dec.Decode(p)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("go list %v: %v", args, err)
		}
		all = append(all, p)
	}
}

// under reports whether name is pattern, or below it if it ends in "/...".
func under(name, pattern string) bool {
	tree, ok := strings.CutSuffix(pattern, "/...")
	return name == tree || ok && strings.HasPrefix(name, tree+"/")
}

func underAny(name string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return under(name, p) })
}

// within reports whether path is prefix or lies below it, versions included.
func within(path, prefix string) bool { return path == prefix || strings.HasPrefix(path, prefix+"/") }

// TestLayers holds every import inside the module against the table.
func TestLayers(t *testing.T) {
	table := layers()
	used := make([]bool, len(table))
	for _, p := range list(t, "./...") {
		i := slices.IndexFunc(table, func(l layer) bool { return under(p.name(), l.packages) })
		if i < 0 {
			t.Errorf("%s is in no layer: add it to the table in rules_test.go and say why it may import what it does", p.name())
			continue
		}
		used[i] = true
		for _, imported := range p.Imports {
			if name, ours := strings.CutPrefix(imported, module+"/"); ours && !underAny(name, table[i].may) {
				t.Errorf("%s must not import %s: %s", p.name(), name, table[i].why)
			}
		}
	}
	for i, l := range table {
		if !used[i] {
			t.Errorf("no package matches %s: its rule holds nothing, remove or mend it", l.packages)
		}
	}
}

// TestPublicPackagesAreWhole holds that pkg/ needs nothing of internal/, tests included.
func TestPublicPackagesAreWhole(t *testing.T) {
	for _, p := range list(t, "./pkg/...") {
		for _, imported := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			if within(imported, module+"/internal") {
				t.Errorf("%s must not import %s: what others may import must not need what they cannot", p.name(), imported)
			}
		}
	}
}

// TestProtocolIsPure holds that the wire is the standard library and JSON, without I/O.
func TestProtocolIsPure(t *testing.T) {
	pkgs := list(t, "./pkg/protocol")
	standard := map[string]bool{}
	for _, p := range list(t, "std") {
		standard[p.ImportPath] = true
	}
	for _, imported := range pkgs[0].Imports {
		switch {
		case imported == "net/http":
			onlyStatusCodes(t, "../../pkg/protocol")
		case within(imported, "net"), within(imported, "os"), imported == "log", imported == "log/slog":
			t.Errorf("pkg/protocol must not import %s: the wire does no I/O", imported)
		case !standard[imported] && !within(imported, "github.com/go-json-experiment/json"):
			t.Errorf("pkg/protocol must not import %s: only the standard library and JSON", imported)
		}
	}
}

// onlyStatusCodes holds that the package in dir takes only the names of status codes
// from net/http.
func onlyStatusCodes(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for node := range ast.Preorder(file) {
			if sel, ok := node.(*ast.SelectorExpr); ok && isName(sel.X, "http") && !strings.HasPrefix(sel.Sel.Name, "Status") {
				t.Errorf("%s: http.%s: the wire does no I/O, it may take status codes only", fset.Position(sel.Pos()), sel.Sel.Name)
			}
		}
	}
}

func isName(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}

// TestOwners holds that each outside package is touched only where its rule says.
func TestOwners(t *testing.T) {
	pkgs := list(t, "./...")
	for _, rule := range owners() {
		used := false
		for _, p := range pkgs {
			for _, imported := range p.Imports {
				if within(imported, rule.imports) {
					used = true
					if !underAny(p.name(), rule.only) {
						t.Errorf("%s must not import %s: %s", p.name(), imported, rule.why)
					}
				}
			}
			for _, imported := range slices.Concat(p.TestImports, p.XTestImports) {
				if within(imported, rule.imports) {
					used = true
					if !underAny(p.name(), rule.only) && !underAny(p.name(), rule.tests) {
						t.Errorf("tests of %s must not import %s: %s", p.name(), imported, rule.why)
					}
				}
			}
		}
		if !used {
			t.Errorf("nobody imports %s any more: its rule holds nothing, remove or mend it", rule.imports)
		}
	}
}

// TestUnreachable holds what must not be linked, not even through others, and that the
// forbidden still exists: a rule about a package that was renamed forbids nothing.
func TestUnreachable(t *testing.T) {
	known := map[string]bool{}
	byName := map[string]*pkg{}
	for _, p := range list(t, "-deps", "./...") {
		known[p.ImportPath] = true
		byName[p.name()] = p
	}
	for _, rule := range unreachable() {
		p := byName[rule.from]
		if p == nil {
			t.Errorf("%s does not exist: mend the rule that it must not reach %s", rule.from, rule.reach)
			continue
		}
		exists := false
		for path := range known {
			exists = exists || within(path, rule.reach)
		}
		if !exists {
			t.Errorf("%s does not exist: mend the rule that %s must not reach it", rule.reach, rule.from)
		}
		for _, dep := range p.Deps {
			if within(dep, rule.reach) {
				t.Errorf("%s must not reach %s: %s", rule.from, dep, rule.reason)
			}
		}
	}
}
