package clients

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
)

// versionOf is the version of a client's SDK that is tried here: the one that its
// files pin.
func versionOf(c client) string { return c.driver.version(c.module) }

// moduleVersion is that of a module in go.mod.
func moduleVersion(path string) string {
	data, err := os.ReadFile(filepath.Join("..", "..", "go.mod"))
	if err != nil {
		panic(err)
	}
	_, rest, _ := strings.Cut(string(data), "\t"+path+" v")
	version, _, _ := strings.Cut(rest, "\n")
	return version
}

// packageVersion is that of a package of js/package.json.
func packageVersion(name string) string {
	data, err := os.ReadFile(filepath.Join("js", "package.json"))
	if err != nil {
		panic(err)
	}
	var pins struct{ Dependencies, OptionalDependencies map[string]string }
	if err := json.Unmarshal(data, &pins); err != nil {
		panic(err)
	}
	if v, ok := pins.Dependencies[name]; ok {
		return v
	}
	return pins.OptionalDependencies[name]
}
