// Package providers is the table of what is known of those who answer calls: where they are, what dialect they
// speak, what they do about the bill of a cut stream, with the source and the date, and how they differ from
// others of their dialect. It is data; what is done with it is others' affair. docs/providers.md is made of it.
//
// An entry gives defaults, which a configuration overrules. What nobody trustworthy has said of a provider
// is unknown here, never guessed.
package providers
