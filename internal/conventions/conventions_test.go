package conventions

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/recoup-gateway/recoup"

// root is the top of the repository, seen from this package.
var root = filepath.Join("..", "..")

// pkg is what `go list -json` says of a package.
type pkg struct {
	ImportPath string
	Dir        string
	Name       string
	Doc        string
	GoFiles    []string
	Imports    []string
}

// path is the package's path in this module: "gateway/dialect".
func (p pkg) path() string { return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/") }

// ours are the packages of this module that p imports, other than in tests:
// those may use what they need to build a scene.
func (p pkg) ours() []string {
	var paths []string
	for _, i := range p.Imports {
		if rest, ok := strings.CutPrefix(i, module+"/"); ok {
			paths = append(paths, rest)
		}
	}
	return paths
}

func packages(t *testing.T) []pkg {
	t.Helper()
	c := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Dir,Name,Doc,GoFiles,Imports", "./...")
	c.Dir = root
	out, err := c.Output()
	if err != nil {
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	var all []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) == 0 {
		t.Fatal("go list names no package")
	}
	return all
}

func TestPackageDocs(t *testing.T) {
	for _, p := range packages(t) {
		want := "Package " + p.Name + " "
		if p.Name == "main" {
			want = "Command " + path.Base(p.path()) + " "
		}
		if !strings.HasPrefix(p.Doc, want) {
			t.Errorf("%s: its documentation begins with %q, not with %q", p.path(), p.Doc, want)
		}
	}
}

func TestPackageNames(t *testing.T) {
	for _, p := range packages(t) {
		for _, part := range strings.Split(p.path(), "/") {
			if slices.Contains([]string{"util", "utils", "types", "common", "pkg", "helpers", "misc"}, part) {
				t.Errorf("%s: %q says nothing about what is in it", p.path(), part)
			}
		}
	}
}

// A rule of the graph of imports. Patterns are package paths in this module; one
// that ends with /... is for all below it too.
type rule struct {
	imported string   // whoever imports this
	by       []string // must be one of these
	importer string   // or: whoever is this
	only     []string // imports of ours only these
	why      string
}

var rules = []rule{
	{imported: "gateway", by: []string{"cmd/...", "internal/demo/...", "internal/bench/..."}, why: "the HTTP surface is the outermost layer"},
	{imported: "metrics", by: []string{"cmd/...", "gateway", "dashboards/..."}, why: "packages that store hand out numbers"},
	{imported: "internal/conventions", why: "it is only tests"},
	{imported: "internal/deployment", why: "it is only tests"},
	{imported: "internal/clients/...", why: "it is only tests"},
	{imported: "internal/simulator", by: []string{"cmd/...", "internal/demo/...", "internal/bench/..."}, why: "the product doesn't depend on a test's provider"},
	{imported: "cmd/...", by: []string{"cmd/..."}, why: "it only wires"},
	{importer: "metrics", only: []string{"internal/token"}, why: "it is a catalogue"},
	{importer: "dashboards", only: []string{"metrics"}, why: "a program that embeds them needs none of what makes them"},
	{importer: "dashboards/internal/...", only: []string{"dashboards/internal/...", "metrics"}, why: "they show what is exported, whoever exports it"},
	{imported: "dashboards/internal/...", by: []string{"dashboards/internal/..."}, why: "it is only run to write files"},
	{imported: "dashboards", by: []string{"cmd/...", "dashboards/..."}, why: "nothing that runs a call depends on pictures"},
	{importer: "internal/simulator/...", why: "it is an independent witness"},
	{importer: "gateway/dialect", only: []string{"internal/token"}, why: "it is pure"},
	{importer: "pricing", only: []string{"internal/token"}, why: "it is pure"},
	{importer: "pricing/litellm", only: []string{"pricing", "internal/token"}, why: "it is pure"},
	{imported: "pricing/litellm", by: []string{"cmd/..."}, why: "nothing that prices an answer depends on another's table"},
	{importer: "internal/token", why: "it is a leaf"},
	{importer: "internal/badgerfile", why: "it is a leaf"},
	{importer: "internal/providers", why: "it is a table"},
	{imported: "internal/badgerfile", by: []string{"internal/streamlog/...", "internal/ledger/..."}, why: "others have no database"},
	{importer: "internal/streamlog/...", only: []string{"internal/streamlog/...", "internal/badgerfile"}, why: "the log knows no provider, and not the ledger"},
	{importer: "internal/ledger/...", only: []string{"internal/ledger/...", "internal/badgerfile", "pricing", "internal/token"}, why: "the ledger doesn't know the log"},
	{importer: "internal/gatewaykeys", why: "it is a leaf"},
	{importer: "internal/awssign", why: "it is a leaf"},
	{importer: "internal/adminapi", why: "it is a leaf"},
	{imported: "internal/awssign", by: []string{"cmd/..."}, why: "who calls a provider needs to know only that somebody signs"},
	{importer: "internal/books", only: []string{"pricing", "internal/token"}, why: "it is pure"},
	{imported: "internal/books/histories", why: "it is only for tests"},
	{imported: "internal/ledger/ledgertest", why: "it is only for tests"},
	{importer: "internal/books/histories", only: []string{"internal/books", "pricing", "internal/token"}, why: "it is only for tests"},
	{importer: "internal/settle", only: []string{"gateway/dialect", "internal/books", "internal/ledger", "internal/streamlog", "internal/token", "pricing"}, why: "it stands between the log and the ledger"},
	{importer: "internal/audit", only: []string{"gateway/dialect", "internal/adminapi", "internal/audit/...", "internal/books", "internal/ledger", "internal/settle", "internal/streamlog", "internal/token", "pricing"}, why: "it reads, and asks the ledger to post"},
	{importer: "internal/audit/report", only: []string{"internal/books", "internal/ledger", "internal/settle", "internal/token", "pricing"}, why: "it only reads the books"},
	{importer: "internal/audit/incident", only: []string{"internal/audit/report", "internal/ledger", "pricing"}, why: "it reads the books, and asks the ledger to post"},
	{importer: "internal/audit/render", only: []string{"internal/audit/report", "pricing"}, why: "it shows a report, whoever made it"},
	{importer: "internal/audit/vendor", only: []string{"internal/token", "pricing"}, why: "it reads reports, and knows no books"},
	{importer: "internal/audit/bucket", only: []string{"internal/adminapi", "internal/audit/vendor", "internal/books", "internal/ledger", "internal/settle", "internal/token", "pricing"}, why: "it reads, and asks the ledger to post"},
	{imported: "internal/audit/...", by: []string{"cmd/...", "internal/audit/..."}, why: "nothing that runs a call depends on reports"},
	{importer: "internal/export", only: []string{"internal/adminapi", "internal/ledger", "internal/settle", "internal/token", "pricing"}, why: "it reads"},
	{imported: "internal/export", by: []string{"cmd/..."}, why: "nothing that runs a call depends on reports"},
	{importer: "internal/reprice", only: []string{"internal/adminapi", "internal/ledger", "internal/settle", "pricing"}, why: "it reads, and asks the ledger to post"},
	{imported: "internal/reprice", by: []string{"cmd/..."}, why: "the books never change by themselves"},
	{importer: "internal/audit/proof", only: []string{"internal/ledger", "internal/streamlog", "internal/token", "pricing"}, why: "it is a second reading, and shares none of the first"},
	{importer: "internal/console", why: "it is files; what they show, the admin plane has"},
	{imported: "internal/console", by: []string{"cmd/..."}, why: "nothing that runs a call depends on pictures"},
	{importer: "gateway", only: []string{"gateway/dialect", "internal/gatewaykeys", "internal/ledger", "internal/providers", "internal/settle", "internal/streamlog", "internal/token", "metrics", "pricing"}, why: "imports run one way"},
}

func TestImportGraph(t *testing.T) {
	all := packages(t)
	for _, r := range rules {
		for _, p := range all {
			for _, imported := range p.ours() {
				switch {
				case r.imported != "" && match(r.imported, imported) && !matchAny(r.by, p.path()):
					t.Errorf("%s imports %s: %s", p.path(), imported, r.why)
				case r.importer != "" && match(r.importer, p.path()) && !matchAny(r.only, imported):
					t.Errorf("%s imports %s: %s", p.path(), imported, r.why)
				}
			}
		}
	}
}

func matchAny(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return match(p, path) })
}

func match(pattern, path string) bool {
	prefix, below := strings.CutSuffix(pattern, "/...")
	return path == prefix || below && strings.HasPrefix(path, prefix+"/")
}

// The rules see what they are for.
func TestMatch(t *testing.T) {
	for _, tt := range []struct {
		pattern, path string
		want          bool
	}{
		{"gateway", "gateway", true},
		{"gateway", "gateway/dialect", false},
		{"cmd/...", "cmd/recoup", true},
		{"cmd/...", "cmd", true},
		{"cmd/...", "cmdline", false},
	} {
		if match(tt.pattern, tt.path) != tt.want {
			t.Errorf("match(%q, %q) is not %v", tt.pattern, tt.path, tt.want)
		}
	}
}

// A replace directive is ignored by `go install`, so that others would build
// something else than we do.
func TestNoReplace(t *testing.T) {
	c := exec.CommandContext(t.Context(), "go", "mod", "edit", "-json")
	c.Dir = root
	out, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	var mod struct {
		Module  struct{ Path string }
		Replace []any
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	if mod.Module.Path != module || len(mod.Replace) > 0 {
		t.Errorf("module %s, %d replace directives", mod.Module.Path, len(mod.Replace))
	}
}

// eachFile calls fn with every Go file of the repository.
func eachFile(t *testing.T, fn func(name string, content []byte)) {
	t.Helper()
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if base := d.Name(); base == "testdata" || strings.HasPrefix(base, ".") && base != "." && base != ".." {
				return fs.SkipDir
			}
			return nil
		}
		if filepath.Ext(name) != ".go" {
			return nil
		}
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		fn(rel, content)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

const maxLines = 450

func TestFilesAreShort(t *testing.T) {
	eachFile(t, func(name string, content []byte) {
		if n := bytes.Count(content, []byte("\n")); n > maxLines && !strings.HasSuffix(name, "_test.go") {
			t.Errorf("%s has %d lines: cut it by concern", name, n)
		}
	})
}

// A test that sleeps is slow where it needn't wait and fails where it should
// have waited longer.
func TestNoSleepInTests(t *testing.T) {
	eachFile(t, func(name string, content []byte) {
		if strings.HasSuffix(name, "_test.go") {
			for _, line := range sleeps(t, name, content) {
				t.Errorf("%s:%d: time.Sleep in a test: use a channel, a condition, or testing/synctest with a timer", name, line)
			}
		}
	})
	if got := sleeps(t, "x.go", []byte("package x\nimport zzz \"time\"\nfunc f() {\n\tzzz.Sleep(1)\n\tdefer zzz.Sleep(2)\n}\n")); !slices.Equal(got, []int{4, 5}) {
		t.Errorf("sleeps are found in lines %v", got)
	}
}

// sleeps returns the lines in which time.Sleep is used.
func sleeps(t *testing.T, name string, content []byte) []int {
	t.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, content, parser.SkipObjectResolution)
	if err != nil {
		t.Error(err)
		return nil
	}
	local := ""
	for _, spec := range file.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil && p == "time" {
			local = "time"
			if spec.Name != nil {
				local = spec.Name.Name
			}
		}
	}
	var lines []int
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "Sleep" {
			if x, ok := s.X.(*ast.Ident); ok && local != "" && x.Name == local {
				lines = append(lines, fset.Position(s.Pos()).Line)
			}
		}
		return true
	})
	return lines
}
