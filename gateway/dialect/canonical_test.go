package dialect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestCanonical(t *testing.T) {
	for _, test := range []struct{ name, in, want string }{
		{"members are sorted", `{"b":1,"a":{"d":[3,{"y":1,"x":2}],"c":null}}`, `{"a":{"c":null,"d":[3,{"x":2,"y":1}]},"b":1}`},
		{"white space goes", " {\n\t\"a\" : [ 1 , 2 ] ,\r\n \"b\" : { } }\n", `{"a":[1,2],"b":{}}`},
		{"white space in text stays", `{"a":" b  c "}`, `{"a":" b  c "}`},
		{"the mode of delivery goes", `{"stream":true,"a":1,"stream_options":{"include_usage":true}}`, `{"a":1}`},
		{"nothing else", `{"stream":false}`, `{}`},
		{"deeper it stays", `{"a":{"stream":true},"b":[{"stream_options":1}]}`, `{"a":{"stream":true},"b":[{"stream_options":1}]}`},
		{"an escaped name", `{"\u0073tream":true,"\u0062":1,"a":2}`, `{"a":2,"b":1}`},
		{"the last of two counts", `{"a":1,"b":2,"a":3}`, `{"a":3,"b":2}`},
		{"the last of two spellings", `{"a":1,"\u0061":{"b":2}}`, `{"a":{"b":2}}`},
		{"numbers as written", `[1.0,1,1e0,-0,0.10,12345678901234567890123]`, `[1.0,1,1e0,-0,0.10,12345678901234567890123]`},
		{"no escape for HTML", `"<&> \u003c\/ \u2028"`, "\"<&> </ \u2028\""},
		{"escapes", `"\u0041\u00e9\n\u000a\u0000\u001F\"\u0022\\\u005c\ud83d\ude00"`, `"Aé\n\n\u0000\u001f\"\"\\\\😀"`},
		{"half a pair", `"\uD800 \udc00\ud800 \ud800\u0041 \ud800\n"`, `"\ud800 \udc00\ud800 \ud800A \ud800\n"`},
		{"no object", ` [true,false,null] `, `[true,false,null]`},
		{"a number alone", `12`, `12`},
		{"1,000 levels", deepArray(1000), deepArray(1000)},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := Canonical([]byte(test.in))
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestCanonicalRefuses(t *testing.T) {
	for _, in := range []string{
		"", " ", "{", "}", "{}{}", "{} x", `{"a":1}]`, `{"a" 1}`, `{"a":1,}`, `{"a":}`, `{,}`, `[1 2]`, `[1,]`, `{1:2}`,
		"tru", "nulll", "[x]", "01", "1.", "-", "1e", ".5", "+1", "1e+", "0x1", "NaN", "[1-2]",
		`"a`, `"\x"`, `"\u12"`, `"\u12g4"`, "\"a\nb\"", "\"\x00\"", "\"\xff\"", "{}\x00", "\ufeff{}",
		`{"` + "\x01" + `":1}`, `{"\q":1}`,
		deepArray(1001), strings.Repeat("[", 5_000_000), strings.Repeat(`{"a":`, 100_000),
	} {
		if got, err := Canonical([]byte(in)); err == nil {
			t.Errorf("%.40q became %.40q", in, got)
		}
	}
}

func deepArray(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

// Canonical agrees with encoding/json on what is JSON and on what it says.
func FuzzCanonical(f *testing.F) {
	for _, seed := range []string{
		`{"b":[1,2.50,-3e+7],"a":{"stream":true,"x":"\u00e9\n\ud83d\ude00"},"stream":true}`,
		`{"a":1,"a":2}`, `"\ud800"`, ` [ ] `, `{"":{"":null}}`, "01", `{"a":"\/"}`, `[[{}],""]`, `{"\"":1,"!":2}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := Canonical(in)
		if valid := json.Valid(in) && utf8.Valid(in); valid != (err == nil) {
			if valid && bytes.Count(in, []byte("["))+bytes.Count(in, []byte("{")) > maxDepth {
				return
			}
			t.Fatalf("encoding/json says valid: %v; Canonical says %v", valid, err)
		}
		if err != nil {
			return
		}
		again, err := Canonical(got)
		if err != nil || !bytes.Equal(got, again) {
			t.Fatalf("%q becomes %q becomes %q, %v", in, got, again, err)
		}
		want, have := decode(t, in), decode(t, got)
		if object, ok := want.(map[string]any); ok {
			delete(object, "stream")
			delete(object, "stream_options")
		}
		// Halves of surrogate pairs decode alike, so as names they may run into each other.
		if !reflect.DeepEqual(want, have) && !bytes.Contains(bytes.ToLower(in), []byte(`\ud`)) {
			t.Fatalf("%q says %v, %q says %v", in, want, got, have)
		}
	})
}

func decode(t *testing.T, in []byte) any {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(in))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%q: %v", in, err)
	}
	return v
}

func ExampleCanonical() {
	body := `{"stream": true, "model": "gpt-5.5", "messages": [{"role": "user", "content": "Hi"}]}`
	canonical, err := Canonical([]byte(body))
	fmt.Println(string(canonical), err)
	// Output: {"messages":[{"content":"Hi","role":"user"}],"model":"gpt-5.5"} <nil>
}
