package dialect

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestArraySplitter(t *testing.T) {
	for _, test := range []struct {
		name, body string
		want       []string // with a "~" in front: not whole
	}{
		{"google's", "[{\"a\": 1\n}\n,\r\n{\"b\": [2, {}]\n}\n]\n", []string{"[{\"a\": 1\n}", "\n,\r\n{\"b\": [2, {}]\n}", "\n]", "~\n"}},
		{"empty", "[]", []string{"[]"}},
		{"white space", " [ ] ", []string{" [ ]", "~ "}},
		{"brackets in strings", `[{"a":"}]\"}"},{"b\\":"\\"}]`, []string{`[{"a":"}]\"}"}`, `,{"b\\":"\\"}`, `]`}},
		{"scalars", `[1,"}",{},2]`, []string{`[1,"}",{}`, `,2]`}},
		{"lists", `[[1],[2,[3]]]`, []string{`[[1]`, `,[2,[3]]`, `]`}},
		{"an object", `{"error":{"code":[1,{}]}}`, []string{`{"error":{"code":[1,{}]}}`}},
		{"cut in an element", `[{"a":1},{"b`, []string{`[{"a":1}`, `~,{"b`}},
		{"cut behind one", `[{"a":1},`, []string{`[{"a":1}`, `~,`}},
		{"nothing", ``, nil},
		{"no JSON", `}]x{`, []string{`}`, `]`, `~x{`}},
	} {
		for cut := range len(test.body) + 1 {
			var got []string
			for _, p := range split(NewArray(0), []byte(test.body), cut) {
				if !p.whole {
					p.data = "~" + p.data
				}
				got = append(got, p.data)
			}
			if !slices.Equal(got, test.want) {
				t.Fatalf("%s, cut at %d: %q, want %q", test.name, cut, got, test.want)
			}
		}
	}
}

// However it is cut, an array comes out as it went in, in the same parts, each of which is an element.
func FuzzArraySplitter(f *testing.F) {
	f.Add([]byte("[{\"a\": 1}\n,\r\n{\"b\": [2, {}]}\n]\n"), []byte{3, 1, 9}, uint8(0))
	f.Add([]byte(`[{"a":"}]\"}"},1,{"b\\":"\\"}]`), []byte{1, 1, 1, 1, 1, 1, 1}, uint8(3))
	f.Add([]byte(`}]{"x`), []byte{1, 0, 0, 2}, uint8(1))
	f.Fuzz(func(t *testing.T, body, seed []byte, max uint8) {
		want := split(NewArray(int(max)), body)
		got := split(NewArray(int(max)), body, cutsOf(seed, len(body))...)
		if !slices.Equal(got, want) {
			t.Fatalf("cut: %+v\nwhole: %+v", got, want)
		}
		if joined(want) != string(body) {
			t.Fatalf("the parts joined are %q", joined(want))
		}
		for i, p := range want {
			if max > 0 && (len(p.data) > int(max) || p.more && len(p.data) != int(max)) {
				t.Fatalf("part of %d bytes, more: %v", len(p.data), p.more)
			}
			if !p.whole && !p.more && i != len(want)-1 {
				t.Fatalf("part %d is not whole", i)
			}
		}
		sameElements(t, body, split(NewArray(0), body))
	})
}

// sameElements compares what is cut out of an array with what encoding/json finds in it.
func sameElements(t *testing.T, body []byte, parts []heldPart) {
	t.Helper()
	var elements []json.RawMessage
	if json.Unmarshal(body, &elements) != nil || bytes.TrimSpace(body)[0] != '[' {
		return
	}
	var containers []string
	for _, e := range elements {
		if e[0] == '{' || e[0] == '[' {
			containers = append(containers, string(e))
		}
	}
	var got []string
	for _, p := range parts {
		if n := len(got); n < len(containers) && strings.HasSuffix(p.data, containers[n]) {
			got = append(got, containers[n])
		}
	}
	if !slices.Equal(got, containers) || len(parts) < len(containers)+1 {
		t.Fatalf("elements %q, want %q; parts %+v", got, containers, parts)
	}
}

// plainNumbers tells whether the scanner, which looks at structure alone, must agree with encoding/json
// about a text: it has neither escapes nor control characters, and nothing like a number.
func plainNumbers(body []byte) bool {
	return !bytes.ContainsFunc(body, func(r rune) bool {
		return r < ' ' || r > '~' || r == '\\' || r >= '0' && r <= '9' || r == '-'
	})
}
