package config

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/recoup-gateway/recoup/pricing"
)

// readPrices lays the operator's prices over those that come with the program.
func (l *loading) readPrices() {
	var overlays []*pricing.Overlay
	for _, path := range l.settings.PriceFiles {
		data, err := readAtMost(path, pricing.MaxOverlay)
		if err != nil {
			l.refuse(keyPrices, err.Error()+": want a file with prices in YAML")
			continue
		}
		overlay, err := pricing.ParseOverlay(path, data)
		if l.overlay(err, data) {
			overlays = append(overlays, overlay)
		}
	}
	if len(l.problems) > 0 {
		return
	}
	for _, o := range overlays {
		book, err := l.settings.Prices.Over(o)
		data, _ := readAtMost(o.Name(), pricing.MaxOverlay) // for the line to look at
		if l.overlay(err, data) {
			l.settings.Prices = book
		}
	}
}

// overlay notes what is wrong with a file of prices; true: nothing.
func (l *loading) overlay(err error, data []byte) bool {
	if err == nil {
		return true
	}
	refused := (*pricing.OverlayError)(nil)
	if !errors.As(err, &refused) {
		l.refuse(keyPrices, err.Error())
		return false
	}
	for _, p := range refused.Problems {
		at := origin{name: refused.Name, line: p.Line}
		if p.Line > 0 {
			at.source = excerpt(data, p.Line, p.Column)
		}
		l.problem("", at, p.Text)
	}
	return false
}

// idlePrices warns of prices of providers that the gateway has not, as of one that the
// price book calls otherwise: they are never used.
func (s *Settings) idlePrices() (warnings []string) {
	idle := map[string][]string{} // providers by file
	for _, row := range s.Prices.Rows("") {
		file := row.Origin.File
		if _, known := s.Gateway.Providers[row.Provider]; file != "" && !known && !slices.Contains(idle[file], row.Provider) {
			idle[file] = append(idle[file], row.Provider)
		}
	}
	for _, file := range slices.Sorted(maps.Keys(idle)) {
		warnings = append(warnings, fmt.Sprintf("%s: the gateway has no provider called %s: these prices are not used; want the names that it has (%s)",
			file, strings.Join(idle[file], ", "), strings.Join(slices.Sorted(maps.Keys(s.Gateway.Providers)), ", ")))
	}
	return warnings
}

// ReadPrices lays files with prices over a book. An error is an *Error.
func ReadPrices(book *pricing.Book, paths ...string) (*pricing.Book, error) {
	l := &loading{settings: &Settings{Prices: book, PriceFiles: paths}}
	if l.readPrices(); len(l.problems) > 0 {
		return nil, &Error{Problems: l.problems}
	}
	return l.settings.Prices, nil
}

// readAtMost reads a file of up to so many bytes.
func readAtMost(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, describe(path, err)
	}
	if int64(len(data)) > most {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, most)
	}
	return data, nil
}
