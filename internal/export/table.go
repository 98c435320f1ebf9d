package export

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/pricing"
)

// form is how a cell is written.
type form uint8

const (
	formText    form = iota
	formDecimal      // exact: in JSON a string
	formCount        // a whole number, in JSON too
	formTime         // RFC 3339, UTC
	formBool
	formTags // a JSON object; in CSV as text
)

// cell is a value; an empty text is none, which is null in JSON.
type cell struct {
	form form
	text string
}

func textCell(s string) cell               { return cell{formText, s} }
func countCell(n int64) cell               { return cell{formCount, strconv.FormatInt(n, 10)} }
func boolCell(b bool) cell                 { return cell{formBool, strconv.FormatBool(b)} }
func decimalCell(s string) cell            { return cell{formDecimal, s} }
func sumCell(s pricing.Sum) cell           { return cell{formDecimal, s.String()} }
func idCell(id ledger.ID) cell             { return textCell(id.String()) }
func moneyCell(n pricing.Picodollars) cell { return cell{formDecimal, n.String()} }

func timeCell(t time.Time) cell {
	if t.IsZero() {
		return cell{form: formTime}
	}
	return cell{formTime, t.UTC().Format("2006-01-02T15:04:05.000Z")}
}

func tagsCell(tags map[string]string) cell {
	if len(tags) == 0 {
		return cell{formTags, "{}"}
	}
	b, _ := json.Marshal(tags) // of a map of strings: it can't fail; the keys are in order
	return cell{formTags, string(b)}
}

// column is one of a table whose rows are made of T.
type column[T any] struct {
	name string
	of   func(T) cell
}

func names[T any](columns []column[T]) []string {
	all := make([]string, len(columns))
	for i, c := range columns {
		all[i] = c.name
	}
	return all
}

// cells fills row with those of v.
func cells[T any](columns []column[T], v T, row []cell) []cell {
	row = row[:0]
	for _, c := range columns {
		row = append(row, c.of(v))
	}
	return row
}
