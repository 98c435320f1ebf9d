// Package litellm makes an overlay of LiteLLM's table of prices
// (model_prices_and_context_window.json), from a copy that the user has.
//
//	read.go     the table, one model after the other
//	fields.go   which of its fields mean what
//	convert.go  a model becomes an item of the overlay, or is left out
//	write.go    the overlay as YAML
//
// What can't be expressed in a price book is named, with the reason, and never
// guessed. A field without effect on what tokens cost is left away from a model; a
// model whose tokens would be priced wrongly without it is left out as a whole.
package litellm
