package render

import (
	"math/big"
	"strings"
	"time"
	"unicode"

	"github.com/dustin/go-humanize"

	"github.com/recoup-gateway/recoup/pricing"
)

// cell is a figure or a word of a table.
type cell struct {
	text   string
	money  bool // then text is an exact decimal number
	number bool
}

func word(s string) cell           { return cell{text: s} }
func count(n int64) cell           { return cell{text: humanize.Comma(n), number: true} }
func money(s pricing.Sum) cell     { return cell{text: s.String(), money: true, number: true} }
func none() cell                   { return cell{number: true} }
func dollars(s pricing.Sum) string { return sign(padded(s.String(), 2)) }

// sign puts the dollar behind the minus.
func sign(decimal string) string {
	if rest, ok := strings.CutPrefix(decimal, "-"); ok {
		return "-$" + rest
	}
	return "$" + decimal
}

// padded is a decimal number with at least so many decimals.
func padded(decimal string, decimals int) string {
	whole, fraction, _ := strings.Cut(decimal, ".")
	if decimals == 0 {
		return decimal
	}
	return commas(whole) + "." + fraction + strings.Repeat("0", max(decimals-len(fraction), 0))
}

// commas groups the digits of a whole number.
func commas(whole string) string {
	n, ok := new(big.Int).SetString(whole, 10)
	if !ok || len(whole) < 4 {
		return whole // also "-0"
	}
	return humanize.BigComma(n)
}

// percent is a share with four decimals as a percentage.
func percent(share string) string {
	r, ok := new(big.Rat).SetString(share)
	if !ok {
		return "–"
	}
	return r.Mul(r, big.NewRat(100, 1)).FloatString(2) + " %"
}

// maxText is how much of a client's text is shown.
const maxText = 60

// clean is a text of a client's without what could disturb a terminal, or a page.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '·'
		}
		return r
	}, strings.ToValidUTF8(s, "·"))
	if runes := []rune(s); len(runes) > maxText {
		return string(runes[:maxText-1]) + "…"
	}
	return s
}

// plural is so many of something.
func plural(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return humanize.Comma(n) + " " + what + "s"
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format("2006-01-02 15:04:05.999 UTC")
}
