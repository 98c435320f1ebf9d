package litellm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// MaxTable is the most bytes that a table may have. LiteLLM's has 3 MB.
const MaxTable = 64 << 20

// Errors name no model when the table as a whole can't be read.
var errNoTable = errors.New("litellm: want a JSON object with a model in each member, as in model_prices_and_context_window.json")

// sampleSpec is a member of the table that only documents the fields.
const sampleSpec = "sample_spec"

// each calls fn with each member of the table, in its order.
func each(r io.Reader, fn func(key string, fields map[string]json.RawMessage, err error)) error {
	data, err := io.ReadAll(io.LimitReader(r, MaxTable+1))
	if err != nil {
		return fmt.Errorf("litellm: %w", err)
	}
	if len(data) > MaxTable {
		return fmt.Errorf("litellm: the table is larger than %d bytes", MaxTable)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errNoTable
	}
	for d.More() {
		t, err := d.Token()
		key, ok := t.(string)
		if err != nil || !ok {
			return fmt.Errorf("%w: at byte %d: %w", errNoTable, d.InputOffset(), errors.Join(err, errors.New("no name of a member")))
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return fmt.Errorf("litellm: %.80q: %w", key, err)
		}
		if key == sampleSpec {
			continue
		}
		var fields map[string]json.RawMessage
		err = json.Unmarshal(value, &fields)
		if err == nil && fields == nil {
			err = errors.New("null")
		}
		fn(key, fields, err)
	}
	if _, err := d.Token(); err != nil {
		return fmt.Errorf("%w: %w", errNoTable, err)
	}
	return nil
}
