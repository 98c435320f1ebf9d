// Package histories has attempts to test with: the worked examples of the design, and
// random ones. It is used by tests only.
package histories
