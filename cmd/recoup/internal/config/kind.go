package config

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/recoup-gateway/recoup/metrics"
	"github.com/recoup-gateway/recoup/pricing"
)

// kind is how the text of a key's value and the field of Settings that it fills
// belong together.
type kind struct {
	name  string // as documented
	set   func(s *Settings, text string) error
	text  func(s *Settings) string
	equal func(a, b *Settings) bool // nil: their texts are equal
	list  bool                      // in the file it may be a list
}

// value makes a kind of how to parse and format the values of one field.
func value[T any](name string, field func(*Settings) *T, parse func(string) (T, error), format func(T) string) kind {
	return kind{
		name: name,
		set: func(s *Settings, text string) error {
			v, err := parse(text)
			if err == nil {
				*field(s) = v
			}
			return err
		},
		text: func(s *Settings) string { return format(*field(s)) },
	}
}

func (k kind) same(a, b *Settings) bool {
	if k.equal != nil {
		return k.equal(a, b)
	}
	return k.text(a) == k.text(b)
}

func verbatim(s string) string { return s }

func address(field func(*Settings) *string) kind {
	return value("host:port", field, func(text string) (string, error) {
		_, port, err := net.SplitHostPort(text)
		if err == nil {
			_, err = strconv.ParseUint(port, 10, 16)
		}
		if err != nil {
			return "", fmt.Errorf("%q is not an address: want host:port, such as 127.0.0.1:8484", text)
		}
		return text, nil
	}, verbatim)
}

func path(field func(*Settings) *string) kind {
	return value("path", field, func(text string) (string, error) {
		if text == "" {
			return "", errors.New("is empty: want a path")
		}
		return text, nil
	}, verbatim)
}

func boolean(field func(*Settings) *bool) kind {
	return value("true or false", field, func(text string) (bool, error) {
		v, err := strconv.ParseBool(text)
		if err != nil {
			return false, fmt.Errorf("%q: want true or false", text)
		}
		return v, nil
	}, strconv.FormatBool)
}

// duration of at least the given length.
func duration(least time.Duration, field func(*Settings) *time.Duration) kind {
	return value("duration", field, func(text string) (time.Duration, error) {
		d, err := time.ParseDuration(text)
		if err != nil {
			return 0, fmt.Errorf("%q is not a duration: want a number with its unit, such as 90s or 15m", text)
		}
		if d < least {
			return 0, fmt.Errorf("%q is too short: want at least %s", text, formatDuration(least))
		}
		return d, nil
	}, formatDuration)
}

// formatDuration leaves away the units that are zero: 15m, not 15m0s.
func formatDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// size in bytes, of at least the given one.
func size(least int64, field func(*Settings) *int64) kind {
	return value("size", field, func(text string) (int64, error) {
		n, err := humanize.ParseBytes(text)
		if err != nil || n > math.MaxInt64 {
			return 0, fmt.Errorf("%q is not a size: want bytes, or a number with its unit, such as 512MiB or 1GB", text)
		}
		if int64(n) < least {
			return 0, fmt.Errorf("%q is too small: want at least %d", text, least)
		}
		return int64(n), nil
	}, formatSize)
}

// formatSize is exact: it uses the largest binary unit that divides n.
func formatSize(n int64) string {
	for _, unit := range []struct {
		shift int
		name  string
	}{{30, "GiB"}, {20, "MiB"}, {10, "KiB"}} {
		if n != 0 && n%(1<<unit.shift) == 0 {
			return strconv.FormatInt(n>>unit.shift, 10) + unit.name
		}
	}
	return strconv.FormatInt(n, 10)
}

// count of at least one.
func count(field func(*Settings) *int) kind {
	return value("number", field, func(text string) (int, error) {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return 0, fmt.Errorf("%q: want a whole number of at least 1", text)
		}
		return n, nil
	}, strconv.Itoa)
}

// dollars of more than nothing.
func dollars(field func(*Settings) *pricing.Picodollars) kind {
	return value("US dollars", field, func(text string) (pricing.Picodollars, error) {
		amount, err := pricing.ParseDollars(text)
		if err != nil || amount <= 0 {
			return 0, fmt.Errorf("%q is not an amount: want US dollars, such as 100 or 2.50", text)
		}
		return amount, nil
	}, pricing.Picodollars.String)
}

// choice of one of a few words.
func choice[T ~string](field func(*Settings) *T, words ...T) kind {
	list := make([]string, len(words))
	for i, w := range words {
		list[i] = string(w)
	}
	want := orList(list)
	return value(want, field, func(text string) (T, error) {
		for _, w := range words {
			if text == string(w) {
				return w, nil
			}
		}
		return "", fmt.Errorf("%q: want %s", text, want)
	}, func(v T) string { return string(v) })
}

// principal is credential, or the name of a header.
func principal(field func(*Settings) *string) kind {
	return value("credential or header:Name", field, func(text string) (string, error) {
		name, ok := strings.CutPrefix(text, "header:")
		switch {
		case text == "credential":
			return "", nil
		case !ok || !headerName.MatchString(name):
			return "", fmt.Errorf("%q: want credential, or header: and the name of a header, such as header:X-Agent-Id", text)
		}
		return name, nil
	}, func(name string) string {
		if name == "" {
			return "credential"
		}
		return "header:" + name
	})
}

var headerName = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")

// orList is "a, b or c".
func orList(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

func logLevel(field func(*Settings) *slog.Level) kind {
	levels := []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}
	name := func(l slog.Level) string { return strings.ToLower(l.String()) }
	return value("debug, info, warn or error", field, func(text string) (slog.Level, error) {
		for _, l := range levels {
			if text == name(l) {
				return l, nil
			}
		}
		return 0, fmt.Errorf("%q: want debug, info, warn or error", text)
	}, name)
}

// names of tags, a few of them: with commas between, or as a list in the file.
func names(most int, field func(*Settings) *[]string) kind {
	k := value("names", field, func(text string) ([]string, error) {
		var list []string
		labels := map[string]string{}
		for name := range strings.SplitSeq(text, ",") {
			name = strings.TrimSpace(name)
			label := metrics.TagLabel(name)
			switch {
			case name == "" && text == "":
				continue
			case !tagName.MatchString(name):
				return nil, fmt.Errorf("%q is not a tag's name: want letters, digits, dashes, dots and underscores", name)
			case labels[label] == name:
				return nil, fmt.Errorf("%q is there twice", name)
			case labels[label] != "":
				return nil, fmt.Errorf("%q and %q would be one label, %s", labels[label], name, label)
			}
			labels[label] = name
			list = append(list, name)
		}
		if len(list) > most {
			return nil, fmt.Errorf("%d names: want %d at most", len(list), most)
		}
		return list, nil
	}, func(list []string) string { return strings.Join(list, ",") })
	k.list = true
	return k
}

var tagName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// secretFile is the path of a file whose content read puts into the settings
// once all keys are known. Two are the same if their contents are.
func secretFile(field func(*Settings) *string, equal func(a, b *Settings) bool) kind {
	k := path(field)
	k.equal = func(a, b *Settings) bool { return *field(a) == *field(b) && equal(a, b) }
	return k
}

// paths of files that are read once all keys are known, with commas between, or as a
// list in the file. Two are the same if what was read is.
func paths(field func(*Settings) *[]string, equal func(a, b *Settings) bool) kind {
	k := value("paths", field, func(text string) ([]string, error) {
		var list []string
		for one := range strings.SplitSeq(text, ",") {
			switch one = strings.TrimSpace(one); {
			case one == "" && text == "":
				continue
			case one == "":
				return nil, fmt.Errorf("%q: a path is empty", text)
			case slices.Contains(list, one):
				return nil, fmt.Errorf("%q is there twice", one)
			}
			list = append(list, one)
		}
		return list, nil
	}, func(list []string) string { return strings.Join(list, ",") })
	k.list, k.equal = true, equal
	return k
}
