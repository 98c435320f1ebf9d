// Package conventions holds what this repository's code agrees on as tests: the
// graph of imports, the documentation of packages, and a few things that no
// compiler and no linter sees. It has no code of its own.
//
// Its limit: it knows the packages of this module on the platform that it runs
// on.
package conventions
