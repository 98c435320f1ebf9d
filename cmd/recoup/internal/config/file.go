package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// file is a YAML file that is being read into a configuration. It is walked as
// a tree, not decoded into a struct, so that every value goes the same way as
// one from a flag, and every complaint knows its line.
type file struct {
	*loading
	path string
	data []byte
}

func (f *file) load() {
	tree, err := parser.ParseBytes(f.data, 0)
	if err != nil {
		at, text := origin{name: f.path}, err.Error()
		if syntax := yaml.Error(nil); errors.As(err, &syntax) {
			at, text = f.at(syntax.GetToken()), syntax.GetMessage()
		}
		f.problem("", at, text)
		return
	}
	for i, doc := range tree.Docs {
		switch body := doc.Body.(type) {
		case nil, *ast.CommentGroupNode:
		case ast.MapNode:
			if i > 0 {
				f.problem("", f.at(doc.Body.GetToken()), "a second document begins here: want one")
				return
			}
			f.keys(body)
		default:
			f.problem("", f.at(doc.Body.GetToken()), "want keys with values, such as listen: 127.0.0.1:8484")
		}
	}
}

func (f *file) at(t *token.Token) origin {
	if t == nil || t.Position == nil {
		return origin{name: f.path}
	}
	return origin{name: f.path, line: t.Position.Line, source: excerpt(f.data, t.Position.Line, t.Position.Column)}
}

func (f *file) keys(m ast.MapNode) {
	for it := m.MapRange(); it.Next(); {
		name, at := it.Key().GetToken().Value, f.at(it.Key().GetToken())
		k, ok := keyNamed(name)
		switch {
		case !ok:
			f.unknown(name, at, keyNames())
		case name == keyProviders:
			f.origins[name] = at
			f.providers(it.Value())
		default:
			if text, at, ok := f.text(k, it.Value()); ok {
				f.set(k, text, at)
			}
		}
	}
}

func (f *file) unknown(name string, at origin, candidates []string) {
	f.problem("", at, fmt.Sprintf("unknown key %q: %s", name, didYouMean(name, candidates)))
}

// text returns the text of a key's value, that of a list with commas between.
func (f *file) text(k key, node ast.Node) (string, origin, bool) {
	list, ok := node.(*ast.SequenceNode)
	if !ok || !k.kind.list {
		return f.plain(k.name, k.kind.name, node)
	}
	texts := make([]string, len(list.Values))
	for i, v := range list.Values {
		text, at, ok := f.plain(k.name, k.kind.name, v)
		if !ok {
			return "", at, false
		}
		texts[i] = text
	}
	return strings.Join(texts, ","), f.at(node.GetToken()), true
}

// plain returns the text of a value that must be no more than that.
func (f *file) plain(key, want string, node ast.Node) (string, origin, bool) {
	at := f.at(node.GetToken())
	switch node.(type) {
	case *ast.StringNode, *ast.BoolNode, *ast.IntegerNode, *ast.FloatNode:
		return node.GetToken().Value, at, true
	case *ast.NullNode:
		f.problem(key, at, "has no value: want "+want)
	default:
		f.problem(key, at, "is not a plain value: want "+want)
	}
	return "", at, false
}

func (f *file) providers(node ast.Node) {
	const want = "want providers by name, such as openai: {base_url: https://api.openai.com}"
	m, ok := node.(ast.MapNode)
	if !ok {
		f.problem(keyProviders, f.at(node.GetToken()), want)
		return
	}
	for it := m.MapRange(); it.Next(); {
		name, at := it.Key().GetToken().Value, f.at(it.Key().GetToken())
		key := keyProviders + "." + name
		f.origins[key] = at
		fields, ok := it.Value().(ast.MapNode)
		if !ok {
			f.problem(key, f.at(it.Value().GetToken()), "want "+strings.Join(memberNames(), ", ")+", such as {base_url: https://api.openai.com}")
			continue
		}
		if err := f.provider(name, key, fields); err != nil {
			f.problem(key, at, err.Error())
		}
	}
}

func (f *file) provider(name, key string, fields ast.MapNode) error {
	p, err := f.settings.provider(name)
	if err != nil {
		return err
	}
	before := len(f.problems)
	for it := fields.MapRange(); it.Next(); {
		name, at := it.Key().GetToken().Value, f.at(it.Key().GetToken())
		i := slices.IndexFunc(members, func(m member) bool { return m.name == name })
		switch {
		case i < 0:
			f.unknown(name, at, memberNames())
			continue
		}
		text, at, ok := f.plain(key+"."+name, members[i].want, it.Value())
		if !ok {
			continue
		}
		if err := members[i].set(&p, text); err != nil {
			if name == "api_key_env" {
				at.source = "" // what stands there may be the key
			}
			f.problem(key+"."+name, at, err.Error()+": want "+members[i].want)
		}
		f.origins[key+"."+name] = at
	}
	if p.BaseURL == nil && len(f.problems) == before {
		return errNoBaseURL
	}
	f.settings.Gateway.Providers[name] = p
	return nil
}
