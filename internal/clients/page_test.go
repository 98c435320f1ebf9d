package clients

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

var update = flag.Bool("update", false, "write what is found into the tables of docs/clients.md")

// page is docs/clients.md. Its tables say what these tests found, cell by cell: what isn't
// tried in a run stays as it is, all else is compared, or written.
var page document

// A document has tables between marks, with a row for each client.
type document struct {
	mu    sync.Mutex
	text  string
	stale bool // a row or a version was missing
}

var pagePath = filepath.Join("..", "..", "docs", "clients.md")

// columns are those of each table, besides client and version.
func columns() map[string][]string {
	all := map[string][]string{truncationTable: truncationColumns}
	for _, m := range mishaps {
		for _, w := range ways {
			all[m.name] = append(all[m.name], w.name)
		}
	}
	return all
}

// untried is the cell of what a client doesn't do.
const untried = "–"

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// found says what a test found of a client.
func (d *document) found(t *testing.T, table string, c client, column, cell string) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	body, err := d.table(table)
	if err != nil {
		t.Error(err)
		return
	}
	at := slices.Index(columns()[table], column) + 2
	for i, line := range body {
		cells := cellsOf(line)
		if cells[0] != nameCell(c) {
			continue
		}
		if cells[at] == cell {
			return
		}
		if !*update {
			t.Errorf("docs/clients.md says %q of %s, %s, %s; found %q. With -update it is written", cells[at], c.name, table, column, cell)
			return
		}
		cells[at] = cell
		body[i] = row(cells)
		d.replace(table, body)
		if err := d.save(); err != nil { // now: a run may be broken off
			t.Error(err)
		}
		return
	}
	t.Errorf("docs/clients.md has no row for %s in %s: run with -update", c.name, table)
}

// complete gives each table a row for each client, with the version that is tried. It reports whether
// anything was missing.
func (d *document) complete() (missing bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, titles := range columns() {
		old, err := d.table(name)
		if err != nil {
			return false, err
		}
		var body []string
		for _, c := range clients() {
			cells := []string{nameCell(c), versionOf(c)}
			for range titles {
				cells = append(cells, untried)
			}
			for _, line := range old {
				if was := cellsOf(line); was[0] == cells[0] && len(was) == len(cells) {
					copy(cells[2:], was[2:])
				}
			}
			body = append(body, row(cells))
		}
		if !slices.Equal(old, body) {
			missing = true
			d.replace(name, body)
		}
	}
	return missing, nil
}

func nameCell(c client) string { return "`" + c.name + "`" }

func row(cells []string) string { return "| " + strings.Join(cells, " | ") + " |" }

func cellsOf(line string) []string {
	return strings.Split(strings.TrimSuffix(strings.TrimPrefix(line, "| "), " |"), " | ")
}

func marks(name string) (begin, end string) {
	return "<!-- " + name + ": generated -->\n", "<!-- /" + name + " -->\n"
}

// head is a table's first two lines.
func head(name string) string {
	titles := append([]string{"client", "version"}, columns()[name]...)
	return row(titles) + "\n|" + strings.Repeat(" --- |", len(titles)) + "\n"
}

// table returns the rows of a table.
func (d *document) table(name string) ([]string, error) {
	begin, end := marks(name)
	_, rest, ok := strings.Cut(d.text, begin)
	body, _, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return nil, fmt.Errorf("docs/clients.md has no table %q", name)
	}
	body = strings.TrimPrefix(body, head(name))
	return strings.FieldsFunc(body, func(r rune) bool { return r == '\n' }), nil
}

func (d *document) replace(name string, body []string) {
	begin, end := marks(name)
	before, rest, _ := strings.Cut(d.text, begin)
	_, after, _ := strings.Cut(rest, end)
	d.text = before + begin + head(name) + strings.Join(body, "\n") + "\n" + end + after
}

func (d *document) load() error {
	text, err := os.ReadFile(pagePath)
	d.text = string(text)
	return err
}

func (d *document) save() error {
	return os.WriteFile(pagePath, []byte(d.text), 0o644)
}

// The page has each client, with the version that is tried here.
func TestPageHasEachClient(t *testing.T) {
	if page.stale && !*update {
		t.Error("docs/clients.md misses clients, or has other versions: run go test ./internal/clients -run TestPage -update, and try those that are new")
	}
}
