package config

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/recoup-gateway/recoup/pricing"
)

const (
	configFlag = "config"
	configEnv  = envPrefix + "CONFIG"
)

// Loader reads the configuration of one process, once at its start and again
// at each reload.
type Loader struct {
	given   map[string]*flagValues // by flag
	environ map[string]string
	all     []string // the whole environment, for keys of providers
	path    *string  // --config
}

// flagValues are the texts that a flag was given, in their order. They are
// checked with those of the other sources, not by the flag's parser.
type flagValues struct {
	typ   string
	def   string
	texts []string
}

func (v *flagValues) Type() string   { return v.typ }
func (v *flagValues) String() string { return v.def }
func (v *flagValues) Set(text string) error {
	v.texts = append(v.texts, text)
	return nil
}

// NewLoader adds --config and a flag for each key to flags. environ is
// what os.Environ returns.
func NewLoader(flags *pflag.FlagSet, environ []string) *Loader {
	l := &Loader{given: map[string]*flagValues{}, environ: map[string]string{}, all: environ}
	for _, pair := range environ {
		if name, text, ok := strings.Cut(pair, "="); ok && text != "" && strings.HasPrefix(name, envPrefix) {
			l.environ[name] = text
		}
	}
	l.path = flags.String(configFlag, "", "configuration `file` in YAML")
	def := defaults()
	for _, k := range keys {
		v := &flagValues{typ: k.kind.name, def: k.kind.text(def)}
		help := k.help
		if k.name == keyProviders {
			v.def = "" // four URLs are too much for a line of help
		}
		l.given[k.flag()] = v
		if f := flags.VarPF(v, k.flag(), "", help); k.kind.name == "true or false" {
			v.typ, f.NoOptDefVal = "bool", "true"
		}
	}
	return l
}

// FlagError makes a flag parser's error say which flag was meant.
func FlagError(flags *pflag.FlagSet, err error) error {
	unknown := (*pflag.NotExistError)(nil)
	if !errors.As(err, &unknown) {
		return err
	}
	var names []string
	flags.VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	if best := nearest(unknown.GetSpecifiedName(), names); best != "" {
		return fmt.Errorf("%w: did you mean --%s?", err, best)
	}
	return err
}

// Load reads all sources. An error is an *Error.
func (l *Loader) Load() (*Settings, error) {
	in := l.sources()
	if len(in.problems) == 0 {
		in.check()
	}
	if len(in.problems) > 0 {
		return nil, &Error{Problems: in.problems}
	}
	in.settings.Warnings = slices.Concat(l.misspelt(), in.settings.Prices.Warnings(), in.settings.idlePrices())
	return in.settings, nil
}

// LoadPrices reads all sources, and of the files that they name only those with
// prices: for commands that need no more. An error is an *Error.
func (l *Loader) LoadPrices() (*pricing.Book, error) {
	in := l.sources()
	if len(in.problems) == 0 {
		in.readPrices()
	}
	if len(in.problems) > 0 {
		return nil, &Error{Problems: in.problems}
	}
	return in.settings.Prices, nil
}

// sources reads the file, the environment and the flags.
func (l *Loader) sources() *loading {
	in := &loading{settings: defaults(), origins: map[string]origin{}, getenv: l.getenv}
	switch {
	case *l.path != "":
		in.file(*l.path, "--"+configFlag)
	case l.environ[configEnv] != "":
		in.file(l.environ[configEnv], configEnv)
	}
	for _, k := range keys {
		if text, ok := l.environ[k.env()]; ok {
			in.set(k, text, origin{name: k.env()})
		}
	}
	for _, k := range keys {
		for _, text := range l.given[k.flag()].texts {
			in.set(k, text, origin{name: "--" + k.flag()})
		}
	}
	return in
}

// getenv reads a variable that is not one of the gateway's own.
func (l *Loader) getenv(name string) string {
	for _, pair := range slices.Backward(l.all) {
		if v, ok := strings.CutPrefix(pair, name+"="); ok {
			return v
		}
	}
	return ""
}

// misspelt warns of variables that were probably meant to be a key's.
func (l *Loader) misspelt() []string {
	known := []string{configEnv}
	for _, k := range keys {
		known = append(known, k.env())
	}
	var warnings []string
	for name := range l.environ {
		if slices.Contains(known, name) {
			continue
		}
		// The prefix is no sign of likeness.
		short := make([]string, len(known))
		for i, k := range known {
			short[i] = strings.TrimPrefix(k, envPrefix)
		}
		if best := nearest(strings.TrimPrefix(name, envPrefix), short); best != "" {
			warnings = append(warnings, fmt.Sprintf("environment variable %s is not used: did you mean %s%s?", name, envPrefix, best))
		}
	}
	slices.Sort(warnings)
	return warnings
}

// loading is a configuration that is being put together.
type loading struct {
	settings *Settings
	origins  map[string]origin // by key, and by providers.name and providers.name.member; not there: default
	problems []Problem
	getenv   func(name string) string
}

func (l *loading) set(k key, text string, at origin) {
	if err := k.kind.set(l.settings, text); err != nil {
		l.problem(k.name, at, err.Error())
		return
	}
	l.origins[k.name] = at
	if k.name == keyProviders {
		for one := range strings.SplitSeq(text, ",") {
			name, _, _ := strings.Cut(strings.TrimSpace(one), "=")
			l.origins[keyProviders+"."+name+".base_url"] = at
		}
	}
}

// refuse notes what is wrong with the value that a key has now.
func (l *loading) refuse(key, text string) { l.problem(key, l.origins[key], text) }

func (l *loading) known(key string) bool { _, ok := l.origins[key]; return ok }

func (l *loading) problem(key string, at origin, text string) {
	l.problems = append(l.problems, Problem{Key: key, Where: at.String(), Text: text, Source: at.source})
}

// file reads the YAML file at path, which was named by.
func (l *loading) file(path, by string) {
	data, err := os.ReadFile(path)
	if err != nil {
		l.problem("", origin{name: by}, err.Error())
		return
	}
	(&file{loading: l, path: path, data: data}).load()
}
