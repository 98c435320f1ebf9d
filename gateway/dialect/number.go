package dialect

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"github.com/recoup-gateway/recoup/internal/token"
)

// maxCount is the largest number of tokens that is believed.
const maxCount = 1 << 40

// An object is a JSON object, read so that one malformed member spoils no other. A nil object has
// no members, so a path through one that isn't there comes to nothing.
type object map[string]json.RawMessage

// newObject returns nil if raw is no object.
func newObject(raw []byte) object {
	var o object
	if json.Unmarshal(raw, &o) != nil {
		return nil
	}
	return o
}

func (o object) object(key string) object { return newObject(o[key]) }

// list returns nil if the member is no array.
func (o object) list(key string) []json.RawMessage {
	var l []json.RawMessage
	if json.Unmarshal(o[key], &l) != nil {
		return nil
	}
	return l
}

// text returns the empty string if the member is no string.
func (o object) text(key string) string {
	var s string
	if json.Unmarshal(o[key], &s) != nil {
		return ""
	}
	return s
}

// is tells whether the member is true.
func (o object) is(key string) bool { return string(o[key]) == "true" }

// null tells whether the member is absent or null.
func (o object) null(key string) bool {
	raw := string(o[key])
	return raw == "" || raw == "null"
}

// count reads a number of tokens or uses. What is no whole number from 0 to maxCount is unknown:
// null is not zero, and neither is nonsense.
func (o object) count(key string) token.Count {
	raw := string(o[key])
	n, err := strconv.ParseInt(raw, 10, 64)
	if err != nil {
		f, err := strconv.ParseFloat(raw, 64) // 12.0 is a whole number too
		if err != nil || f != math.Trunc(f) || math.Abs(f) > maxCount {
			return token.Count{}
		}
		n = int64(f)
	}
	if n < 0 || n > maxCount {
		return token.Count{}
	}
	return token.Known(n)
}

// known returns the first count that is.
func known(counts ...token.Count) token.Count {
	for _, c := range counts {
		if c.IsKnown() {
			return c
		}
	}
	return token.Count{}
}

// plus adds two counts of which one may not be known: it counts as none if the other is.
func plus(a, b token.Count) token.Count {
	if !a.IsKnown() {
		return b
	}
	return token.Known(a.Or(0) + b.Or(0))
}

// within returns a count of a part of whole, which is never more than that.
func within(part, whole token.Count) token.Count {
	n, ok := part.Get()
	if limit, limited := whole.Get(); ok && limited && n > limit {
		return whole
	}
	return part
}

// maxDigits is how many digits an amount has at most, on either side of the point.
const maxDigits = 24

// decimal writes a JSON number that isn't negative without an exponent, digit by digit: money is
// never a float. It returns the empty string for anything else.
func decimal(number string) string {
	mantissa, exponent, _ := strings.Cut(strings.ToLower(number), "e")
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := whole + fraction
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return ""
	}
	shift := 0
	if exponent != "" {
		var err error
		if shift, err = strconv.Atoi(exponent); err != nil {
			return ""
		}
	}
	if max(len(digits), shift, -shift) > maxDigits {
		return ""
	}
	point := len(whole) + shift
	if point < 0 {
		digits = strings.Repeat("0", -point) + digits
		point = 0
	}
	digits += strings.Repeat("0", max(0, point-len(digits)))
	whole = strings.TrimLeft(digits[:point], "0")
	fraction = strings.TrimRight(digits[point:], "0")
	if whole == "" {
		whole = "0"
	}
	if fraction == "" {
		return whole
	}
	return whole + "." + fraction
}
