// Package config reads the configuration of the recoup command.
//
// A setting has one key, and the key has three spellings: in the YAML file
// (data_dir), as a flag (--data-dir) and as an environment variable
// (RECOUP_DATA_DIR). Flags beat the environment, the environment beats the
// file, the file beats the defaults. The table in keys.go is the only place
// where a key is written down: flags, environment, file, the page
// docs/configuration.md and what a reload may change all come from it.
//
// What it guarantees: nothing is half used. An unknown key, a value that
// doesn't parse, a combination that can't work and a file of secrets that can't
// be read are all refused, each with its key, where it was written and what was
// expected; a value is checked even where another one beats it.
//
// Its limits: the file is one YAML mapping of plain values, without anchors,
// aliases, merge keys and tags. An environment variable that is set to nothing
// counts as not set. An unknown RECOUP_ variable is only warned of, and only
// if it looks like a misspelt key, because other tools set such variables too.
package config
