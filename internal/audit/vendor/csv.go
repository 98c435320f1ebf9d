package vendor

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/recoup-gateway/recoup/internal/token"
)

// record is a line of a CSV file, by the names of its columns.
type record struct {
	columns map[string]int
	fields  []string
}

func (r *record) has(column string) bool { _, ok := r.columns[column]; return ok }

func (r *record) text(column string) string {
	i, ok := r.columns[column]
	if !ok {
		return ""
	}
	return strings.Clone(strings.TrimSpace(r.fields[i]))
}

// number is 0 where the column is empty, or not there.
func (r *record) number(column string) (int64, error) {
	s := r.text(column)
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(strings.TrimSuffix(s, ".0"), 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%s: %.40q is no count", column, s)
	}
	return n, nil
}

// column is one whose number goes to n.
type column struct {
	name string
	n    *int64
}

func (r *record) numbers(columns ...column) (err error) {
	for _, c := range columns {
		if *c.n, err = r.number(c.name); err != nil {
			return err
		}
	}
	return nil
}

// form is one of CSV, by columns that only it has.
type form struct {
	columns []string
	read    func(*record) (*Row, error)
}

var forms = []form{
	{[]string{"usage_date_utc", "cost_usd"}, anthropicCostRecord},
	{[]string{"usage_date_utc", "usage_output_tokens"}, anthropicUsageRecord},
	{[]string{"start_time", "end_time", "amount_value", "amount_currency", "line_item"}, openAICostRecord},
	{[]string{"start_time", "end_time", "model", "input_tokens", "output_tokens"}, openAIUsageRecord},
}

func readCSV(name string, in io.Reader, c *lineCounter, s sink) error {
	d := csv.NewReader(in)
	d.ReuseRecord = true
	head, err := d.Read()
	if err != nil {
		return csvError(name, err)
	}
	r := &record{columns: map[string]int{}}
	for i, h := range head {
		r.columns[strings.ToLower(strings.TrimSpace(h))] = i
	}
	known := slices.IndexFunc(forms, func(f form) bool {
		return !slices.ContainsFunc(f.columns, func(column string) bool { return !r.has(column) })
	})
	if known < 0 && !(r.has("start_time") && r.has("end_time_iso") && len(head) == 4) { // OpenAI's, of nothing
		return fmt.Errorf("%s:1: the columns are those of no export of usage or costs that is known: %.200q", name, strings.Join(head, ","))
	}
	for {
		r.fields, err = d.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return csvError(name, err)
		}
		line, _ := d.FieldPos(0)
		if known < 0 {
			return fmt.Errorf("%s:%d: a row in an export that has no columns for one", name, line)
		}
		row, err := forms[known].read(r)
		if err == nil {
			err = row.check()
		}
		if err == nil {
			err = s.row(row)
		}
		if err == nil {
			err = s.bucket(row.Kind, row.Start, row.End)
		}
		if err != nil {
			return fmt.Errorf("%s:%d: %w", name, line, err)
		}
	}
	if c.last != '\n' {
		return fmt.Errorf("%s:%d: the last line has no end, so the file may have been cut off there; if it is whole, end it with a line break", name, c.lines+1)
	}
	return nil
}

// csvError says where, and what a wrong number of columns means.
func csvError(name string, err error) error {
	var at *csv.ParseError
	if !errors.As(err, &at) {
		return fmt.Errorf("%s: %w", name, err)
	}
	if errors.Is(at.Err, csv.ErrFieldCount) || errors.Is(at.Err, csv.ErrQuote) {
		return fmt.Errorf("%s:%d: %w: the file is damaged, or was cut off there", name, at.Line, at.Err)
	}
	return fmt.Errorf("%s:%d: %w", name, at.Line, at.Err)
}

// times reads OpenAI's bucket.
func (r *record) times(row *Row) error {
	start, err := r.number("start_time")
	end, err2 := r.number("end_time")
	row.Start, row.End = time.Unix(start, 0).UTC(), time.Unix(end, 0).UTC()
	return errors.Join(err, err2)
}

func openAICostRecord(r *record) (*Row, error) {
	row := &Row{Vendor: OpenAI, Project: r.text("project_id"), APIKey: r.text("api_key_id")}
	err := r.times(row)
	if err == nil {
		err = row.openAICost(r.text("line_item"), r.text("amount_value"), r.text("amount_currency"))
	}
	if err == nil && row.Item == "" {
		err = errors.New("it has no line_item: the costs must be grouped by it, or no model can be told")
	}
	return row, err
}

func openAIUsageRecord(r *record) (*Row, error) {
	row := &Row{
		Kind: Usage, Vendor: OpenAI, Model: r.text("model"), Tier: Tier(r.text("service_tier")),
		Project: r.text("project_id"), APIKey: r.text("api_key_id"), NoWrites: !r.has("input_cache_write_tokens"),
	}
	if strings.EqualFold(r.text("batch"), "true") {
		row.Tier = "batch"
	}
	row.AnyTier = r.text("service_tier") == "" && r.text("batch") == ""
	var input, cached, writes, output, requests int64
	err := errors.Join(r.times(row), r.numbers(
		column{"input_tokens", &input}, column{"input_cached_tokens", &cached}, column{"input_cache_write_tokens", &writes},
		column{"output_tokens", &output}, column{"num_model_requests", &requests},
	))
	if err == nil && row.Model == "" {
		err = errNoModel
	}
	if r.text("num_model_requests") != "" {
		row.Requests = token.Known(requests)
	}
	if err != nil {
		return nil, err
	}
	return row, row.openAITokens(input, cached, writes, output)
}

// anthropicRecord is what Anthropic's two files have in common.
func anthropicRecord(r *record, model string) (*Row, error) {
	day, err := time.Parse(time.DateOnly, r.text("usage_date_utc"))
	if err != nil {
		return nil, fmt.Errorf("usage_date_utc: %.40q is no day", r.text("usage_date_utc"))
	}
	row := &Row{
		Vendor: Anthropic, Start: day, End: day.AddDate(0, 0, 1), Model: modelID(model), Context: r.text("context_window"),
		Project: r.text("workspace"), APIKey: cmp.Or(r.text("api_key_id"), r.text("api_key")),
		Tier: anthropicTier(r.text("usage_type"), r.text("speed")), NoPriority: true,
	}
	if row.Tier != "batch" && row.Tier != "fast" { // other words of usage_type are not tiers
		row.Tier = ""
	}
	return row, nil
}

func anthropicUsageRecord(r *record) (*Row, error) {
	row, err := anthropicRecord(r, r.text("model_version"))
	if err != nil {
		return nil, err
	}
	if row.Model == "" {
		return nil, errNoModel
	}
	t := &row.Tokens
	row.Kind = Usage
	return row, r.numbers(
		column{"usage_input_tokens_no_cache", &t.Input}, column{"usage_input_tokens_cache_read", &t.CacheRead}, column{"usage_output_tokens", &t.Output},
		column{"usage_input_tokens_cache_write_5m", &t.CacheWrite5m}, column{"usage_input_tokens_cache_write_1h", &t.CacheWrite1h},
	)
}

func anthropicCostRecord(r *record) (*Row, error) {
	row, err := anthropicRecord(r, r.text("model"))
	if err != nil {
		return nil, err
	}
	row.Kind, row.Item = Cost, cmp.Or(r.text("cost_type"), r.text("token_type"))
	currency := "USD" // as the column's name says
	if r.has("currency") {
		currency = r.text("currency")
	}
	row.Amount, err = money(r.text("cost_usd"), currency, 1)
	return row, err
}
